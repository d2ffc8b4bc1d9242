"""Trying again, bounded by total time.

Libraries' own back-off is switched off in favour of this one: boto3's draws from Python's global random generator, which would
make two runs with the same seed differ by the weather on the network.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from job.errors import JobError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """What a foreign exception means: our error, whether another try may help, and the pause the server asked for."""

    error: JobError
    transient: bool = False
    retry_after_s: float = 0.0


@dataclass
class Retries:
    """A retry policy: exponential back-off with full jitter.

    Args:
        timeout_s: seconds after the first failure when no further try begins; a long transfer that breaks is tried again too.
        base_s: mean of the first pause is half of it; each further one doubles it up to ``cap_s``.
    """

    timeout_s: float
    base_s: float = 0.2
    cap_s: float = 20.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: random.Random = field(default_factory=random.Random)

    def call(self, action: Callable[[], Result], explain: Callable[[Exception], Failure]) -> Result:
        """Run ``action`` until it succeeds.

        Raises:
            JobError: ``explain``'s, of the last failure, when it is not transient or time is up.
        """
        failing_since, tries = None, 0
        while True:
            try:
                return action()
            except Exception as error:
                failure = explain(error)
                now = self.clock()
                failing_since = now if failing_since is None else failing_since
                left_s = self.timeout_s - (now - failing_since)
                if not failure.transient or left_s <= 0 or failure.retry_after_s > left_s:
                    raise failure.error from error
                # A long pause that was drawn is no reason to give up before the time is over: the last try comes at its end.
                drawn_s = self.jitter.uniform(0, min(self.cap_s, self.base_s * 2**tries))
                pause_s = max(failure.retry_after_s, min(drawn_s, left_s))
                logger.warning("%s Trying again in %.1f s.", failure.error.message, pause_s)
            tries = min(tries + 1, 30)
            self.sleep(pause_s)
