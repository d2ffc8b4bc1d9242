"""The Hub stand-in, a client of it, and a browser.

The client reads HF_ENDPOINT when it is imported, so it lives in a process of its own that is started with the right
environment; results and errors come back from it as they are.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from job.errors import JobError
from job.records import InputSource
from job.storage.hub import HubOptions, HubRepo, download_snapshot
from tests.support import chromium, parts
from tests.support.hub_samples import MODEL, OPTIONS, TOKEN
from tests.support.minihub import MiniHub


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Chromium]:
    program = chromium.find()
    parts.need("Chromium", there=program is not None)
    folder = tmp_path_factory.mktemp("chromium")
    browser = chromium.Chromium(program, folder / "profile", folder / "log")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def running_hub() -> Iterator[MiniHub]:
    with MiniHub() as hub:
        yield hub


@pytest.fixture
def hub(running_hub: MiniHub) -> MiniHub:
    """The stand-in, emptied."""
    for part in (running_hub.shelf, running_hub.faults):
        part.__init__()
    running_hub.seen.clear()
    running_hub.tokens, running_hub.readers, running_hub.namespaces = {TOKEN}, set(), {"org"}
    return running_hub


@pytest.fixture(scope="session")
def client(running_hub: MiniHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    """A process whose huggingface_hub knows the stand-in as the Hub."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for name in [name for name in os.environ if name.startswith("HF_")]:
            patch.delenv(name)
        patch.setenv("HF_ENDPOINT", running_hub.url)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf-home")))
        patch.setenv("HF_HUB_DISABLE_XET", "1")  # with it, uploads ask for a protocol that the stand-in does not speak
        pool.submit(os.getpid).result()
        yield pool


@pytest.fixture
def download(client: ProcessPoolExecutor, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[object]:
    """``download(repo, options)`` into ``tmp_path/inputs``; checks that a failure leaves nothing, and tells no secret."""

    def run(repo: HubRepo = MODEL, options: HubOptions = OPTIONS) -> InputSource:
        try:
            return client.submit(download_snapshot, repo, tmp_path / "inputs", options).result()
        except JobError as error:
            assert not list(tmp_path.iterdir())
            # The cause is the whole traceback of the other process, standard error is its log.
            told = f"{error} {error.__cause__} {capfd.readouterr().err}"
            assert TOKEN not in told
            assert "s3cr3t-signature" not in told
            assert "127.0.0.1" not in told
            raise

    yield run
    assert not list(tmp_path.glob(".tmp-*"))
