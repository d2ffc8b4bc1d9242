import pytest

from job.errors import SettingsError
from job.submit import in_a_pod
from tests.support.submissions import asked


def refusal(request, set_by_the_pod=frozenset()):
    with pytest.raises(SettingsError) as raised:
        in_a_pod.check(request, set(set_by_the_pod))
    return raised.value.message


def test_a_request_that_can_run(tmp_path):
    in_a_pod.check(asked(tmp_path), {"JOB_RUN__DIR"})


@pytest.mark.parametrize("name", in_a_pod.SECRETS)
def test_no_secret_in_plain_text(tmp_path, name):
    message = refusal(asked(tmp_path, **{name: "sesame"}))
    assert f"{name} is a secret" in message
    assert "sesame" not in message


@pytest.mark.parametrize("name", ["JOB_MODEL__URI", "JOB_DATA__TRAIN_URI", "JOB_DATA__TEST_URI", "JOB_OUTPUT__URI"])
def test_no_local_path(tmp_path, name):
    assert f"{name} names a local path" in refusal(asked(tmp_path, **{name: "/data/x"}))


def test_but_on_a_claim_there_is_one(tmp_path):
    in_a_pod.check(asked(tmp_path, JOB_DATA__TRAIN_URI="/work/data.csv", SUBMIT_CACHE_CLAIM="claim"), set())
    assert "JOB_DATA__TRAIN_URI" in refusal(asked(tmp_path, JOB_DATA__TRAIN_URI="/data.csv", SUBMIT_CACHE_CLAIM="claim"))


def test_what_the_pod_sets_is_not_said_twice(tmp_path):
    assert "JOB_RUN__GRACE_S comes from the pod" in refusal(asked(tmp_path, JOB_RUN__GRACE_S="60"), {"JOB_RUN__GRACE_S"})


def test_every_variant_is_looked_at(tmp_path):
    path = tmp_path / "variants.txt"
    path.write_text("JOB_RUN__SEED=1\nJOB_DATA__TRAIN_URI=/data/x.csv\n")
    assert "JOB_DATA__TRAIN_URI names a local path" in refusal(asked(tmp_path, SUBMIT_VARIANTS_PATH=str(path)))


def test_no_file_of_settings(tmp_path):
    (tmp_path / "job.yaml").write_text("train: {epochs: 1}")
    assert "JOB_CONFIG names a file" in refusal(asked(tmp_path, JOB_CONFIG=str(tmp_path / "job.yaml")))


def test_all_at_once_and_no_image(tmp_path):
    message = refusal(asked(tmp_path, SUBMIT_IMAGE="", JOB_OUTPUT__URI="runs", HF_TOKEN="x"))
    assert message.count("\n") == 3
