import json

import pytest

from job.settings import resolved, root
from tests.support.environments import MINIMAL, OTHER, TOGETHER, load

NO_EFFECT = {
    "JOB_RUN__NAME", "JOB_RUN__DIR", "JOB_RUN__TIME_LIMIT_S", "JOB_RUN__GRACE_S", "JOB_RUN__LOG_FORMAT", "JOB_RUN__STOP_FILE", "JOB_RUN__TERMINATION_LOG",
    "JOB_MODEL__URI", "JOB_MODEL__REVISION", "JOB_MODEL__BASE_URI", "JOB_MODEL__HUB_TOKEN",
    "JOB_DATA__TRAIN_URI", "JOB_DATA__EVAL_URI", "JOB_DATA__TEST_URI",
    "JOB_TRAIN__DATA_WORKERS", "JOB_TRAIN__LOG_EVERY_STEPS", "JOB_TRAIN__MICRO_BATCH_SIZE", "JOB_TRAIN__MICRO_BATCH_TOKENS",
    "JOB_EVAL__MICRO_BATCH_TOKENS", "JOB_EVAL__BOOTSTRAP_SAMPLES", "JOB_EVAL__CONFIDENCE",
    "JOB_SWEEP__INDEX",  # without a file it chooses nothing
}  # fmt: skip
NO_EFFECT_GROUPS = ("JOB_CHECKPOINT", "JOB_OUTPUT", "JOB_PARALLEL", "JOB_LIMITS", "JOB_METRICS")
ONLY_CHOICE = {"JOB_TASK", "JOB_TUNING__METHOD"}


@pytest.mark.parametrize("name", sorted(OTHER.keys() - ONLY_CHOICE))
def test_the_fingerprint_changes_with_what_decides_the_result_and_only_with_that(name):
    before = root.load(MINIMAL)
    after = root.load(MINIMAL | TOGETHER.get(name, {}) | {name: OTHER[name]})
    same = resolved.fingerprint(before) == resolved.fingerprint(after)
    assert same == (name in NO_EFFECT or name.startswith(NO_EFFECT_GROUPS))


def test_the_fingerprint_is_the_same_wherever_the_values_come_from(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("train: {epochs: 2}")
    assert resolved.fingerprint(load(TRAIN__EPOCHS="2.0")) == resolved.fingerprint(root.load(MINIMAL | {"JOB_CONFIG": str(path)}))


def test_secrets_are_masked(tmp_path):
    text = json.dumps(resolved.dump(load(MODEL__HUB_TOKEN="hf_sesame")))
    assert "sesame" not in text
    assert '"hub_token": "**********"' in text


def test_read_gives_back_what_was_dumped(tmp_path):
    settings = root.load(
        MINIMAL | {name: value for name, value in OTHER.items() if name not in TOGETHER and name != "JOB_MODEL__HUB_TOKEN"}
    )
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(resolved.dump(settings)))
    assert resolved.read(path) == settings
