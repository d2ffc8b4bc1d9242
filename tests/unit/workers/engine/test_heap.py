"""The C library itself, by what is resident."""

import ctypes
import os
from pathlib import Path

import pytest

from job.workers.engine import heap

MIB = 1 << 20
SMALL = 100_000  # too large for the gaps that other things have left
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kept():
    """Bytes that stay resident after 32 blocks of 4 MiB were freed, each with a small one behind it that was not."""
    before, large, small = resident(), [], []
    for _ in range(32):
        large.append(libc.malloc(4 * MIB))
        ctypes.memset(large[-1], 1, 4 * MIB)
        small.append(libc.malloc(SMALL))
    assert resident() - before > 100 * MIB
    for block in large:
        libc.free(block)
    found = resident() - before
    for block in small:
        libc.free(block)
    return found


@pytest.mark.skipif(not hasattr(libc, "mallopt"), reason="the C library has no mallopt")
def test_what_is_freed_goes_back_to_the_system():
    libc.mallopt(heap._M_MMAP_THRESHOLD, 32 * MIB)  # as far as glibc goes by itself, once a block of that size was freed
    assert kept() > 100 * MIB
    heap.give_back_large()
    assert kept() < 8 * MIB


def test_a_c_library_without_the_switch_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: object())
    heap.give_back_large()
