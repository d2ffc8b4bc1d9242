"""Pushing a folder to the Hub stand-in with the real client."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from job.errors import DeniedError
from job.storage.hub import push_folder
from tests.support.hub_samples import OPTIONS, TOKEN, WEIGHTS
from tests.support.minihub import MiniHub
from tests.support.minihub_faults import Fault


def test_a_push_is_one_commit_to_a_private_repository(hub: MiniHub, client: ProcessPoolExecutor, tmp_path: Path) -> None:
    for path, content in {
        "config.json": b"{}",
        "model.safetensors": WEIGHTS,
        "README.md": b"# Card\n",
        ".tmp-1-x": b"half",
    }.items():
        (tmp_path / path).write_bytes(content)
    url = client.submit(push_folder, tmp_path, "org/tuned", replace(OPTIONS, token=TOKEN)).result()
    repo = hub.shelf.find("model", "org/tuned")
    assert repo.private
    assert url == f"{hub.url}/org/tuned/commit/{repo.branches['main']}"
    assert len(repo.commits) == 2
    assert repo.commits[repo.branches["main"]] == {"config.json": b"{}", "model.safetensors": WEIGHTS, "README.md": b"# Card\n"}


@pytest.mark.parametrize("match", ["POST /api/repos/create", "POST .*preupload", "PUT /files/", "POST .*/commit/"])
def test_a_push_bears_faults(hub: MiniHub, client: ProcessPoolExecutor, tmp_path: Path, match: str) -> None:
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    hub.fail(Fault(match, 2, status=500))
    client.submit(push_folder, tmp_path, "org/tuned", replace(OPTIONS, token=TOKEN)).result()
    repo = hub.shelf.find("model", "org/tuned")
    assert len(repo.commits) == 2
    assert sorted(repo.commits[repo.branches["main"]]) == ["config.json", "model.safetensors"]


def test_a_push_without_permission_is_denied(hub: MiniHub, client: ProcessPoolExecutor, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"{}")
    with pytest.raises(DeniedError, match="does not accept the token"):
        client.submit(push_folder, tmp_path, "org/tuned", replace(OPTIONS, token="hf_wrong")).result()
