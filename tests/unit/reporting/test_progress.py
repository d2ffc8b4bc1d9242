import io
import logging

import pytest

from job.reporting.logs import CLEAR_LINE
from job.reporting.progress import LOG_EVERY_S, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def shown(stream):
    """What stands on the terminal in the end, line by line."""
    return [line.split(CLEAR_LINE)[-1] for line in stream.getvalue().split("\n")]


def test_line_tells_step_loss_speed_and_time_left(clock):
    stream = Terminal()
    progress = Progress(stream, "auto", clock)
    progress.stage("train")
    progress.update({"step": 10, "num_steps": 110, "train/loss": 0.7})
    clock.now += 20
    progress.update({"step": 30, "num_steps": 110, "train/loss": 0.5, "perf/tokens_per_second": 12345.6})
    assert shown(stream) == ["train  step 30/110  loss 0.500  12,346 tokens/s  1 min 20 s left"]


def test_evaluation_stays_on_the_line(clock):
    stream = Terminal()
    progress = Progress(stream, "text", clock)
    progress.stage("train")
    progress.update({"step": 10, "eval/loss": 0.4, "eval/accuracy": 0.9})
    progress.update({"step": 11, "train/loss": None})
    assert shown(stream) == ["train  step 11  validation accuracy 0.900"]


def test_a_stage_that_is_over_leaves_its_line(clock):
    stream = Terminal()
    progress = Progress(stream, "auto", clock)
    progress.stage("fetch")
    clock.now += 2
    progress.stage("train")
    clock.now += 3
    progress.done("5 steps")
    assert shown(stream) == ["fetch  2.0 s", "train  3.0 s  5 steps", ""]


def test_a_stage_renamed_at_once_leaves_none(clock):
    stream = Terminal()
    progress = Progress(stream, "auto", clock)
    progress.stage("evaluate")
    progress.stage("evaluate step 12")
    assert shown(stream) == ["evaluate step 12 ..."]


def test_line_is_cut_to_the_terminal(clock):
    stream = Terminal()
    Progress(stream, "auto", clock).stage("x" * 200)
    assert len(shown(stream)[0]) < 80


def test_elsewhere_a_record_now_and_then(clock, caplog):
    stream = io.StringIO()
    progress = Progress(stream, "auto", clock)
    with caplog.at_level(logging.INFO):
        progress.stage("train")
        for step in range(1, 100):
            clock.now += LOG_EVERY_S / 10
            progress.update({"step": step, "num_steps": 100})
        progress.done("done")
    assert stream.getvalue() == ""
    assert len(caplog.records) == 1 + 9 + 1
    assert caplog.records[1].step == 10
