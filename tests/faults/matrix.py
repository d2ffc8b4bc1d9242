"""All rows of the fault matrix."""

from __future__ import annotations

from tests.faults import disk_rows, rows, store_rows, worker_rows
from tests.faults.outcome import Row

ROWS = {
    "kill": Row("SIGKILL at a random instant: worker, node process, whole group", 200, rows.kill_at_random),
    "edge": Row("SIGKILL before and after every change of the store", 200, rows.kill_at_edge),
    "stop": Row("SIGTERM / SIGUSR2 at a random instant, to the node process or to all", 120, rows.stop_at_random),
    "some": Row("SIGTERM / SIGUSR2 to one rank, or to all with data workers 0 and 2", 50, rows.stop_some),
    "grace": Row("a grace shorter than the save: SIGKILL after SIGTERM", 20, rows.short_grace),
    "store": Row("one failing, lost, slow, cut or damaged request of the store", 60, store_rows.store_once),
    "gone": Row("the store refuses or stays away: 403, expired, 503, no answer", 35, store_rows.store_for_good),
    "two": Row("two attempts at once", 100, rows.two_at_once),
    "frozen": Row("a frozen attempt wakes after a takeover", 30, rows.frozen_and_woken),
    "damage": Row("a file of the newest checkpoint flipped, cut or deleted", 30, rows.damaged_checkpoint),
    "bad": Row("all commits damaged", 5, rows.all_bad),
    "disk": Row("the disk is full from a random instant on", 18, disk_rows.disk_full),
    "read-only": Row("a read-only run directory", 6, disk_rows.read_only),
    "harm": Row("NaN, Inf, a hang, a slow rank, a flipped bit in one rank", 50, worker_rows.harmed_rank),
    "loop": Row("a crash before the first commit, at every start", 10, worker_rows.crash_loop),
}
