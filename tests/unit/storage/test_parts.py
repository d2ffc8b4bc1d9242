"""Parts in a local store."""

import dataclasses
import hashlib
import json

import pytest

from job.errors import CrashError, UnavailableError, UnusableError
from job.storage import parts, payload
from job.storage.local import LocalStore
from job.storage.manifest import FileEntry, missing_nodes

PREFIX = "run/attempts/n/checkpoints/step-0000000010/"


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def written(tmp_path):
    """``written(node, "a", "b")``: a node's folder with files of these names."""

    def write(node, *names):
        folder = tmp_path / f"node-{node}"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{node} {name}")
        return folder

    return write


def never(missing):
    pytest.fail(f"waited for {missing}")


def test_files_first_then_the_part(store, written):
    parts.put_part(store, PREFIX, written(1, "optimizer-rank-1.safetensors", "node-1.json"), 1)
    (first, second) = parts.gather(store, PREFIX, 2, never)
    assert (first.path, second.path) == ("node-1.json", "optimizer-rank-1.safetensors")
    assert first == FileEntry("node-1.json", 13, hashlib.sha256(b"1 node-1.json").hexdigest(), node=1)
    assert store.read_bytes(PREFIX + "optimizer-rank-1.safetensors") == b"1 optimizer-rank-1.safetensors"


def test_a_part_may_be_put_again(store, written):
    folder = written(1, "node-1.json")
    parts.put_part(store, PREFIX, folder, 1)
    parts.put_part(store, PREFIX, folder, 1)
    assert len(parts.gather(store, PREFIX, 2, never)) == 1


def test_a_file_that_cannot_be_uploaded_leaves_no_part(store, written, monkeypatch):
    def fail(*_):
        raise UnavailableError("503")

    monkeypatch.setattr(type(store), "write_file", fail)
    with pytest.raises(UnavailableError):
        parts.put_part(store, PREFIX, written(1, "node-1.json"), 1)
    assert list(store.list(PREFIX)) == []


def test_it_waits_for_the_missing_ones_only(store, written):
    waits = []

    def wait(missing):
        waits.append(missing)
        parts.put_part(store, PREFIX, written(missing[0], f"node-{missing[0]}.json"), missing[0])

    parts.put_part(store, PREFIX, written(2, "node-2.json"), 2)
    found = parts.gather(store, PREFIX, 4, wait)
    assert waits == [[1, 3], [3]]
    assert {entry.node for entry in found} == {1, 2, 3}


def test_the_wait_may_end_it(store):
    def wait(missing):
        raise UnavailableError(str(missing))

    with pytest.raises(UnavailableError, match=r"\[1\]"):
        parts.gather(store, PREFIX, 2, wait)


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: b"{",
        lambda part: b"[" * 100_000,
        lambda part: json.dumps({**part, "schema": 2}).encode(),
        lambda part: json.dumps({**part, "files": [{**part["files"][0], "node": 2}]}).encode(),
        lambda part: json.dumps({**part, "files": [{"path": "x"}]}).encode(),
        lambda part: json.dumps({**part, "files": []}).encode(),
    ],
)
def test_a_damaged_part(store, written, damage):
    parts.put_part(store, PREFIX, written(1, "node-1.json"), 1)
    key = parts.key_of(PREFIX, 1)
    store.write_bytes(key, damage(json.loads(store.read_bytes(key))))
    with pytest.raises(UnusableError, match="part of node 1"):
        parts.gather(store, PREFIX, 2, never)


def test_a_manifest_of_several_nodes(store, written):
    parts.put_part(store, PREFIX, written(1, "node-1.json", "optimizer-rank-1.bin"), 1)
    folder = written(0, "state.json", "optimizer-rank-0.bin")
    own = payload.make_manifest(folder, "checkpoint", {"step": 10}).files
    everything = [*own, *parts.gather(store, PREFIX, 2, never)]
    fields = {"step": 10, "world_size": 2, "num_nodes": 2}
    manifest = payload.make_manifest(folder, "checkpoint", fields, everything)
    assert [entry.path for entry in manifest.files] == ["node-1.json", "optimizer-rank-0.bin", "optimizer-rank-1.bin", "state.json"]
    assert missing_nodes(manifest) == []
    assert missing_nodes(dataclasses.replace(manifest, num_nodes=4)) == [2, 3]
    with pytest.raises(CrashError, match=r"nodes \[2\] have no part"):
        payload.make_manifest(folder, "checkpoint", {**fields, "num_nodes": 3}, everything)
    with pytest.raises(CrashError, match=r"Several nodes have a file named state\.json"):
        payload.make_manifest(folder, "checkpoint", fields, [*everything, FileEntry("state.json", 1, "x", node=1)])
    with pytest.raises(CrashError, match=r"ranks \[1\]"):
        payload.make_manifest(folder, "checkpoint", {**fields, "num_nodes": 1}, own)
