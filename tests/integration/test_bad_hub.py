"""A Hub that does not give the model, as whole starts.  Its client reads HF_ENDPOINT when it is imported, so each is a process."""

from __future__ import annotations

import json

import pytest

from job.storage.local import LocalStore
from tests.support import starts
from tests.support.hub_samples import MODEL_CONTENT
from tests.support.minihub import MiniHub
from tests.support.minihub_faults import ALWAYS, Fault
from tests.support.starts import CANARY, Answer, bench

__all__ = ["bench"]

SHORT = {"JOB_LIMITS__STORE_TIMEOUT_S": "1"}
# fmt: off
CASES: dict[str, tuple[dict[str, str | None], tuple[Fault, ...], int, str, str]] = {
    # name: (variables, faults of the Hub, code, what the message says, what the hint names)
    "a token the Hub does not know": ({"JOB_MODEL__HUB_TOKEN": CANARY}, (), 77, "does not accept the token used for JOB_MODEL__URI", "JOB_MODEL__HUB_TOKEN_FILE"),
    "a gated model": ({"HF_TOKEN": None, "JOB_MODEL__URI": "hf://org/gated"}, (), 77, "JOB_MODEL__URI is gated", "ask for access"),
    "a model that is not there": ({"HF_TOKEN": None, "JOB_MODEL__URI": "hf://org/none"}, (), 64, "JOB_MODEL__URI names a repository that does not exist", "Check the spelling"),
    "a commit that is not there": ({"HF_TOKEN": None, "JOB_MODEL__REVISION": "0" * 40}, (), 64, "no such branch, tag or commit", "JOB_MODEL__REVISION"),
    "a data set that is not there": ({"HF_TOKEN": None, "JOB_DATA__TEST_URI": "hf://datasets/org/none"}, (), 64, "JOB_DATA__TEST_URI names a repository that does not exist", "Check the spelling"),
    "a Hub that always fails": ({"HF_TOKEN": None, **SHORT}, (Fault("GET /api", ALWAYS, status=500),), 69, "the Hub answered 500", "JOB_LIMITS__STORE_TIMEOUT_S"),
    "weights that are always wrong": ({"HF_TOKEN": None, **SHORT}, (Fault("GET /files/", ALWAYS, flipped=True),), 69, "model.safetensors", ""),
    "a Hub that nobody may ask": ({"HF_HUB_OFFLINE": "1"}, (), 64, "HF_HUB_OFFLINE is set", "Unset it"),
    "a Hub in the open": ({"HF_ENDPOINT": "http://203.0.113.7"}, (), 64, "HF_ENDPOINT is not an https address", "https://"),
}
# fmt: on


@pytest.mark.parametrize("name", CASES)
def test_the_hub_does_not_give_it(bench, hub: MiniHub, tmp_path, name):
    variables, faults, code, says, remedy = CASES[name]
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.add("model", "org/gated", MODEL_CONTENT, gated=True)
    hub.fail(*faults)
    here = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf-home"), "JOB_MODEL__URI": "hf://org/name"}
    ended = starts.as_process(bench.environ({**here, **variables}), tmp_path)
    starts.check_answer(ended, Answer(code, says, remedy))
    starts.check_run_dir(ended, bench.run_dir)
    assert "s3cr3t-signature" not in ended.output
    assert starts.check_store(LocalStore(bench.store)) == ["started", "failed"]
    record = next(bench.store.glob("*/attempts/*/failure.json"))
    assert json.loads(record.read_bytes()) == ended.failure
    assert name == "a data set that is not there" or not list(bench.run_dir.glob("inputs/model/*"))
    assert ended.seconds < 20
