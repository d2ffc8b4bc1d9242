"""The commit protocol, against a folder and against Ceph over https: whatever happens, the newest commit that counts is whole."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from job.errors import DeniedError, FencedError, UnavailableError, UnusableError
from job.storage.base import abort_uploads
from job.storage.commit import RunLog
from job.storage.probe import probe
from job.storage.retention import live_commits
from tests.support.servers.faulty import CrashedHereError, FaultyStore

FINGERPRINT = "settings-1"
EXPECTED = {"settings_fingerprint": FINGERPRINT}


@pytest.fixture
def store(run_place):
    return run_place.open()


@pytest.fixture
def make_checkpoint(tmp_path):
    """``make_checkpoint(step)``: a folder of files that say which step they are of."""

    def make(step):
        folder = tmp_path / "made" / f"step-{step}"
        (folder / "below").mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(random.Random(step).randbytes(5000))
        (folder / "below" / "optimizer-rank-0.safetensors").write_bytes(b"moments %d" % step)
        (folder / "state.json").write_text(json.dumps({"step": step}))
        return folder

    return make


def fields(step, **more):
    return {"step": step, "settings_fingerprint": FINGERPRINT, "data_fingerprint": "data-1", **more}


def begin(store, **options):
    return RunLog(store, "run", **options).start(FINGERPRINT, {"versions": {"job": "0"}})


def metric(value, *, greater_is_better=True):
    return {"name": "accuracy", "value": value, "greater_is_better": greater_is_better}


def same(folder, other):
    def content(root):
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    return content(folder) == content(other)


def test_a_run_from_start_to_end(store, make_checkpoint, tmp_path):
    assert RunLog(store, "run").read() == []
    attempt = begin(store)
    assert (attempt.number, attempt.last_step, attempt.last_commit) == (1, None, None)
    assert attempt.find_resume(tmp_path / "resumed", EXPECTED) is None
    entry = attempt.commit_checkpoint(make_checkpoint(10), fields(10, world=1), metric(0.5))
    assert attempt.last_step == 10
    assert attempt.last_commit == entry["manifest"] == f"run/attempts/{attempt.nonce}/checkpoints/step-0000000010/MANIFEST.json"
    assert attempt.write_part("metrics-0000000010.jsonl", b"{}\n") == f"run/attempts/{attempt.nonce}/metrics-0000000010.jsonl"
    published = attempt.publish_model(make_checkpoint(11), fields(11), {"metric": "accuracy", "value": 0.5})
    assert attempt.uri_of(published) == f"{store.uri}/run/attempts/{attempt.nonce}/model"
    attempt.complete(published["result"])
    entries = RunLog(store, "run").read()
    assert [entry.kind for entry in entries] == ["started", "committed", "published", "complete"]
    assert entries == attempt.entries
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["versions"] == {"job": "0"}


def test_an_attempt_continues_from_the_newest_commit(store, make_checkpoint, tmp_path):
    first = begin(store)
    for step in (10, 20):
        first.commit_checkpoint(make_checkpoint(step), fields(step))
    first.stopped({"message": "asked to"})
    second = begin(store)
    point = second.find_resume(tmp_path / "resumed", EXPECTED | {"data_fingerprint": "data-1"})
    assert (point.step, point.manifest.step, second.number) == (20, 20, 2)
    assert same(point.folder, make_checkpoint(20))
    # what lies there already and verifies is not fetched again; what does not is replaced
    (tmp_path / "resumed" / "state.json").write_text("{}")
    (tmp_path / "resumed" / "more").write_text("")
    assert same(second.find_resume(tmp_path / "resumed", EXPECTED).folder, make_checkpoint(20))
    history = second.history()
    assert [(attempt["number"], attempt["steps"], attempt.get("stopped")) for attempt in history] == [
        (1, 20, "asked to"),
        (2, None, None),
    ]


def test_eight_starts_at_once_make_one_lineage(run_place, store, make_checkpoint, tmp_path):
    gate = threading.Barrier(8)

    def start(index):
        own = run_place.open()
        gate.wait(60)
        attempt = begin(own)
        try:
            attempt.commit_checkpoint(make_checkpoint(index), fields(index))
        except FencedError:
            return attempt, False
        return attempt, True

    folders = [make_checkpoint(index) for index in range(8)]
    assert folders
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(start, range(8)))
    entries = RunLog(store, "run").read()
    assert sorted(attempt.number for attempt, _ in results) == list(range(1, 9))
    assert [entry.attempt for entry in entries if entry.kind == "started"] == list(range(1, 9))
    # every commit is by the attempt that was the newest at that moment, and the last attempt has one
    newest = 0
    for entry in entries:
        newest = max(newest, entry.attempt)
        assert entry.attempt == newest
    assert entries[-1].attempt == 8
    assert sum(committed for _, committed in results) == sum(entry.kind == "committed" for entry in entries)
    assert begin(store).find_resume(tmp_path / "resumed", EXPECTED).step == entries[-1]["step"]


def test_a_newer_attempt_fences_off_the_older_for_good(store, make_checkpoint):
    old = begin(store)
    old.commit_checkpoint(make_checkpoint(1), fields(1))
    new = begin(store)
    for _ in range(2):
        for action in (
            lambda: old.commit_checkpoint(make_checkpoint(2), fields(2)),
            lambda: old.publish_model(make_checkpoint(2), fields(2)),
            old.complete,
            lambda: old.retain(0),
        ):
            with pytest.raises(FencedError, match=r"Attempt 2 .* attempt 1, has lost"):
                action()
        new.commit_checkpoint(make_checkpoint(3), fields(3))
    assert [(entry.kind, entry.attempt) for entry in RunLog(store, "run").read()] == [
        *[("started", 1), ("committed", 1), ("started", 2), ("committed", 2), ("committed", 2)]
    ]


def test_an_upload_that_a_newer_attempt_aborted_says_fenced(store, make_checkpoint):
    faulty = FaultyStore(store)
    old = begin(faulty)
    begin(store)
    faulty.lose_reply = "step-0000000001/model"
    with pytest.raises(FencedError):
        old.commit_checkpoint(make_checkpoint(1), fields(1))


def test_without_a_fence_both_go_on_and_the_history_stays_readable(store, make_checkpoint):
    old, new = begin(store, fenced=False), begin(store, fenced=False)
    old.commit_checkpoint(make_checkpoint(1), fields(1))
    new.commit_checkpoint(make_checkpoint(2), fields(2))
    old.complete()
    assert [(entry.number, entry.kind, entry.attempt) for entry in RunLog(store, "run").read()] == [
        (1, "started", 1),
        (2, "started", 2),
        (3, "committed", 1),
        (4, "committed", 2),
        (5, "complete", 1),
    ]


def test_a_lost_reply_is_no_fence_and_no_second_entry(store, make_checkpoint):
    class Deaf(FaultyStore):
        """Does what it is told and answers that somebody else had done it: what boto3 sees after a reply was lost."""

        def put_if_absent(self, key, data):
            super().put_if_absent(key, data)
            return False

    attempt = begin(Deaf(store))
    attempt.commit_checkpoint(make_checkpoint(1), fields(1))
    assert [entry.kind for entry in RunLog(store, "run").read()] == ["started", "committed"]


def test_an_append_that_was_given_up_but_arrived_is_not_taken_for_the_next(store, make_checkpoint, tmp_path):
    faulty = FaultyStore(store)
    attempt = begin(faulty)
    faulty.lose_reply = "log/0000000002"
    with pytest.raises(UnavailableError):
        attempt.commit_checkpoint(make_checkpoint(1), fields(1))
    attempt.commit_checkpoint(make_checkpoint(2), fields(2))
    assert [(entry.kind, entry.fields.get("step")) for entry in RunLog(store, "run").read()] == [
        ("started", None),
        ("committed", 1),
        ("committed", 2),
    ]
    assert attempt.entries == RunLog(store, "run").read()
    assert begin(store).find_resume(tmp_path / "resumed", EXPECTED).step == 2


@pytest.mark.parametrize("when", ["crash_before", "crash_after"])
@pytest.mark.parametrize(
    "where", ["step-0000000002/below", "step-0000000002/state.json", "step-0000000002/MANIFEST", "log/0000000003"]
)
def test_a_crash_at_any_point_leaves_a_whole_commit(store, make_checkpoint, tmp_path, when, where):
    faulty = FaultyStore(store)
    attempt = begin(faulty)
    attempt.commit_checkpoint(make_checkpoint(1), fields(1))
    setattr(faulty, when, where)
    with pytest.raises(CrashedHereError):
        attempt.commit_checkpoint(make_checkpoint(2), fields(2))
    point = begin(store).find_resume(tmp_path / "resumed", EXPECTED)
    assert point.step == (2 if (when, where) == ("crash_after", "log/0000000003") else 1)
    assert same(point.folder, make_checkpoint(point.step))


@pytest.mark.parametrize("where", ["step-0000000001/MANIFEST", "step-0000000001/state.json", "log/0000000005"])
def test_a_crash_while_deleting_is_finished_by_the_next_start(store, make_checkpoint, tmp_path, where):
    faulty = FaultyStore(store)
    attempt = begin(faulty)
    for step in (1, 2, 3):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step))
    faulty.crash_after = where
    with pytest.raises(CrashedHereError):
        attempt.retain(2)
    resumed = begin(store)
    assert not list(store.list(f"run/attempts/{attempt.nonce}/checkpoints/step-0000000001/"))
    assert resumed.find_resume(tmp_path / "resumed", EXPECTED).step == 3


DAMAGES = {
    "other bytes": lambda store, key: store.write_bytes(key, bytes(byte ^ 1 for byte in store.read_bytes(key))),
    "cut off": lambda store, key: store.write_bytes(key, store.read_bytes(key)[:-1]),
    "gone": lambda store, key: store.delete(key),
}


@pytest.mark.parametrize(
    "damage", [(how, name) for how in DAMAGES for name in ("model.safetensors", "state.json", "MANIFEST.json")]
)
def test_a_damaged_commit_falls_back_to_the_one_before(store, make_checkpoint, tmp_path, caplog, damage):
    how, name = damage
    attempt = begin(store)
    for step in (1, 2):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step))
    DAMAGES[how](store, attempt.last_commit.replace("MANIFEST.json", name))
    point = begin(store).find_resume(tmp_path / "resumed", EXPECTED)
    assert point.step == 1
    assert same(point.folder, make_checkpoint(1))
    assert "step 2 (attempt 1)" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")) == []


def test_commits_of_which_none_is_usable_are_never_a_fresh_start(store, make_checkpoint, tmp_path):
    attempt = begin(store)
    for step in (1, 2):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step))
        DAMAGES["other bytes"](store, attempt.last_commit.replace("MANIFEST.json", "state.json"))
    with pytest.raises(UnusableError, match=r"2 checkpoints and none.*step 2.*state\.json has the right size.*step 1"):
        begin(store).find_resume(tmp_path / "resumed", EXPECTED)
    assert not (tmp_path / "resumed").exists()


def test_other_settings_or_data_are_not_continued(store, make_checkpoint, tmp_path):
    begin(store).commit_checkpoint(make_checkpoint(1), fields(1))
    for expected in ({"settings_fingerprint": "other"}, EXPECTED | {"data_fingerprint": "other"}):
        name = "settings" if "data_fingerprint" not in expected else "data"
        with pytest.raises(UnusableError, match=f"another {name} fingerprint"):
            begin(store).find_resume(tmp_path / "resumed", expected)


def test_a_manifest_put_in_anothers_place_is_not_believed(store, make_checkpoint, tmp_path):
    attempt = begin(store)
    first = attempt.commit_checkpoint(make_checkpoint(1), fields(1))
    second = attempt.commit_checkpoint(make_checkpoint(2), fields(2))
    store.write_bytes(second["manifest"], store.read_bytes(first["manifest"]))
    assert begin(store).find_resume(tmp_path / "resumed", EXPECTED).step == 1


@pytest.mark.parametrize("error", [DeniedError("403"), UnavailableError("503")])
def test_denied_or_unavailable_is_never_a_fresh_start_or_an_older_commit(store, make_checkpoint, tmp_path, error):
    class Refusing(FaultyStore):
        refused = ""

        def list(self, prefix):
            if self.refused in prefix:
                raise error
            return super().list(prefix)

        def read_bytes(self, key):
            if self.refused in key:
                raise error
            return super().read_bytes(key)

        def read_file(self, key, path):
            if self.refused in key:
                raise error
            super().read_file(key, path)

    attempt = begin(store)
    for step in (1, 2):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step))
    for refused in ("run/log/", "step-0000000002/MANIFEST", "step-0000000002/model"):
        refusing = Refusing(store)
        refusing.refused = refused
        with pytest.raises(type(error)):
            begin(refusing).find_resume(tmp_path / "resumed", EXPECTED)


@pytest.mark.parametrize("wrong", ["gap", "foreign", "damaged", "number"])
def test_a_log_that_cannot_be_read_stops_the_run(store, make_checkpoint, wrong):
    attempt = begin(store)
    attempt.commit_checkpoint(make_checkpoint(1), fields(1))
    match wrong:
        case "gap":
            store.delete("run/log/0000000001.json")
        case "foreign":
            store.write_bytes("run/log/notes.txt", b"")
        case "damaged":
            store.write_bytes("run/log/0000000002.json", b"{")
        case "number":
            store.write_bytes("run/log/0000000002.json", store.read_bytes("run/log/0000000001.json"))
    for action in (RunLog(store, "run").read, lambda: begin(store)):
        with pytest.raises(UnusableError, match="log"):
            action()


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_the_newest_and_the_best_are_kept(store, make_checkpoint, tmp_path, greater_is_better):
    attempt = begin(store)
    values = [0.5, 0.9, 0.1, float("nan"), 0.6, 0.4]
    for step, value in enumerate(values, 1):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step), metric(value, greater_is_better=greater_is_better))
        attempt.retain(2)
    best = 2 if greater_is_better else 3
    assert [entry["step"] for entry in live_commits(RunLog(store, "run").read())] == [best, 5, 6]
    left = {info.key.split("/")[4] for info in store.list(f"run/attempts/{attempt.nonce}/checkpoints/")}
    assert left == {f"step-{step:010d}" for step in (best, 5, 6)}
    assert begin(store).find_resume(tmp_path / "resumed", EXPECTED).step == 6


def test_what_the_log_never_listed_is_not_touched(store, make_checkpoint):
    attempt = begin(store)
    foreign = f"run/attempts/{attempt.nonce}/checkpoints/step-0000000009/file"
    store.write_bytes(foreign, b"not ours")
    for step in range(1, 5):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step))
    assert attempt.retain(2) == 2
    assert attempt.retain(2) == 0
    assert store.read_bytes(foreign) == b"not ours"


def test_nothing_is_deleted_before_the_log_says_so(store, make_checkpoint):
    faulty = FaultyStore(store)
    attempt = begin(faulty)
    for step in (1, 2, 3):
        attempt.commit_checkpoint(make_checkpoint(step), fields(step))
    faulty.written.clear()
    attempt.retain(2)
    assert faulty.written[0] == "run/log/0000000005.json"
    assert all("step-0000000001/" in key for key in faulty.written[1:])


def test_the_failure_record_is_kept_beside_the_log(store):
    attempt = begin(store)
    attempt.failed({"code": 70, "message": "a bug"})
    assert json.loads(store.read_bytes(f"run/attempts/{attempt.nonce}/failure.json"))["code"] == 70
    assert begin(store).history()[0]["failed"] == "a bug"


def test_a_probe_is_no_run(store):
    probe(store, "run").require()
    assert RunLog(store, "run").read() == []


def test_interrupted_uploads_of_earlier_attempts_are_cleaned_up(run_place, store):
    first = begin(store)
    key = f"run/attempts/{first.nonce}/checkpoints/step-0000000001/model"
    if run_place.is_s3:
        store.bucket.client.create_multipart_upload(Bucket=store.bucket.name, Key=store.root + key)
    else:
        (store.root / key).parent.mkdir(parents=True)
        (store.root / key).with_name(".tmp-1-x").write_bytes(b"half")
    begin(store)
    assert abort_uploads(store, "run/") == 0


def test_runs_in_one_place_do_not_see_each_other(store):
    begin(store)
    assert RunLog(store, "run-2").read() == []
    assert RunLog(store, "ru").read() == []


def test_the_same_place_through_another_store_object(run_place, store):
    begin(store)
    other = replace(run_place).open()
    assert [entry.kind for entry in RunLog(other, "run").read()] == ["started"]
