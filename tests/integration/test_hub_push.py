"""Pushing a folder to the Hub stand-in with the real client."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from job.errors import DeniedError, SettingsError, UnavailableError
from job.storage.hub_push import Destination, check_access, push_folder
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
    url = client.submit(push_folder, tmp_path, Destination("org/tuned"), replace(OPTIONS, token=TOKEN)).result()
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
    client.submit(push_folder, tmp_path, Destination("org/tuned"), replace(OPTIONS, token=TOKEN)).result()
    repo = hub.shelf.find("model", "org/tuned")
    assert len(repo.commits) == 2
    assert sorted(repo.commits[repo.branches["main"]]) == ["config.json", "model.safetensors"]


def test_a_push_without_permission_is_denied(hub: MiniHub, client: ProcessPoolExecutor, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"{}")
    with pytest.raises(DeniedError, match="does not accept the token"):
        client.submit(push_folder, tmp_path, Destination("org/tuned"), replace(OPTIONS, token="hf_wrong")).result()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to push."""
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    return tmp_path


def push(client: ProcessPoolExecutor, folder: Path, to: Destination | None = None, **options: object) -> str:
    asked = replace(OPTIONS, token=TOKEN, variable="JOB_OUTPUT__HUB_REPO", **options)
    return client.submit(push_folder, folder, to or Destination("org/tuned"), asked).result()


def test_the_commit_says_what_it_is(hub: MiniHub, client: ProcessPoolExecutor, folder: Path) -> None:
    push(client, folder, Destination("org/tuned", title="Publish first (manifest 0123)"))
    assert hub.shelf.find("model", "org/tuned").titles[-1] == "Publish first (manifest 0123)"


def test_what_an_earlier_model_left_goes_and_what_is_not_ours_stays(
    hub: MiniHub, client: ProcessPoolExecutor, folder: Path
) -> None:
    before = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"old", "report/report.html": b"", "NOTES.md": b"mine"}
    hub.add("model", "org/tuned", {**before, "examples/config.json": b"mine", ".gitattributes": b"x"})
    push(client, folder)
    repo = hub.shelf.find("model", "org/tuned")
    assert not repo.private, "one that exists stays as public as it was"
    now = repo.commits[repo.branches["main"]]
    assert sorted(now) == [".gitattributes", "NOTES.md", "config.json", "examples/config.json", "model.safetensors"]
    assert len(repo.commits) == 2


def test_a_branch_is_made_and_the_main_one_stays(hub: MiniHub, client: ProcessPoolExecutor, folder: Path) -> None:
    hub.add("model", "org/tuned", {"NOTES.md": b"mine"})
    for _ in range(2):
        push(client, folder, Destination("org/tuned", branch="candidates/first"))
    repo = hub.shelf.find("model", "org/tuned")
    assert sorted(repo.commits[repo.branches["main"]]) == ["NOTES.md"]
    assert sorted(repo.commits[repo.branches["candidates/first"]]) == ["NOTES.md", "config.json", "model.safetensors"]
    assert len(repo.commits) == 2, "a folder that is there already makes no commit"


def test_a_branch_that_moves_on_meanwhile_is_looked_at_again(hub: MiniHub, client: ProcessPoolExecutor, folder: Path) -> None:
    hub.add("model", "org/tuned", {"config.json": b"old"})
    hub.fail(Fault("POST .*/commit/main", 1, status=412))
    push(client, folder)
    assert hub.shelf.find("model", "org/tuned").commits
    assert len(hub.requests("POST .*/commit/main")) == 2
    looks = [number for number, seen in enumerate(hub.seen) if "/revision/main" in seen.request]
    tries = [number for number, seen in enumerate(hub.seen) if "/commit/main" in seen.request]
    assert any(tries[0] < look < tries[1] for look in looks)


def test_a_busy_hub_is_given_the_time_it_asks_for(hub: MiniHub, client: ProcessPoolExecutor, folder: Path) -> None:
    hub.fail(Fault("POST .*/commit/", 1, status=429, headers={"Retry-After": "1"}))
    push(client, folder)
    hub.fail(Fault("POST .*/commit/", 10**6, status=429, headers={"Retry-After": "3600"}))
    (folder / "config.json").write_bytes(b'{"changed": 1}')
    with pytest.raises(UnavailableError, match="the Hub answered 429 and asked to wait 3600 s"):
        push(client, folder, timeout_s=2.0)


# fmt: off
ACCESS: dict[str, tuple[str, str, type[Exception] | None, str]] = {
    # name: (token, repository, what it ends with, what is said)
    "a new repository": (TOKEN, "org/new", None, ""),
    "one that is there": (TOKEN, "org/tuned", None, ""),
    "a wrong token": ("hf_wrong", "org/tuned", DeniedError, "does not accept the token used for JOB_OUTPUT__HUB_REPO"),
    "a token that reads": ("hf_reader", "org/new", DeniedError, "may read only"),
    "another's repository": (TOKEN, "other/theirs", DeniedError, "The Hub forbids the request for JOB_OUTPUT__HUB_REPO"),
    "no such namespace": (TOKEN, "nowhere/new", SettingsError, "neither the token's user nor one of its organizations"),
}
# fmt: on


@pytest.mark.parametrize("name", ACCESS)
def test_access_is_known_before_any_work_and_nothing_is_made(hub: MiniHub, client: ProcessPoolExecutor, name: str) -> None:
    token, repo_id, error, says = ACCESS[name]
    hub.add("model", "org/tuned", {})
    hub.add("model", "other/theirs", {})
    hub.tokens |= {"hf_reader"}
    hub.readers = {"hf_reader"}
    asked = client.submit(check_access, repo_id, replace(OPTIONS, token=token, variable="JOB_OUTPUT__HUB_REPO"))
    if error is None:
        asked.result()
    else:
        with pytest.raises(error, match=says) as caught:
            asked.result()
        assert "JOB_OUTPUT__HUB_TOKEN_FILE" in caught.value.hint
        assert token not in str(caught.value)
    assert not [seen for seen in hub.seen if not seen.request.startswith("GET")]


def test_without_a_token_nothing_is_asked(hub: MiniHub, client: ProcessPoolExecutor) -> None:
    with pytest.raises(DeniedError, match="JOB_OUTPUT__HUB_REPO needs a Hub token, and there is none"):
        client.submit(check_access, "org/tuned", replace(OPTIONS, variable="JOB_OUTPUT__HUB_REPO")).result()
    assert hub.seen == []


def test_no_right_to_make_the_repository_is_denied(hub: MiniHub, client: ProcessPoolExecutor, folder: Path) -> None:
    with pytest.raises(DeniedError, match="The Hub forbids the request for JOB_OUTPUT__HUB_REPO"):
        push(client, folder, Destination("nowhere/new"))
