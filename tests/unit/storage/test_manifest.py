import json

import pytest

from job.errors import DataError, UnusableError
from job.storage.manifest import FileEntry, Manifest, hash_tree, missing_ranks, tree_digest, verify_tree, wrong_files

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "b").write_bytes(b"")
    (tmp_path / "tree" / "below" / "a").write_bytes(b"content")
    return tmp_path / "tree"


def manifest_of(folder):
    return Manifest("checkpoint", 7, hash_tree(folder), 2, settings_fingerprint="s", data_fingerprint="d", extra={"note": "ü"})


def ranked(*paths, world_size):
    return Manifest("checkpoint", 1, tuple(FileEntry(path, 0, EMPTY_SHA256) for path in paths), world_size)


def test_a_tree_is_hashed_in_path_order(folder):
    entries = hash_tree(folder)
    assert [entry.path for entry in entries] == ["b", "below/a"]
    assert entries[0] == FileEntry("b", 0, EMPTY_SHA256)


def test_round_trip(folder):
    manifest = manifest_of(folder)
    again = Manifest.from_bytes(manifest.to_bytes())
    assert again == manifest
    assert again.sha256() == manifest.sha256()
    assert manifest.size_bytes == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": 1}',
        b'{"schema": 1, "files": [{}]}',
        b'{"schema": 2, "files": []}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_damage_is_said(data):
    with pytest.raises(UnusableError, match="manifest"):
        Manifest.from_bytes(data)


@pytest.mark.parametrize("wrong", [{"step": "7"}, {"world_size": "2"}, {"num_nodes": True}, {"path": 7}, {"size_bytes": 1.5}])
def test_values_of_another_kind_are_damage(folder, wrong):
    values = json.loads(manifest_of(folder).to_bytes())
    (name,) = wrong
    (values if name in values else values["files"][0]).update(wrong)
    with pytest.raises(UnusableError, match="of another kind"):
        Manifest.from_bytes(json.dumps(values).encode())


def test_a_manifest_may_not_lead_out(folder):
    values = json.loads(manifest_of(folder).to_bytes())
    values["files"][0]["path"] = "../../etc/passwd"
    with pytest.raises(DataError, match="object name"):
        Manifest.from_bytes(json.dumps(values).encode())


def test_a_tree_is_verified(folder):
    manifest = manifest_of(folder)
    assert verify_tree(folder, manifest) == []
    (folder / "more").write_bytes(b"")
    (folder / "b").write_bytes(b"x")
    (folder / "below" / "a").write_bytes(b"CONTENT")
    assert verify_tree(folder, manifest) == [
        "b has 1 bytes instead of 0",
        "below/a has the right size but other content",
        "more is not in the manifest",
    ]
    assert wrong_files(folder, manifest) == [*manifest.files]
    (folder / "b").write_bytes(b"")
    assert [entry.path for entry in wrong_files(folder, manifest)] == ["below/a"]
    (folder / "b").unlink()
    assert "b is missing" in verify_tree(folder, manifest)


@pytest.mark.parametrize(
    ("paths", "world_size", "expected"),
    [
        (["model.safetensors", "franklin-1"], 4, []),
        (["optimizer-rank-0.safetensors", "optimizer-rank-1.safetensors"], 2, []),
        (["optimizer-rank-0.safetensors"], 2, [1]),
        (["rank_00000/state.json", "rank_00002/state.json"], 4, [1, 3]),
        (["rng-rank0.json", "rng-rank1.json", "zero/rank0", "zero/rank2"], 3, [1, 2]),
        (["rank-0.json", "rank-1.json"], 1, [1]),
    ],
)
def test_every_ranks_part_is_there(paths, world_size, expected):
    assert missing_ranks(ranked(*paths, world_size=world_size)) == expected


def test_the_digest_is_of_names_sizes_and_hashes():
    one, other = FileEntry("a", 1, "x"), FileEntry("b", 2, "y")
    assert tree_digest([one, other]) == tree_digest([other, one])
    digests = {
        tree_digest(entries)
        for entries in ([one], [other], [FileEntry("a", 2, "x")], [FileEntry("a", 1, "y")], [FileEntry("c", 1, "x")], [])
    }
    assert len(digests) == 6
