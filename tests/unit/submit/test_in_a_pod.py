import pytest
from pydantic import SecretStr

from job.errors import SettingsError
from job.settings import root
from job.settings.root import Settings
from job.settings.secret_values import SECRET_VARIABLES
from job.submit import in_a_pod
from tests.support.submissions import asked

SECRETS = [
    root.variable(group, name)
    for group, field in Settings.model_fields.items()
    for name, inner in getattr(field.annotation, "model_fields", {}).items()
    if SecretStr.__name__ in str(inner.annotation)
]
URIS = [name for name in root.variables() if name.endswith("URI")]


def refusal(request, set_by_the_pod=frozenset()):
    with pytest.raises(SettingsError) as raised:
        in_a_pod.check(request, set(set_by_the_pod))
    return raised.value.message


def test_a_request_that_can_run(tmp_path):
    in_a_pod.check(asked(tmp_path), {"JOB_RUN__DIR"})


@pytest.mark.parametrize("name", [*SECRETS, "AWS_ACCESS_KEY_ID", *SECRET_VARIABLES])
def test_no_secret_in_plain_text(tmp_path, name):
    message = refusal(asked(tmp_path, JOB_OUTPUT__HUB_REPO="org/name", **{name: "sesame"}))
    assert f"{name} is a secret" in message
    assert "sesame" not in message


@pytest.mark.parametrize("name", SECRETS)
def test_nor_in_a_variant(tmp_path, name):
    path = tmp_path / "variants.txt"
    path.write_text(f"JOB_RUN__SEED=1\n{name}=sesame\n")
    message = refusal(asked(tmp_path, JOB_OUTPUT__HUB_REPO="org/name", SUBMIT_VARIANTS_PATH=str(path)))
    assert f"{name} is a secret" in message
    assert "sesame" not in message


@pytest.mark.parametrize("name", URIS)
def test_no_local_path(tmp_path, name):
    assert f"{name} names a local path" in refusal(asked(tmp_path, **{name: "/data/x"}))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_text("{}")
    return str(path)


@pytest.mark.parametrize(
    ("name", "more", "instead"),
    [
        (
            "JOB_PARALLEL__DEEPSPEED_CONFIG",
            {"JOB_PARALLEL__ENGINE": "deepspeed"},
            "use SUBMIT_CACHE_CLAIM and a path below /work/.",
        ),
        ("JOB_MODEL__HUB_TOKEN_FILE", {}, "use SUBMIT_HUB_TOKEN_SECRET."),
        ("JOB_OUTPUT__HUB_TOKEN_FILE", {"JOB_OUTPUT__HUB_REPO": "org/name"}, "use SUBMIT_HUB_TOKEN_SECRET."),
        ("JOB_DATA__CHAT_TEMPLATE_FILE", {"JOB_TASK": "sft"}, "use JOB_DATA__CHAT_TEMPLATE with its text, or SUBMIT_CACHE_CLAIM"),
        ("AWS_SHARED_CREDENTIALS_FILE", {}, "use SUBMIT_S3_SECRET or SUBMIT_S3_ROLE."),
        ("AWS_CONFIG_FILE", {}, "use SUBMIT_S3_SECRET or SUBMIT_S3_ROLE."),
        ("HF_TOKEN_PATH", {}, "use SUBMIT_HUB_TOKEN_SECRET."),
    ],
)
def test_no_file_that_only_this_machine_has(tmp_path, file, name, more, instead):
    message = refusal(asked(tmp_path, **more, **{name: file}))
    assert f"{name} names a local path, which no pod has: {instead}" in message
    assert file not in message


def test_nor_one_that_a_variant_names(tmp_path, file):
    path = tmp_path / "variants.txt"
    path.write_text(f"JOB_RUN__SEED=1\nJOB_MODEL__HUB_TOKEN_FILE={file}\n")
    assert "JOB_MODEL__HUB_TOKEN_FILE names a local path" in refusal(asked(tmp_path, SUBMIT_VARIANTS_PATH=str(path)))


def test_but_where_the_component_mounts_it_there_is_a_token(tmp_path):
    in_a_pod.check(asked(tmp_path, HF_TOKEN_PATH="/var/run/secrets/hub/token", SUBMIT_HUB_TOKEN_SECRET="hub"), set())
    assert "HF_TOKEN_PATH" in refusal(asked(tmp_path, HF_TOKEN_PATH="/var/run/secrets/hub/token"))


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
