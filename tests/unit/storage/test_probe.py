import pytest

from job.errors import CrashError, DeniedError, SettingsError, UnavailableError
from job.storage.findings import Finding
from job.storage.local import LocalStore
from job.storage.probe import ProbeResult, probe
from tests.support.servers.scripted import error as refusal


class Broken(LocalStore):
    """A store with one fault, by the name of a method."""

    def __init__(self, root, fault="", error=None):
        super().__init__(root)
        object.__setattr__(self, "fault", fault)
        object.__setattr__(self, "error", error)

    def check(self, name):
        if self.fault == name and self.error:
            raise self.error

    def list(self, prefix):
        self.check("list")
        return super().list(prefix)

    def read_bytes(self, key):
        self.check("read")
        return b"other" if self.fault == "read" else super().read_bytes(key)

    def write_bytes(self, key, data):
        self.check("write")
        super().write_bytes(key, data)

    def open_uploads(self, prefix):
        self.check("uploads")
        return super().open_uploads(prefix)

    def delete(self, key):
        self.check("delete")
        super().delete(key)

    def put_if_absent(self, key, data):
        self.check("put")
        if self.fault == "put" or (self.fault == "race" and "race" in key):
            super().write_bytes(key, data)
            return True
        return super().put_if_absent(key, data)


@pytest.fixture
def broken(tmp_path):
    return lambda *args: Broken(tmp_path / "store", *args)


def missing(store):
    return [finding.capability for finding in probe(store, "run").missing]


def test_a_sound_store_is_left_as_it_was(broken):
    result = probe(broken(), "run")
    assert result.missing == ()
    assert len(result.findings) == 6
    result.require()
    assert not [path for path in broken().root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("read", ["reading", "put-if-absent"]),
        ("put", ["put-if-absent"]),
        ("race", ["put-if-absent by several at once"]),
    ],
)
def test_what_is_missing_is_named(broken, fault, expected):
    assert missing(broken(fault)) == expected
    with pytest.raises(SettingsError, match=expected[0]):
        probe(broken(fault)).require()


@pytest.mark.parametrize(
    ("fault", "expected"), [("list", "listing"), ("write", "writing"), ("put", "put-if-absent"), ("delete", "deleting")]
)
def test_what_is_forbidden_is_named_and_denied(broken, fault, expected):
    store = broken(fault, DeniedError("403 for x"))
    assert expected in missing(store)
    with pytest.raises(DeniedError, match=rf"{expected}: 403 for x"):
        probe(store).require()


def test_only_a_fence_can_be_done_without(broken):
    for fault in ("put", "race"):
        with pytest.raises(SettingsError, match="JOB_OUTPUT__FENCE=off"):
            probe(broken(fault)).require()
        probe(broken(fault)).require(fenced=False)
    with pytest.raises(SettingsError) as caught:
        probe(broken("read")).require(fenced=False)
    assert "FENCE" not in str(caught.value)


@pytest.mark.parametrize("error", [UnavailableError("503"), SettingsError("no bucket")])
def test_a_store_that_is_not_there_is_no_finding(broken, error):
    with pytest.raises(type(error)):
        probe(broken("list", error))


def test_optional_findings_do_not_stop_a_run():
    ProbeResult("s3://x", (Finding("checksums", ok=False, detail="none", required=False),)).require()


def test_two_winners_are_one_too_many_even_when_the_content_is_the_firsts(tmp_path):
    class Flatterer(LocalStore):
        def put_if_absent(self, key, data):
            won = super().put_if_absent(key, data)
            if won and "race" in key:
                super().write_bytes(key, b"0")  # the content of whoever is counted first
            return won or "race" in key

    assert missing(Flatterer(tmp_path)) == ["put-if-absent by several at once"]


@pytest.mark.parametrize("error", [DeniedError("403"), SettingsError("501 NotImplemented"), CrashError("400 InvalidArgument")])
def test_the_right_to_list_uploads_is_not_needed_to_clean_up(broken, error):
    store = broken("uploads", error)
    assert missing(store) == []
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def denied(s3, monkeypatch, method, query=""):
    answer = s3.answer

    def denying(request):
        is_it = request.method == method and (query in request.query if query else not request.query)
        return refusal(403, "AccessDenied") if is_it else answer(request)

    monkeypatch.setattr(s3, "answer", denying)


def test_a_bucket_that_lists_no_uploads_is_left_as_it_was(store, s3, monkeypatch):
    denied(s3, monkeypatch, "GET", "uploads")
    result = probe(store)
    assert [finding.capability for finding in result.missing if finding.required] == []
    assert "listing of multipart uploads" in [finding.capability for finding in result.missing]
    assert s3.objects == {}


def test_a_bucket_that_deletes_nothing_is_named_though_it_lists_no_uploads(store, s3, monkeypatch):
    denied(s3, monkeypatch, "GET", "uploads")
    denied(s3, monkeypatch, "DELETE")
    with pytest.raises(DeniedError, match="deleting: The store denied access"):
        probe(store).require()
