import time

import pytest

from job.errors import DataError
from job.reporting.status import Status


def test_the_newest_number_of_each_name_stays_over_stages():
    status = Status()
    status.begin("train")
    status.update({"step": 10, "train/loss": 2.0, "eval/curve": [1, 2], "epoch": None}, 0.0)
    before = status.values
    status.update({"step": 20, "train/loss": 1.5}, 1.0)
    status.begin("evaluate")
    assert (status.stage, status.values) == ("evaluate", {"step": 20.0, "train/loss": 1.5})
    assert before == {"step": 10.0, "train/loss": 2.0}, "readers in other threads hold what they got"


def test_time_left_is_by_the_pace_of_this_stage():
    status = Status()
    assert (status.remaining_s(0.0), status.share_done) == (None, None)
    status.update({"step": 100, "num_steps": 400}, 50.0)
    assert status.remaining_s(50.0) is None
    status.update({"step": 150, "num_steps": 400}, 60.0)
    assert status.remaining_s(60.0) == 250 * 10 / 50
    assert status.share_done == 150 / 400
    status.begin("evaluate")
    assert status.remaining_s(70.0) is None


def test_commits_and_failed_uploads_are_counted():
    status = Status()
    status.upload_failed()
    status.committed(20, 1.5)
    status.committed(40, 2.5)
    assert (status.num_uploads, status.num_failed_uploads, status.committed_step, status.upload_s) == (2, 1, 40, 2.5)
    assert 0 <= time.time() - status.committed_at < 60


def test_the_end_is_noted_as_an_exit_code():
    for error, code in ((None, 0), (DataError("x"), 65), (KeyError("bug"), 70)):
        status = Status()
        if error is None:
            with status.noting_the_end():
                assert status.exit_code is None
        else:
            with pytest.raises(type(error)), status.noting_the_end():
                raise error
        assert status.exit_code == code
