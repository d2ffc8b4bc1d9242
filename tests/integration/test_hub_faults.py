"""A Hub that fails: what passes is borne, what does not is given up in time, and damaged files are never accepted."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from job.errors import SettingsError, UnavailableError
from tests.support.hub_samples import MODEL_CONTENT, MODEL_DOWNLOADED, OPTIONS, downloaded
from tests.support.minihub import MiniHub
from tests.support.minihub_faults import ALWAYS, Fault

PASSING = {
    "revision 503 twice": [Fault("GET /api/.*/revision|GET /api/models/org/name$", 2, status=503)],
    "tree 500": [Fault("GET /api/.*/tree", status=500)],
    "second page of the tree 502": [Fault(r"GET /api/.*/tree.*from=6", status=502)],
    "head 504 twice": [Fault("HEAD .*config.json", 2, status=504)],
    "file 503": [Fault("GET .*config.json", status=503)],
    "file server 500": [Fault("GET /files/", status=500)],
    "file server 403, as for an expired address": [Fault("GET /files/", status=403)],
    "small file cut": [Fault("GET .*vocab.txt", cut_after=3)],
    "large file cut": [Fault("GET /files/", cut_after=1000)],
    "small file with wrong bytes": [Fault("GET .*vocab.txt", flipped=True)],
    "weights with wrong bytes": [Fault("GET /files/", flipped=True)],
    "everything at once": [Fault("HEAD", status=500), Fault("GET .*resolve", status=429), Fault("GET /files/", flipped=True)],
}


@pytest.mark.parametrize("case", PASSING)
def test_a_fault_that_passes_leaves_no_trace(hub: MiniHub, download, tmp_path: Path, case: str) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.fail(*PASSING[case])
    download()
    assert all((tmp_path / "inputs" / path).read_bytes() == MODEL_CONTENT[path] for path in MODEL_DOWNLOADED)
    assert downloaded(tmp_path / "inputs") == MODEL_DOWNLOADED
    assert hub.faults.left() == 0


def test_the_hub_is_left_alone_for_as_long_as_it_asks(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.fail(Fault("HEAD .*config.json", status=429, headers={"Retry-After": "2"}))
    start = time.monotonic()
    download()
    assert 2.0 <= time.monotonic() - start < 4.0


def test_no_waiting_for_longer_than_the_limit(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.fail(Fault("GET /api", ALWAYS, status=429, headers={"Retry-After": "3600"}))
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="answered 429 and asked to wait 3600 s"):
        download()
    assert time.monotonic() - start < 2.0


@pytest.mark.parametrize("match", ["GET /api/models", "GET /api/.*/tree", "HEAD .*config.json", "GET .*vocab.txt", "GET /files/"])
def test_a_hub_that_stays_broken_is_given_up_in_time(hub: MiniHub, download, match: str) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.fail(Fault(match, ALWAYS, status=500))
    start = time.monotonic()
    with pytest.raises(UnavailableError, match=r"failed: the Hub answered 500\. .*JOB_LIMITS__STORE_TIMEOUT_S"):
        download(options=replace(OPTIONS, timeout_s=2.0))
    assert time.monotonic() - start < 4.0


@pytest.mark.parametrize(("match", "path"), [("GET /files/", "model.safetensors"), ("GET .*vocab.txt", "vocab.txt")])
def test_the_right_size_with_the_wrong_content_is_refused(hub: MiniHub, download, match: str, path: str) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.fail(Fault(match, ALWAYS, flipped=True))
    with pytest.raises(
        UnavailableError, match=f"{path} arrived with the right size but another content.*second download did not help"
    ):
        download()
    assert len(hub.requests(match)) == 2


def test_a_file_that_is_always_cut_is_given_up(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.fail(Fault("GET /files/", ALWAYS, cut_after=1000))
    with pytest.raises(
        UnavailableError, match=r"Downloading model.safetensors failed: the transfer broke off \(RemoteProtocolError\)"
    ):
        download(options=replace(OPTIONS, timeout_s=1.0))


def test_a_branch_that_stays_a_branch_is_not_downloaded(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    repo = hub.shelf.find("model", "org/name")
    repo.branches["main"], repo.commits["main"] = "main", MODEL_CONTENT
    with pytest.raises(UnavailableError, match="names no commit"):
        download()
    assert not hub.requests("resolve")


def test_a_server_that_is_no_hub_is_told(hub: MiniHub, download) -> None:
    hub.fail(Fault("GET /api", ALWAYS, status=404))
    with pytest.raises(SettingsError, match="HF_ENDPOINT does not answer as a Hub does"):
        download()
