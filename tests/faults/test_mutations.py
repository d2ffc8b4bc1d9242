"""The cheap form of ``python -m tests.faults --mutations``: the protocol against a folder, whole and broken, judged by the matrix's own invariants.

The stop flag needs real workers: it is broken by the command alone.
"""

import contextlib
import dataclasses
import json
from types import SimpleNamespace

import pytest

from job.errors import DeniedError, FencedError
from job.stages import start
from job.storage import commit, payload, resume
from job.storage.commit import Attempt, RunLog
from job.storage.local import LocalStore
from tests.faults import invariants
from tests.faults.bench import NAME, Subject
from tests.faults.mutations import MUTATIONS
from tests.support.servers.faulty import CrashedHereError, FaultyStore

PLACES = [
    (payload, "upload_files"),
    (payload, "upload_manifest"),
    (Attempt, "_append"),
    (Attempt, "commit_checkpoint"),
    (start, "_run_log"),
    (resume, "find_resume"),
]
"""Whatever a mutation may replace: put back after the test."""


class Scene:
    """A run in a folder: commits, crashes and refusals, without any training."""

    def __init__(self, folder):
        self.folder = folder
        self.subject = Subject(None, folder)
        self.store = LocalStore(self.subject.store)

    def begin(self, store=None):
        return dataclasses.replace(start._run_log(None), store=store or self.store).start("s")

    def commit(self, attempt, step):
        made = self.folder / "made" / str(step)
        made.mkdir(parents=True, exist_ok=True)
        (made / "state.json").write_text(json.dumps({"step": step}))
        (made / "model.safetensors").write_bytes(bytes([step]) * 100)
        attempt.commit_checkpoint(made, {"step": step, "settings_fingerprint": "s", "data_fingerprint": "d"})


def crashed_after(text):
    """The node process dies after such a write, in the second commit."""

    def play(scene):
        faulty = FaultyStore(scene.store)
        attempt = scene.begin(faulty)
        scene.commit(attempt, 1)
        faulty.crash_after = text
        with contextlib.suppress(CrashedHereError):
            scene.commit(attempt, 2)
        return []

    return play


def several(scene):
    attempt = scene.begin()
    for step in range(1, 5):
        scene.commit(attempt, step)
        attempt.retain(2)
    return []


def two(scene):
    first = scene.begin()
    scene.commit(first, 1)
    second = scene.begin()
    scene.commit(second, 2)
    try:
        scene.commit(first, 3)
    except FencedError:
        return []
    return ["the older attempt was not fenced off"]


def refused(scene):
    scene.commit(scene.begin(), 1)
    denying = SimpleNamespace(read_bytes=lambda _: (_ for _ in ()).throw(DeniedError("The store denied access.")))
    try:
        found = commit.resume.find_resume(denying, RunLog(scene.store, NAME).read(), scene.folder / "resumed", {})
    except DeniedError:
        return []
    return [f"went on with {found}"]


PLAYS = {
    "manifest-first": crashed_after("MANIFEST.json"),
    "entry-first": crashed_after("/log/"),
    "no-fence": two,
    "delete-first": several,
    "denied-is-fresh": refused,
}


@pytest.mark.parametrize("broken", [False, True], ids=["as it is", "broken"])
@pytest.mark.parametrize("name", PLAYS)
def test_the_matrix_turns_red_when_the_protocol_is_broken_and_only_then(tmp_path, monkeypatch, name, broken):
    for place, attribute in PLACES:
        monkeypatch.setattr(place, attribute, getattr(place, attribute))
    scene = Scene(tmp_path)
    monkeypatch.setattr(start, "_run_log", lambda _: RunLog(scene.store, NAME))
    if broken:
        MUTATIONS[name].apply()
    wrong = PLAYS[name](scene) + invariants.check(scene.subject)
    assert bool(wrong) == broken, wrong


def test_every_mutation_of_the_store_has_a_cheap_form():
    assert MUTATIONS.keys() - PLAYS.keys() == {"stop-alone"}
