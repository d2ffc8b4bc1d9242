"""All rows of the fault matrix."""

from __future__ import annotations

from tests.faults import (
    disk_rows,
    edge_rows,
    forged_rows,
    hostile_rows,
    long_rows,
    node_rows,
    rows,
    store_rows,
    worker_rows,
    world_rows,
)
from tests.faults.outcome import Row

EDGES = dict.fromkeys(edge_rows.EDGES, edge_rows.LEAST)
STOPS = dict.fromkeys(rows.STOPS, rows.LEAST)
REFUSALS = dict.fromkeys(store_rows.FOR_GOOD, store_rows.LEAST)
ROWS = {
    "kill": Row("SIGKILL at a random instant: worker, node process, whole group", 200, rows.kill_at_random),
    "edge": Row("SIGKILL before and after every change of the store: 38 kinds", 400, edge_rows.kill_at_edge, EDGES),
    "stop": Row("SIGTERM / SIGUSR2 in each of six phases, to all or to the node process alone", 160, rows.stop_in_phase, STOPS),
    "some": Row("SIGTERM / SIGUSR2 to one rank, or to all with data workers 0 and 2", 50, rows.stop_some),
    "grace": Row("a grace shorter than the save: SIGKILL after SIGTERM", 20, rows.short_grace),
    "store": Row("one failing, lost, slow, cut or damaged request of the store", 60, store_rows.store_once),
    "lost": Row("the reply to a log entry is lost after it was written", 30, store_rows.lost_reply),
    "part": Row("two nodes: the upload of one node's part fails", 20, node_rows.part_not_delivered),
    "away": Row("the store is away for a second up to for ever", 10, store_rows.away_for_a_while),
    "gone": Row(
        "the store refuses, is full, or stays away: 403, expired, quota, 503, no answer", 45, store_rows.store_for_good, REFUSALS
    ),
    "rotated": Row("the key expires, and a new one stands in the credentials file", 5, store_rows.keys_rotated),
    "two": Row("two attempts at once", 100, rows.two_at_once),
    "frozen": Row("a frozen attempt wakes after a takeover", 30, rows.frozen_and_woken),
    "damage": Row("each file of the newest checkpoint flipped, cut or deleted", 60, rows.damaged_checkpoint),
    "bad": Row("all commits damaged", 5, rows.all_bad),
    "disk": Row("the disk is full from a random instant on, or has no inode left", 18, disk_rows.disk_full),
    "read-only": Row("a read-only run directory", 6, disk_rows.read_only),
    "harm": Row("NaN, Inf, out of memory, a hang, a slow rank, a flipped bit in one rank", 60, worker_rows.harmed_rank),
    "loop": Row("a crash before the first commit, at every start", 10, worker_rows.crash_loop),
    "resume": Row("kill mid-epoch: dropout × accumulation × data workers × engine", 32, world_rows.resumed),
    "world": Row("2, then 1, then 2 processes, each killed", 20, world_rows.other_world),
    "nodes": Row("two nodes: one is killed or stopped", 20, node_rows.node_lost),
    # A bomb is called one once it has come to 256 MiB.
    "hostile": Row("hostile input: addresses, names, code, links, bombs", 66, hostile_rows.hostile_input, input_bytes=2**28),
    "forged": Row("a forged commit whose hashes are right: pickles, paths, nonsense", 18, forged_rows.forged_commit),
    "kept": Row("sixty saves with five kills", 5, long_rows.kept_checkpoints),
    "parts": Row("SIGKILL in an upload in parts", 5, long_rows.orphaned_parts),
}
