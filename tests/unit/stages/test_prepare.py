"""A fake: ``supervise.run``, which writes the record that the prepare program would."""

from __future__ import annotations

import pytest

from job import run_dir as run_dirs
from job.errors import DataError, UnusableError
from job.records import FetchedInputs, PreparedData
from job.settings import resolved
from job.stages import prepare as stage
from job.stages.prepare import prepare
from tests.support import tiny

FETCHED = FetchedInputs({"model": {"sha256": "m"}, "data/train": {"sha256": "t"}})
PREPARED = PreparedData({"train": 3}, {"train": 30}, "single_label", ["a", "b"], [1, 2], 64, "data")


@pytest.fixture
def runs(monkeypatch):
    """The crews that the program was run with; ``runs.error`` is what it ends with."""

    class Runs(list):
        error = None

    done = Runs()

    def run(crew, program):
        assert program == "prepare"
        done.append(crew)
        if done.error:
            raise done.error
        PREPARED.write(crew.run_dir.prepared / "prepared.json")

    monkeypatch.setattr(stage.supervise, "run", run)
    return done


def test_one_process_whatever_the_number_of_workers(context, runs):
    assert prepare(context, FETCHED) == PREPARED
    assert [crew.topology.workers_per_node for crew in runs] == [1]


def test_what_a_checkpoint_must_share_is_written(context, runs, settings):
    prepare(context, FETCHED)
    identity = run_dirs.read_json(context.run_dir.identity)
    assert identity["settings_fingerprint"] == resolved.fingerprint(settings)
    other = FetchedInputs({**FETCHED.sources, "model": {"sha256": "another"}})
    prepare(context, other)
    assert run_dirs.read_json(context.run_dir.identity)["data_fingerprint"] != identity["data_fingerprint"]


def test_it_is_not_repeated_on_the_same_node(context, runs, make_context, settings):
    prepare(context, FETCHED)
    prepare(make_context(settings), FETCHED)
    assert len(runs) == 1


def test_limits_of_the_start_alone_do_not_prepare_anew(context, runs, make_context, tmp_path):
    """The end of the allocation is another one at every start."""
    prepare(context, FETCHED)
    prepare(make_context(tiny.settings(tmp_path, LIMITS__DEADLINE="4102444800", LIMITS__STALL_TIMEOUT_S="7")), FETCHED)
    assert len(runs) == 1


@pytest.mark.parametrize("changed", [{"TRAIN__MAX_SEQ_LENGTH": "8"}, {"LIMITS__MAX_LEAKED_SHARE": "0"}])
def test_other_settings_need_other_data(context, runs, make_context, tmp_path, changed):
    prepare(context, FETCHED)
    prepare(make_context(tiny.settings(tmp_path, **changed)), FETCHED)
    assert len(runs) == 2


@pytest.mark.parametrize("gone", ["prepared/prepared.json", "markers/prepare.json"])
def test_half_of_it_is_not_enough(context, runs, gone):
    prepare(context, FETCHED)
    (context.run_dir.root / gone).unlink()
    prepare(context, FETCHED)
    assert len(runs) == 2


def test_a_failure_leaves_no_marker(context, runs):
    prepare(context, FETCHED)
    runs.error = DataError("row 7")
    with pytest.raises(DataError):
        prepare(context, FetchedInputs({**FETCHED.sources, "data/train": {"sha256": "other"}}))
    assert not context.run_dir.marker("prepare").exists()


def test_a_checkpoint_of_other_data_is_not_continued(context, runs):
    prepare(context, FETCHED)
    same = run_dirs.read_json(context.run_dir.identity)["data_fingerprint"]
    assert prepare(context, FetchedInputs(FETCHED.sources, 10, same)) == PREPARED
    with pytest.raises(UnusableError, match="step 10 was trained on other data or from another model"):
        prepare(context, FetchedInputs(FETCHED.sources, 10, "other"))
