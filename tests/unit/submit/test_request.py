import pytest

from job.errors import SettingsError
from job.submit import request
from tests.support.submissions import asked, variants, written


def refusal(path):
    with pytest.raises(SettingsError) as raised:
        request.read(path)
    return raised.value.message


def test_a_file_is_read_as_docker_reads_it():
    variables, problems = request.parse("# c\n\nA=1 2\nB='x'\nC=a=b\n  # d\n")
    assert variables == {"A": "1 2", "B": "'x'", "C": "a=b"}
    assert not problems


def test_lines_that_say_nothing_or_too_much():
    _, problems = request.parse("export A=1\nB=1\nB=2\n")
    assert [problem[:6] for problem in problems] == ["Line 1", "Line 3"]


def test_the_job_gets_its_own_lines(tmp_path):
    found = asked(tmp_path, AWS_REGION="eu-central-1", BATCH_CONTAINER="none", SUBMIT_NODES="2")
    assert found.runs[0].run.name == "first"
    assert found.options.nodes == 2
    assert "AWS_REGION" in found.for_the_job()
    assert not [name for name in found.for_the_job() if name.startswith(("SUBMIT_", "BATCH_"))]


def test_everything_wrong_is_said_at_once_without_values(tmp_path):
    path = written(tmp_path, JOB_TRAIN__EPOCHS="-13", JOB_TYPO="17", SUBMIT_NODES="many", JOB_OUTPUT__URI="")
    path.write_text(path.read_text() + "not a line\n")
    message = refusal(path)
    assert all(name in message for name in ("JOB_TRAIN__EPOCHS", "JOB_TYPO", "SUBMIT_NODES", "JOB_OUTPUT__URI is missing", "Line "))
    assert not any(value in message for value in ("-13", "17", "many"))


def test_lines_for_the_slurm_script_are_checked_too(tmp_path):
    assert "BATCH_CONTANER is nothing" in refusal(written(tmp_path, BATCH_CONTANER="podman"))
    assert "BATCH_CONTAINER needs BATCH_IMAGE" in refusal(written(tmp_path, BATCH_CONTAINER="podman"))
    assert asked(tmp_path, BATCH_CONTAINER="podman", BATCH_IMAGE="image", BATCH_SCRATCH="/tmp", BATCH_MAX_RETRIES="1")
    assert asked(tmp_path, BATCH_CONTAINER="none")


def test_line_ends_of_windows_are_no_part_of_a_value(tmp_path):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert "line ends of Windows" in refusal(path)


def test_a_file_that_is_not_there(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "none.env")


def test_every_variant_is_checked(tmp_path):
    found = asked(tmp_path, SUBMIT_VARIANTS_PATH=variants(tmp_path))
    assert (len(found.runs), found.name, found.is_sweep) == (3, "first", True)
    assert found.variants == tuple({"JOB_RUN__SEED": str(seed)} for seed in range(3))
    (tmp_path / "variants.txt").write_text("JOB_RUN__SEED=1\nJOB_TRAIN__EPOCHS=0\n")
    assert "JOB_TRAIN__EPOCHS" in refusal(tmp_path / "run.env")
    (tmp_path / "variants.txt").write_text("# none\n")
    assert "has no variant" in refusal(tmp_path / "run.env")


def test_a_variant_may_bring_what_is_required(tmp_path):
    path = tmp_path / "variants.txt"
    path.write_text("JOB_MODEL__URI=hf://org/a\nJOB_MODEL__URI=hf://org/b\n")
    assert asked(tmp_path, SUBMIT_VARIANTS_PATH=str(path), JOB_MODEL__URI="").runs[1].model.uri == "hf://org/b"


def test_the_index_is_the_schedulers(tmp_path):
    assert "SUBMIT_VARIANTS_PATH" in refusal(written(tmp_path, JOB_SWEEP__INDEX="1"))


@pytest.mark.parametrize(("run", "name"), [("a-b", "a-b"), ("run1", "run1")])
def test_a_plain_name_stays(tmp_path, run, name):
    assert asked(tmp_path, JOB_RUN__NAME=run).name == name


def test_other_names_become_one_that_is_still_theirs_alone(tmp_path):
    names = {asked(tmp_path, JOB_RUN__NAME=run).name for run in ("a_b", "a.b", "A-b", "a-b", "a-b_", "x" * 60, "x" * 61)}
    assert len(names) == 7
    assert all(len(name) <= request.LONGEST_NAME and not name.endswith("-") for name in names)
