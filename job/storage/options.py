"""How a store is spoken to: the few numbers that the settings decide."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class StoreOptions:
    """Options of a store; a local folder needs none of them.

    Up to ``num_threads`` parts of ``part_bytes`` are in memory at once, so the two together bound what a transfer takes.
    """

    timeout_s: float = 300.0
    """Seconds over which one failing request is tried again."""

    backoff_s: float = 0.2
    """Seconds that the pause before the second try is at most; it doubles with every further one."""

    connect_timeout_s: float = 10.0
    """Seconds to wait for a connection."""

    read_timeout_s: float = 60.0
    """Seconds to wait for the next bytes of a reply."""

    single_put_bytes: int = 8 * MEBIBYTE
    """Largest object that is written in one request."""

    part_bytes: int = 16 * MEBIBYTE
    """Size of one part of a larger one, at least 5 MiB (S3's own limit); grows where an object would have over 10,000 parts."""

    num_threads: int = 4
    """Parts, or small files, in flight at once."""
