"""What a rank's last collectives were, logged when the watchdog asks: the rank that began fewer than the others is the one to look at.

torch's flight recorder keeps them, under Gloo and NCCL alike, when `job.cluster.launch` gave it room.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from typing import Any

TRACE_SIGNAL = signal.SIGRTMIN
NUM_SHOWN = 5

logger = logging.getLogger(__name__)


def log_when_asked() -> None:
    """From now on, log the last collectives at every `TRACE_SIGNAL`.

    A thread waits for the signal, because the main one stands in the collective.  To be called before there are other threads:
    they inherit that the signal is blocked, and one that did not would die of it, and all with it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [TRACE_SIGNAL])
    threading.Thread(target=_log_for_ever, name="collective-trace", daemon=True).start()


def _log_for_ever() -> None:
    while True:
        signal.sigwait([TRACE_SIGNAL])
        try:
            for line in last_collectives():
                logger.error("%s", line)
        except Exception:
            logger.exception("the last collectives could not be read")


def last_collectives() -> list[str]:
    """One line for each of the last collectives that this process began, the newest one last; none without a process group."""
    if "torch" not in sys.modules:
        return []
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_initialized():
        return []
    entries = _recorded(dist.get_backend())
    return [_line(entry) for entry in entries[-NUM_SHOWN:]] or ["no collective was begun"]


def _recorded(backend: str) -> list[dict[str, Any]]:
    """What torch keeps; the function has no public name yet (`torchfrtrace`'s files are made by its sibling)."""
    from torch._C import _distributed_c10d as c10d

    dump = getattr(c10d, "_dump_nccl_trace_json" if backend == "nccl" else "_dump_fr_trace_json")
    entries: list[dict[str, Any]] = json.loads(dump()).get("entries", [])
    return entries


def _line(entry: dict[str, Any]) -> str:
    ago = time.time() - entry["time_created_ns"] / 1e9
    state = "finished" if entry["retired"] else "not finished"
    return f"collective {entry['collective_seq_id']}: {entry['profiling_name']} of {entry['input_sizes']}, begun {ago:.0f} s ago, {state}"
