"""The audit of real runs in a local store: what the protocol left is told apart, and a repair touches nothing that counts."""

import pytest

from job.errors import DeniedError, UnusableError
from job.storage.audit import audit, run_names
from job.storage.commit import RunLog
from job.storage.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def commit(tmp_path):
    """``commit(attempt, step)``: a checkpoint of two files, committed."""

    def make(attempt, step):
        folder = tmp_path / "made" / str(step)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"weights %d" % step)
        (folder / "state.json").write_text(f'{{"step": {step}}}')
        return attempt.commit_checkpoint(folder, {"step": step})

    return make


def begin(store, name="run"):
    return RunLog(store, name).start("settings")


def keys(infos):
    return [info.key for info in infos]


def everything(store):
    return [info.key for info in store.list("")]


def test_a_whole_run(store, commit):
    attempt = begin(store)
    commit(attempt, 1)
    commit(attempt, 2)
    attempt.write_part("metrics-1.jsonl", b"{}\n")
    attempt.stopped()
    found = audit(store, "run")
    assert found.whole
    assert [payload.entry["step"] for payload in found.payloads] == [1, 2]
    assert (found.announced, found.orphans, found.pending) == ((), (), ())


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), "model.safetensors is missing"),
        (lambda path: path.write_bytes(b"w"), "model.safetensors has 1 bytes instead of 9"),
        (lambda path: path.write_bytes(b"Weights 1"), "model.safetensors has the right size but other content"),
        (lambda path: (path.parent / "MANIFEST.json").write_text("{}"), "its manifest is not the one that was committed"),
        (lambda path: (path.parent / "MANIFEST.json").unlink(), "its manifest is missing"),
    ],
)
def test_damage_is_named(store, commit, tmp_path, harm, said):
    entry = commit(begin(store), 1)
    harm(tmp_path / "store" / entry["manifest"].replace("MANIFEST.json", "model.safetensors"))
    found = audit(store, "run")
    assert [payload.problems for payload in found.payloads] == [(said,)]
    assert not found.whole


def test_sizes_alone_do_not_see_other_content(store, commit, tmp_path):
    entry = commit(begin(store), 1)
    (tmp_path / "store" / entry["manifest"].replace("MANIFEST.json", "model.safetensors")).write_bytes(b"Weights 1")
    assert audit(store, "run", contents=False).whole


def test_what_no_entry_lists_is_pending_until_its_attempt_ended(store, commit):
    attempt = begin(store)
    commit(attempt, 1)
    half = f"run/attempts/{attempt.nonce}/checkpoints/step-0000000002/model.safetensors"
    store.write_bytes(half, b"half")
    found = audit(store, "run")
    assert (keys(found.pending), found.orphans) == ([half], ())
    assert found.remove_orphans() == 0
    begin(store)
    found = audit(store, "run")
    assert (found.pending, keys(found.orphans)) == ((), [half])


def test_an_attempt_that_said_its_end_writes_no_more(store, commit):
    attempt = begin(store)
    half = f"run/attempts/{attempt.nonce}/model/model.safetensors"
    store.write_bytes(half, b"half")
    attempt.failed({"code": 70})
    assert keys(audit(store, "run").orphans) == [half]


def test_a_repair_removes_orphans_and_nothing_else(store, commit):
    attempt = begin(store)
    commit(attempt, 1)
    attempt.write_part("metrics-1.jsonl", b"{}\n")
    for name in ("MANIFEST.json", "model.safetensors"):
        store.write_bytes(f"run/attempts/{attempt.nonce}/checkpoints/step-0000000002/{name}", b"never listed")
    store.write_bytes("run/attempts/0123456789abcdef/checkpoints/step-0000000001/state.json", b"never began")
    store.write_bytes("other/file", b"not ours")
    attempt.stopped()
    before = everything(store)
    found = audit(store, "run")
    assert found.remove_orphans() == len(found.orphans) == 3
    assert set(before) - set(everything(store)) == set(keys(found.orphans))
    assert audit(store, "run").whole


def test_open_uploads_are_left_over_once_their_attempt_ended(store):
    """In a folder a temporary file is what an open upload is in a bucket (`tests/contract/test_store.py` has real ones)."""
    first = begin(store)
    half = f"run/attempts/{first.nonce}/checkpoints/step-0000000002/.tmp-1-model"
    (store.root / half).parent.mkdir(parents=True)
    (store.root / half).write_bytes(b"half")
    assert audit(store, "run").uploads == ()
    second = begin(store)
    other = store.root / f"run/attempts/{second.nonce}/.tmp-2-logs"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"under way")
    # The start of the second attempt has cleaned up behind the first.
    assert audit(store, "run").uploads == ()
    (store.root / half).parent.mkdir(parents=True, exist_ok=True)
    (store.root / half).write_bytes(b"half")
    found = audit(store, "run")
    assert keys(found.uploads) == [half]
    assert found.remove_orphans() == 1
    assert (audit(store, "run").uploads, other.read_bytes()) == ((), b"under way")


def test_a_store_that_does_not_list_uploads_is_walked_all_the_same(store, commit, monkeypatch, caplog):
    def refuse(*_):
        raise DeniedError("403 for ListMultipartUploads", "")

    commit(begin(store), 1)
    monkeypatch.setattr(LocalStore, "open_uploads", refuse)
    assert audit(store, "run").whole
    assert "Uploads that were never ended could not be looked for" in caplog.text


def test_what_a_check_of_the_store_left_is_seen_and_left_alone(store):
    begin(store).stopped()
    store.write_bytes("run/probe-0123456789abcdef/once", b"first")
    found = audit(store, "run")
    assert keys(found.probes) == ["run/probe-0123456789abcdef/once"]
    assert (found.orphans, found.remove_orphans()) == ((), 0)
    assert keys(audit(store, "run").probes) == keys(found.probes)


def test_an_announced_deletion_that_was_cut_off_is_no_orphan(store, commit, monkeypatch):
    attempt = begin(store)
    for step in (1, 2, 3):
        commit(attempt, step)
    monkeypatch.setattr("job.storage.commit.delete_payload", lambda *_: None)
    attempt.retain(2)
    found = audit(store, "run")
    assert [payload.entry["step"] for payload in found.payloads] == [2, 3]
    assert len(found.announced) == 3
    assert (found.orphans, found.pending) == ((), ())


def test_a_commit_that_is_deleted_while_it_is_read_is_no_damage(store, commit, monkeypatch):
    attempt = begin(store)
    for step in (1, 2, 3):
        commit(attempt, step)
    read = LocalStore.read_file

    def retained_in_between(self, key, path):
        attempt.retain(2)
        read(self, key, path)

    monkeypatch.setattr(LocalStore, "read_file", retained_in_between)
    found = audit(store, "run")
    assert found.whole
    assert [payload.entry["step"] for payload in found.payloads] == [2, 3]


def test_an_attempt_that_begins_while_objects_are_listed_is_no_orphan(store, commit, monkeypatch):
    begin(store).stopped()
    listing = LocalStore.list

    def begins_in_between(self, prefix):
        if prefix.endswith("attempts/"):
            monkeypatch.setattr(LocalStore, "list", listing)
            commit(begin(store), 1)
        return listing(self, prefix)

    monkeypatch.setattr(LocalStore, "list", begins_in_between)
    found = audit(store, "run")
    assert (found.orphans, found.payloads) == ((), ())


def test_a_gap_in_the_log_is_an_error(store, commit, tmp_path):
    commit(begin(store), 1)
    (tmp_path / "store/run/log/0000000001.json").unlink()
    with pytest.raises(UnusableError, match="gap"):
        audit(store, "run")


def test_runs_are_found_by_their_logs(store):
    begin(store, "b")
    begin(store, "team/a")
    store.write_bytes("other/file", b"")
    assert run_names(store) == ["b", "team/a"]
    assert run_names(LocalStore(store.root / "b")) == [""]
