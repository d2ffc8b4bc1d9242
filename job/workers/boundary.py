"""What happens between two optimizer steps: evaluate, save, stop, each agreed over the ranks.

Decisions that follow from the step's number need no agreement.  Those that follow from a clock or a file (stop request, minutes
since the last checkpoint) are summed over the ranks first, so that no rank waits in a collective that another never enters.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from job.errors import StopRequested
from job.run_dir import RunDir
from job.settings.root import Settings
from job.workers.engine import Engine
from job.workers.state import TrainState

logger = logging.getLogger(__name__)
POLL_S = 0.05


@dataclass(frozen=True)
class Work:
    """What a boundary may have to do, and how long an epoch is."""

    evaluate: Callable[[TrainState], bool]
    """Evaluates and updates the state; False when a stop request interrupted it."""
    save: Callable[[TrainState], None]
    """Writes a checkpoint; called on every rank."""
    steps_per_epoch: int
    must_wait: Callable[[], bool] = lambda: False
    """Whether as many checkpoints wait for upload as may; asked on the first worker of each node."""


class StopFile:
    """The stop request as all ranks see it."""

    def __init__(self, engine: Engine, run_dir: RunDir) -> None:
        self._engine = engine
        self._path = run_dir.stop

    def exists(self) -> bool:
        return self._path.exists()

    def agreed(self) -> bool:
        """Whether any rank sees a stop request; the same answer on all of them.  A collective."""
        return self._engine.sum([float(self.exists())])[0] > 0

    def ends(self, beat: Callable[[], None]) -> Callable[[], None]:
        """What is called during a pass over all examples before the first step: beats, and ends the pass on all ranks.  A collective."""

        def beat_or_end() -> None:
            beat()
            if self.agreed():
                raise StopRequested(
                    "Asked to stop before the first step of this start.", "Start the run again: nothing that was trained is lost."
                )

        return beat_or_end


class Boundary:
    """The work between steps.

    Args:
        engine: the group.
        settings: cadence of evaluation and checkpoints.
        stop: the stop request.
        work: evaluation and saving.
        beat: tells the watchdog of progress.
    """

    def __init__(self, engine: Engine, settings: Settings, stop: StopFile, work: Work, beat: Callable[[], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._stop = stop
        self._work = work
        self._beat = beat
        self._saved_step = 0
        self._saved_at = time.monotonic()
        # As a fraction: 1.1 epochs of 10 steps are 11 steps, and a little more in floating point.
        self._eval_interval = Fraction(
            settings.eval.every_steps or Fraction(str(settings.eval.every_epochs)) * work.steps_per_epoch
        )

    def continue_from(self, state: TrainState) -> None:
        """The checkpoint of this state exists already."""
        self._saved_step = state.step

    def cross(self, state: TrainState) -> None:
        """Do what is due after ``state.step`` steps.

        Raises:
            StopRequested: after a stop request, when the checkpoint is written.
        """
        self._beat()
        interrupted = self._due_evaluation(state) and not self._work.evaluate(state)
        self._early_stopping(state)
        stop, overdue = self._engine.sum([float(self._stop.exists()), float(self._engine.is_main and self._minutes_over())])
        if stop > 0 or interrupted:
            self._write(state)
            raise StopRequested(
                f"Stopped on request after step {state.step}; nothing that was trained is lost.",
                "Start the same run again to continue.",
            )
        every = self._settings.checkpoint.every_steps
        # A run that is done is written by `finish`, once: a step's checkpoint is never written twice.
        if not state.done and (overdue > 0 or (every is not None and state.step % every == 0)):
            self._write(state)

    def finish(self, state: TrainState) -> None:
        """After the last step: a last evaluation and the last checkpoint."""
        if not state.done and state.evaluated_step != state.step and not self._work.evaluate(state):
            self.cross(state)
        state.done = True
        self._write(state)

    def _due_evaluation(self, state: TrainState) -> bool:
        step, interval = state.step, self._eval_interval
        return step > 0 and state.evaluated_step != step and step // interval > (step - 1) // interval

    def _early_stopping(self, state: TrainState) -> None:
        patience = self._settings.eval.early_stopping_patience
        if patience is not None and state.evaluations_without_gain >= patience and not state.done:
            logger.info("early stopping after step %d: %d evaluations without gain", state.step, patience)
            state.done = True

    def _minutes_over(self) -> bool:
        minutes = self._settings.checkpoint.every_minutes
        return minutes > 0 and time.monotonic() - self._saved_at > minutes * 60

    def _write(self, state: TrainState) -> None:
        if state.step == self._saved_step and not state.done:
            return
        # Together: a rank that waited in a collective for a slow upload would run into that collective's time-out.
        while self._engine.sum([float(self._engine.is_local_main and self._work.must_wait())])[0] > 0:
            self._beat()
            time.sleep(POLL_S)
        self._work.save(state)
        self._saved_step, self._saved_at = state.step, time.monotonic()
        self._engine.barrier()
