import dataclasses
import logging
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from job.errors import StopRequested
from job.run_dir import RunDir
from job.workers import boundary as boundaries
from job.workers.boundary import Boundary, StopFile, Work
from job.workers.state import TrainState
from tests.support import tiny
from tests.support.training import OneRank


class Run:
    """A boundary whose evaluation and saving are written down; training is the counting of steps."""

    def __init__(self, folder, steps_per_epoch=10, engine=None, **settings):
        values = {"EVAL__EVERY_STEPS": "1000", "CHECKPOINT__EVERY_STEPS": "1000", "CHECKPOINT__EVERY_MINUTES": "0", **settings}
        self.settings = tiny.settings(folder, **values)
        self.engine = engine or OneRank()
        self.run_dir = RunDir(folder)
        self.evaluated, self.saved, self.beats = [], [], 0
        self.gains = {}
        self.interrupt_at = None
        work = Work(self._evaluate, self._save, steps_per_epoch)
        self.boundary = Boundary(self.engine, self.settings, StopFile(self.engine, self.run_dir), work, self._beat)

    def _evaluate(self, state):
        if self.interrupt_at == state.step:
            return False
        self.evaluated.append(state.step)
        state.evaluated_step = state.step
        state.evaluations_without_gain = 0 if self.gains.get(state.step) else state.evaluations_without_gain + 1
        return True

    def _save(self, state):
        self.saved.append((state.step, state.done))

    def _beat(self):
        self.beats += 1

    def train(self, num_steps, state=None):
        """What `Loop.run` does with a boundary."""
        state = state or TrainState()
        while state.step < num_steps:
            self.boundary.cross(state)
            if state.done:
                break
            state.step += 1
        self.boundary.finish(state)
        return state


def test_evaluates_every_steps_and_at_the_end(tmp_path):
    run = Run(tmp_path, EVAL__EVERY_STEPS="3")
    state = run.train(8)
    assert run.evaluated == [3, 6, 8]
    assert run.saved == [(8, True)]
    assert state.done
    assert run.beats == 8


def test_the_last_step_is_evaluated_once(tmp_path):
    run = Run(tmp_path, EVAL__EVERY_STEPS="4")
    run.train(8)
    assert run.evaluated == [4, 8]


@profile(max_examples=30, deadline=None)
@given(st.decimals("0.05", "3", places=2), st.integers(1, 40))
def test_evaluates_at_fractions_of_epochs(tmp_path_factory, epochs, steps_per_epoch):
    run = Run(tmp_path_factory.getbasetemp(), steps_per_epoch, EVAL__EVERY_STEPS="", EVAL__EVERY_EPOCHS=str(epochs))
    run.train(121)
    interval = Fraction(str(epochs)) * steps_per_epoch
    due = {-(-interval * times // 1) for times in range(1, int(121 / interval) + 2)}
    assert run.evaluated == sorted({int(step) for step in due if step <= 121} | {121})


def test_an_epoch_s_fraction_is_exact(tmp_path):
    """1.1 epochs of 10 steps are 11.000000000000002 in floating point, which step 11 has not reached."""
    run = Run(tmp_path, EVAL__EVERY_STEPS="", EVAL__EVERY_EPOCHS="1.1")
    run.train(23)
    assert run.evaluated == [11, 22, 23]


def test_saves_every_steps(tmp_path):
    run = Run(tmp_path, CHECKPOINT__EVERY_STEPS="3")
    run.train(9)
    assert run.saved == [(3, False), (6, False), (9, True)]


def test_saves_by_the_clock(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    run = Run(tmp_path, CHECKPOINT__EVERY_STEPS="", CHECKPOINT__EVERY_MINUTES="0.5")
    state = TrainState()
    for second, saved in [(29, []), (31, [1]), (45, [1]), (61, [1]), (62, [1, 4])]:
        clock[0] = float(second)
        if second != 29:
            state.step += 1
        run.boundary.cross(state)
        assert [step for step, _ in run.saved] == saved


def test_the_main_process_s_clock_decides_for_all(tmp_path, monkeypatch):
    engine = OneRank(rank=1, world_size=2)
    run = Run(tmp_path, engine=engine)
    monkeypatch.setattr(engine, "sum", lambda values: [values[0], 1.0])
    run.boundary.cross(TrainState(step=1))
    assert (run.saved, engine.barriers) == ([(1, False)], 1)  # rank 1 saves its part, and waits for rank 0


def test_stop_saves_then_raises(tmp_path):
    run = Run(tmp_path)
    state = TrainState(step=5)
    run.run_dir.stop.touch()
    with pytest.raises(StopRequested, match="after step 5"):
        run.boundary.cross(state)
    assert run.saved == [(5, False)]


def test_another_rank_s_stop_is_everyone_s(tmp_path, monkeypatch):
    engine = OneRank(rank=0, world_size=2)
    run = Run(tmp_path, engine=engine)
    monkeypatch.setattr(engine, "sum", lambda values: [1.0, *values[1:]] if len(values) == 2 else values)
    with pytest.raises(StopRequested):
        run.boundary.cross(TrainState(step=5))
    monkeypatch.setattr(engine, "sum", lambda values: [1.0])
    assert StopFile(engine, run.run_dir).agreed()
    assert not StopFile(engine, run.run_dir).exists()


def test_a_stop_during_the_evaluation_saves_without_it(tmp_path):
    run = Run(tmp_path, EVAL__EVERY_STEPS="5")
    run.interrupt_at = 5
    state = TrainState(step=5)
    with pytest.raises(StopRequested):
        run.boundary.cross(state)
    assert (run.saved, state.evaluated_step) == ([(5, False)], -1)

    resumed = Run(tmp_path, EVAL__EVERY_STEPS="5")  # the evaluation is made up for
    resumed.boundary.continue_from(state)
    resumed.train(7, state)
    assert resumed.evaluated == [5, 7]


def test_a_stop_during_the_last_evaluation(tmp_path):
    run = Run(tmp_path)
    run.interrupt_at = 3
    state = TrainState(step=2)
    run.boundary.cross(state)
    state.step += 1
    run.run_dir.stop.touch()
    with pytest.raises(StopRequested):
        run.boundary.finish(state)
    assert run.saved == [(3, False)]
    assert not state.done


def test_a_step_that_was_saved_is_not_saved_again(tmp_path):
    run = Run(tmp_path, CHECKPOINT__EVERY_STEPS="5")
    run.run_dir.stop.touch()
    with pytest.raises(StopRequested):
        run.boundary.cross(TrainState(step=5))
    assert run.saved == [(5, False)]

    resumed = Run(tmp_path, CHECKPOINT__EVERY_STEPS="5")
    resumed.boundary.continue_from(TrainState(step=5))
    with pytest.raises(StopRequested):
        resumed.boundary.cross(TrainState(step=5))
    assert resumed.saved == []


def test_no_second_evaluation_after_resuming(tmp_path):
    state = TrainState(step=6, evaluated_step=6)
    run = Run(tmp_path, EVAL__EVERY_STEPS="3")
    run.boundary.continue_from(state)
    run.train(7, state)
    assert run.evaluated == [7]


def test_resuming_at_the_end_only_finishes(tmp_path):
    state = TrainState(step=8, evaluated_step=8)
    run = Run(tmp_path)
    run.boundary.continue_from(state)
    run.train(8, state)
    assert (run.evaluated, run.saved) == ([], [(8, True)])


def test_early_stopping(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = Run(tmp_path, EVAL__EVERY_STEPS="2", EVAL__EARLY_STOPPING_PATIENCE="2")
    run.gains = {2: True, 6: True}
    state = run.train(100)
    assert run.evaluated == [2, 4, 6, 8, 10]
    assert (state.step, state.done, run.saved) == (10, True, [(10, True)])
    assert "early stopping after step 10" in caplog.text


def test_early_stopping_on_a_checkpoint_s_step_writes_one(tmp_path):
    run = Run(tmp_path, EVAL__EVERY_STEPS="2", EVAL__EARLY_STOPPING_PATIENCE="1", CHECKPOINT__EVERY_STEPS="2")
    run.gains = {2: True}
    run.train(100)
    assert run.saved == [(2, False), (4, True)]


def test_waits_with_its_heart_beating_while_uploads_are_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(boundaries, "POLL_S", 0.001)
    run = Run(tmp_path)
    answers = iter([True, True, False])
    work = dataclasses.replace(run.boundary._work, must_wait=lambda: next(answers))
    beats = []
    boundary = Boundary(run.boundary._engine, run.boundary._settings, run.boundary._stop, work, lambda: beats.append(1))
    run.run_dir.stop.touch()
    with pytest.raises(StopRequested):
        boundary.cross(TrainState(step=5))
    assert len(beats) == 3  # one at the boundary, two while waiting
    assert run.saved == [(5, False)]


def test_every_rank_saves(tmp_path):
    engine = OneRank()
    engine.is_main = engine.is_local_main = False
    run = Run(tmp_path, engine=engine, CHECKPOINT__EVERY_STEPS="4")
    run.train(5)
    assert run.saved == [(4, False), (5, True)]


def test_a_pass_before_the_first_step_beats_until_a_stop_is_agreed(tmp_path):
    beats, run_dir = [], RunDir(tmp_path)
    step = StopFile(OneRank(sums=[0.0, 1.0]), run_dir).ends(lambda: beats.append(1))
    step()
    with pytest.raises(StopRequested, match="before the first step"):  # another rank saw it
        step()
    assert len(beats) == 2
    step = StopFile(OneRank(), run_dir).ends(lambda: None)
    step()
    run_dir.stop.touch()
    with pytest.raises(StopRequested):
        step()
