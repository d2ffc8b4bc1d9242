"""What every store promises, on every store: a folder, a mock that behaves as AWS, Ceph over http and https, Swift."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from job.errors import DataError, DeniedError, SettingsError, UnavailableError
from job.storage.base import MissingObjectError, abort_uploads
from job.storage.options import MEBIBYTE, StoreOptions
from job.storage.probe import probe
from job.storage.stores import open_store
from job.storage.transfer import expand, fetch_uri
from tests.support.servers import places

NAMES = ["a", "a.csv", "a/b.csv", "a/c/d.csv", "a/.hidden", "b/e f+ü%20.csv", "z.jsonl"]
ODD_KEYS = ["", "/a", "a/../b", "..", "a//b", "a/./b", "a\\b", "a\0b", "a/"]


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


def fill(store, names=NAMES):
    # A folder has no room for both a file and a folder named "a".
    kept = [name for name in names if name != "a"]
    for name in kept:
        store.write_bytes(name, name.encode())
    return kept


class TestStore:
    def test_bytes_come_back(self, store):
        for size in (0, 1, 100_000):
            data = random.Random(size).randbytes(size)
            store.write_bytes(f"folder/{size}", data)
            assert store.read_bytes(f"folder/{size}") == data

    def test_files_of_every_size_come_back(self, place, tmp_path):
        options = StoreOptions(timeout_s=20, single_put_bytes=6 * MEBIBYTE, part_bytes=5 * MEBIBYTE, num_threads=3)
        store = open_store(place.uri, options)
        for size in (0, 17, 6 * MEBIBYTE, 6 * MEBIBYTE + 1, 15 * MEBIBYTE, 15 * MEBIBYTE + 1):
            source, target = tmp_path / "source", tmp_path / "below" / "target"
            source.write_bytes(random.Random(size).randbytes(size))
            store.write_file(f"files/{size}", source)
            store.read_file(f"files/{size}", target)
            assert target.read_bytes() == source.read_bytes()
            assert [path.name for path in target.parent.iterdir()] == ["target"]
        assert [info.size_bytes for info in store.list("files/17")] == [17]
        assert store.read_bytes(f"files/{15 * MEBIBYTE + 1}") == target.read_bytes()

    def test_listing_is_complete_in_order_and_by_prefix(self, store):
        assert keys(store) == []
        names = fill(store)
        assert keys(store) == sorted(names)
        assert keys(store, "a/") == sorted(name for name in names if name.startswith("a/"))
        assert keys(store, "a") == sorted(name for name in names if name.startswith("a"))
        assert keys(store, "a/c/d") == ["a/c/d.csv"]
        assert keys(store, "nothing/at/all") == []
        assert {info.key: info.size_bytes for info in store.list("")} == {name: len(name.encode()) for name in names}

    def test_two_stores_in_one_place_do_not_see_each_other(self, place):
        one, other = (open_store(f"{place.uri}/{name}", place.options) for name in ("run", "run2"))
        one.write_bytes("key", b"one")
        other.write_bytes("key", b"other")
        assert keys(one) == keys(other) == ["key"]
        assert one.read_bytes("key") == b"one"

    def test_what_is_not_there_is_said_so(self, store, tmp_path):
        with pytest.raises(MissingObjectError):
            store.read_bytes("nothing")
        with pytest.raises(MissingObjectError):
            store.read_file("not/here", tmp_path / "target")
        assert not list(tmp_path.glob("**/target*"))

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_keys_stay_below_the_root(self, store, key, tmp_path):
        for action in (
            lambda: store.read_bytes(key),
            lambda: store.read_file(key, tmp_path / "x"),
            lambda: store.write_bytes(key, b""),
            lambda: store.put_if_absent(key, b""),
            lambda: store.delete(key),
        ):
            with pytest.raises(DataError, match="object name"):
                action()

    def test_delete(self, store):
        store.write_bytes("folder/key", b"x")
        store.delete("folder/key")
        store.delete("folder/key")
        store.delete("folder/never-was")
        assert keys(store) == []

    def test_the_second_to_put_loses(self, store):
        assert store.put_if_absent("log/1", b"first")
        assert not store.put_if_absent("log/1", b"second")
        assert store.read_bytes("log/1") == b"first"
        store.delete("log/1")
        assert store.put_if_absent("log/1", b"third")

    def test_one_of_many_at_once_wins(self, store, place):
        start = threading.Barrier(12)

        def put(caller):
            start.wait(30)
            return store.put_if_absent(f"race/{round_}", str(caller).encode())

        with ThreadPoolExecutor(12) as pool:
            for round_ in range(10):
                won = list(pool.map(put, range(12)))
                if place.kind == "swift":  # promises it and does not keep it: the probe finds out
                    assert sum(won) >= 1
                    continue
                assert sum(won) == 1
                assert store.read_bytes(f"race/{round_}") == str(won.index(True)).encode()

    def test_the_probe_tells_a_sound_store_from_a_racy_one(self, place, store):
        store.write_bytes("run/log/0000000001.json", b"kept")
        result = probe(store, "run")
        assert keys(store) == ["run/log/0000000001.json"]
        assert [finding.capability for finding in result.missing if finding.required] == (
            ["put-if-absent by several at once"] if place.kind == "swift" else []
        )
        result.require(fenced=False)
        if place.kind == "swift":
            with pytest.raises(SettingsError, match="writers of one object at once"):
                result.require()
        else:
            result.require()

    def test_an_interrupted_upload_is_aborted(self, place, store, tmp_path):
        if place.is_s3:
            bucket = places.bucket_of(store)
            for name in ("run/one", "other/two"):
                bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"{store.root}{name}")
        else:
            for name in ("run", "other"):
                (store.root / name).mkdir(parents=True)
                (store.root / name / ".tmp-1-part").write_bytes(b"half")
        assert keys(store) == []
        left = "one" if place.is_s3 else ".tmp-1-part"
        assert [upload.key for upload in store.open_uploads("run/")] == [f"run/{left}"]
        assert abort_uploads(store, "run/") == 1
        assert [*store.open_uploads("run/")] == []
        assert abort_uploads(store, "run/") == 0
        assert abort_uploads(store, "") == 1

    def test_patterns_and_folders(self, store):
        names = fill(store)
        visible = [name for name in sorted(names) if ".hidden" not in name]
        everything = [info.key for info in expand(store, "").objects]
        assert everything == visible
        for pattern, expected in {
            "z.jsonl": ["z.jsonl"],
            "a.csv": ["a.csv"],
            "a": ["a/b.csv", "a/c/d.csv"],
            "a/c": ["a/c/d.csv"],
            "*.csv": ["a.csv"],
            "*/*.csv": ["a/b.csv", "b/e f+ü%20.csv"],
            "**/*.csv": ["a.csv", "a/b.csv", "a/c/d.csv", "b/e f+ü%20.csv"],
            "[az].*": ["a.csv", "z.jsonl"],
            "a/[!c].csv": ["a/b.csv"],
            "?.jsonl": ["z.jsonl"],
            "a/**": ["a/b.csv", "a/c/d.csv"],
        }.items():
            assert [info.key for info in expand(store, pattern).objects] == expected, pattern
        for pattern in ("nothing", "a/b", "*.parquet", "a/.*csv"):
            with pytest.raises(DataError, match="There is no file at"):
                expand(store, pattern)

    def test_inputs_are_fetched_and_described(self, place, store, tmp_path):
        fill(store)
        one = fetch_uri(f"{place.uri}/a", tmp_path / "one", place.options)
        assert sorted(str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one").rglob("*.csv")) == ["b.csv", "c/d.csv"]
        other = fetch_uri(f"{place.uri}/a/**/*.csv", tmp_path / "other", place.options)
        assert (one.num_files, one.size_bytes, one.revision) == (2, len("a/b.csv" + "a/c/d.csv"), "")
        assert one.sha256 == other.sha256
        single = fetch_uri(f"{place.uri}/z.jsonl", tmp_path / "single", place.options)
        assert (tmp_path / "single" / "z.jsonl").read_bytes() == b"z.jsonl"
        assert single.num_files == 1
        allowed = fetch_uri(place.uri, tmp_path / "allowed", place.options, allow=["*.jsonl", "**/d.*"])
        assert allowed.num_files == 2
        with pytest.raises(DataError, match=r"is of a kind that is used here.*\*\.safetensors"):
            fetch_uri(f"{place.uri}/a", tmp_path / "none", place.options, allow=["*.safetensors"])


class TestS3:
    """What only a store with a network has."""

    @pytest.fixture(params=places.S3_KINDS)
    def place(self, request, tmp_path):
        return places.prepare(request.param, request, tmp_path)

    def test_the_probe_finds_the_checksums(self, place, store):
        probe(store)
        found = places.bucket_of(store).checksums
        assert found.etag_is_md5
        assert found.sha256 == (place.kind == "moto")
        # and what was found works
        store.write_bytes("after", b"probe")
        assert store.read_bytes("after") == b"probe"

    def test_an_upload_that_fails_leaves_nothing_open(self, place, tmp_path, monkeypatch):
        store = open_store(place.uri, StoreOptions(timeout_s=0.2, single_put_bytes=0, part_bytes=5 * MEBIBYTE))
        bucket = places.bucket_of(store)

        def fail(**_):
            raise TimeoutError

        monkeypatch.setattr(bucket.client, "upload_part", fail)
        (tmp_path / "file").write_bytes(b"x" * 6 * MEBIBYTE)
        with pytest.raises(UnavailableError, match="did not answer"):
            store.write_file("key", tmp_path / "file")
        assert list(bucket.list_uploads(store.root)) == []
        assert keys(store) == []

    def test_a_lost_reply_to_the_last_request_of_an_upload_is_no_failure(self, place, tmp_path, monkeypatch):
        store = open_store(place.uri, StoreOptions(timeout_s=20, single_put_bytes=0))
        client = places.bucket_of(store).client
        complete, lost = client.complete_multipart_upload, []

        def lose_first_reply(**request):
            reply = complete(**request)
            if not lost:
                lost.append(reply)
                raise ConnectionResetError
            return reply

        monkeypatch.setattr(client, "complete_multipart_upload", lose_first_reply)
        (tmp_path / "file").write_bytes(b"kept")
        store.write_file("key", tmp_path / "file")
        assert lost
        assert store.read_bytes("key") == b"kept"

    @pytest.mark.parametrize("place", [kind for kind in places.S3_KINDS if kind != "moto"], indirect=True)
    def test_a_wrong_secret_is_denied_and_never_an_empty_store(self, place, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        store = place.open()
        for action in (
            lambda: list(store.list("")),
            lambda: store.read_bytes("x"),
            lambda: store.write_bytes("x", b""),
            lambda: store.put_if_absent("x", b""),
            lambda: store.delete("x"),
            lambda: list(store.open_uploads("")),
            lambda: abort_uploads(store, ""),
        ):
            with pytest.raises(DeniedError, match="403"):
                action()
        with pytest.raises(DeniedError, match=r"listing: .*403"):
            probe(store).require()

    def test_no_bucket_is_a_wrong_setting(self, place):
        store = open_store("s3://no-such-bucket/x", place.options)
        for action in (lambda: list(store.list("")), lambda: store.write_bytes("x", b""), lambda: probe(store)):
            with pytest.raises(SettingsError, match="no-such-bucket"):
                action()

    def test_damage_on_the_way_is_noticed(self, place, store, monkeypatch):
        """Whether the store compares or only keeps other bytes: we hear of it."""
        client = places.bucket_of(store).client
        put = client.put_object

        def damage(**request):
            kept = {"ContentMD5", "ChecksumSHA256", "ChecksumAlgorithm"} if place.kind != "moto" else set()
            request = {name: value for name, value in request.items() if name in kept or name in {"Bucket", "Key"}}
            return put(Body=b"damaged", **request)

        monkeypatch.setattr(client, "put_object", damage)
        slow = StoreOptions(timeout_s=0.0)
        monkeypatch.setattr(places.bucket_of(store), "options", slow)
        with pytest.raises(UnavailableError):
            store.write_bytes("key", b"intact")


def test_an_unknown_certificate_is_a_wrong_setting(request, tmp_path, monkeypatch):
    place = places.prepare("ceph https", request, tmp_path)
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(SettingsError, match=r"not trusted.*AWS_CA_BUNDLE"):
        list(place.open().list(""))


def test_no_credentials_are_denied(moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    with pytest.raises(DeniedError, match="NoCredentialsError"):
        list(open_store("s3://bucket/x", places.OPTIONS).list(""))


def test_nobody_there_is_unavailable_within_the_time_allowed(monkeypatch, moto):
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="did not answer"):
        list(open_store("s3://bucket/x", StoreOptions(timeout_s=0.5)).list(""))
