"""The real huggingface_hub client, through `job.storage.hub`, against the Hub stand-in.: what arrives, and what is refused."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from job.errors import DataError, DeniedError, SettingsError
from job.storage.hub import HubRepo, download_snapshot
from job.storage.snapshot import DATA_FILES, MODEL_CONFIG_FILES
from tests.support import tiny
from tests.support.hub_samples import DATA, MODEL, MODEL_CONTENT, MODEL_DOWNLOADED, OPTIONS, TOKEN, WEIGHTS, downloaded
from tests.support.minihub import MiniHub

CARD = b"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/a.csv
  - split: test
    path: data/b.csv
---
"""


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[ProcessPoolExecutor]:
    """A process in which the libraries do not look for a network."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path / "home"))
        pool.submit(os.getpid).result()
        yield pool


def load(model_dir: Path, data_dir: Path) -> tuple[int, int, dict[str, int]]:
    """Parameters and tokens of a folder's model, rows of a folder's data set by split."""
    from datasets import load_dataset
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(model_dir, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(model_dir, trust_remote_code=False)
    data = load_dataset(str(data_dir))
    return model.config.vocab_size, len(tokenizer), {split: len(data[split]) for split in data}


def test_a_model_arrives_whole_without_anything_that_can_run(hub: MiniHub, download, tmp_path: Path) -> None:
    sha = hub.add("model", "org/name", MODEL_CONTENT)
    source = download()
    folder = tmp_path / "inputs"
    assert downloaded(folder) == MODEL_DOWNLOADED
    assert all((folder / path).read_bytes() == MODEL_CONTENT[path] for path in MODEL_DOWNLOADED)
    assert (source.uri, source.revision, source.num_files) == ("hf://org/name", sha, 4)
    assert source.size_bytes == sum(len(MODEL_CONTENT[path]) for path in MODEL_DOWNLOADED)
    assert not hub.requests(r"\.bin|\.py|onnx")


def test_everything_is_read_at_the_commit_that_was_resolved(hub: MiniHub, download) -> None:
    sha = hub.add("model", "org/name", MODEL_CONTENT)
    download()
    assert len(hub.requests("GET /api/models/org/name/tree")) == 4  # ten files and a folder, three a page
    assert not [seen for seen in hub.requests("tree|resolve") if sha not in seen.request]


@pytest.mark.parametrize("by", ["branch", "sha"])
def test_a_pinned_revision_stays_what_it_was(hub: MiniHub, download, tmp_path: Path, by: str) -> None:
    old = hub.add("model", "org/name", MODEL_CONTENT)
    repo = hub.shelf.find("model", "org/name")
    repo.commit({"config.json": b"newer"})
    repo.branches["refs/pr/1"] = old
    source = download(HubRepo("model", "org/name", "refs/pr/1" if by == "branch" else old))
    assert source.revision == old
    assert (tmp_path / "inputs" / "config.json").read_bytes() == MODEL_CONTENT["config.json"]


def test_the_same_files_have_the_same_digest_at_another_commit(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    first = download()
    hub.shelf.find("model", "org/name").commit({"notes.md": b"not downloaded"})
    second = download()
    hub.shelf.find("model", "org/name").commit({"vocab.txt": b"another"})
    third = download()
    assert first.revision != second.revision
    assert first.sha256 == second.sha256 != third.sha256


def test_an_earlier_folder_is_replaced(hub: MiniHub, download, tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "stale.safetensors").touch()
    hub.add("model", "org/name", MODEL_CONTENT)
    download()
    assert downloaded(tmp_path / "inputs") == MODEL_DOWNLOADED


def test_a_data_set_arrives_with_folders_and_card_without_scripts(hub: MiniHub, download, tmp_path: Path) -> None:
    content = {
        "README.md": b"card",
        "data/train-00000.parquet": b"PAR1",
        "test.csv.gz": b"gz",
        "reviews.py": b"script",
        "a.pkl": b"x",
    }
    hub.add("dataset", "org/reviews", content)
    source = download(DATA, replace(OPTIONS, allow=DATA_FILES, variable="JOB_DATA__TRAIN_URI"))
    assert source.uri == "hf://datasets/org/reviews"
    assert downloaded(tmp_path / "inputs") == ["README.md", "data/train-00000.parquet", "test.csv.gz"]


def test_a_private_repository_needs_the_token_which_the_file_server_never_sees(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", MODEL_CONTENT, private=True)
    with pytest.raises(
        SettingsError, match=r"JOB_MODEL__URI names a repository that does not exist .* or the token may not see it"
    ):
        download()
    download(options=replace(OPTIONS, token=TOKEN))
    at_files = [seen for seen in hub.seen if seen.server == "files"]
    assert at_files
    assert not any(seen.authorized for seen in at_files)


REFUSED = {
    "wrong token": (MODEL, {"token": "hf_canaryWrong"}, DeniedError, "does not accept the token used for JOB_MODEL__URI"),
    "gated, no token": (HubRepo("model", "org/gated"), {}, DeniedError, "JOB_MODEL__URI is gated"),
    "gated, not granted": (HubRepo("model", "org/gated"), {"token": TOKEN}, DeniedError, "JOB_MODEL__URI is gated"),
    "no repository, with token": (HubRepo("model", "org/none"), {"token": TOKEN}, SettingsError, "does not exist on the Hub"),
    "no repository, no token": (HubRepo("model", "org/none"), {}, SettingsError, "or the token may not see it"),
    "a data set is no model": (HubRepo("dataset", "org/name"), {}, SettingsError, "does not exist on the Hub"),
    "no such branch": (HubRepo("model", "org/name", "nonesuch"), {}, SettingsError, "no such branch.* JOB_MODEL__REVISION"),
    "no such commit": (HubRepo("model", "org/name", "0" * 40), {}, SettingsError, "no such branch, tag or commit"),
    "not a name": (HubRepo("model", "org/na me"), {}, SettingsError, "JOB_MODEL__URI holds no valid repository name"),
    "only pickles": (HubRepo("model", "org/pickles"), {}, SettingsError, "only safetensors weights are accepted"),
    "no config": (HubRepo("model", "org/weights"), {}, SettingsError, "holds no config.json"),
    "only a script": (DATA, {"allow": DATA_FILES}, DataError, "holds no Parquet, CSV"),
    "token with a line break": (MODEL, {"token": f"{TOKEN}\nX"}, SettingsError, "JOB_MODEL__HUB_TOKEN holds a space"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_told_at_once(hub: MiniHub, download, case: str) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    hub.add("model", "org/gated", MODEL_CONTENT, gated=True)
    hub.add("model", "org/pickles", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    hub.add("model", "org/weights", {"model.safetensors": WEIGHTS})
    hub.add("dataset", "org/reviews", {"README.md": b"card", "reviews.py": b"script"})
    repo, changed, kind, message = REFUSED[case]
    start = time.monotonic()
    with pytest.raises(kind, match=message):
        download(repo, replace(OPTIONS, **changed))
    assert time.monotonic() - start < 5


def test_from_a_configuration_alone_no_weights_are_needed_or_fetched(hub: MiniHub, download, tmp_path: Path) -> None:
    hub.add("model", "org/name", MODEL_CONTENT)
    download(options=replace(OPTIONS, allow=MODEL_CONFIG_FILES))
    assert downloaded(tmp_path / "inputs") == ["config.json", "tokenizer.json", "vocab.txt"]


def test_what_was_downloaded_loads_offline(
    hub: MiniHub, client: ProcessPoolExecutor, offline: ProcessPoolExecutor, tmp_path: Path
) -> None:
    made = offline.submit(tiny.write_model, tmp_path / "made").result()
    hub.add("model", "org/name", {path.name: path.read_bytes() for path in made.iterdir()})
    rows = b"text,label\n" + b"fine,1\n" * 10
    hub.add("dataset", "org/reviews", {"README.md": CARD, "data/a.csv": rows, "data/b.csv": rows + b"bad,0\n"})
    client.submit(download_snapshot, MODEL, tmp_path / "model", OPTIONS).result()
    client.submit(download_snapshot, DATA, tmp_path / "data", replace(OPTIONS, allow=DATA_FILES)).result()
    words, tokens, loaded = offline.submit(load, tmp_path / "model", tmp_path / "data").result()
    assert words == tokens
    assert loaded == {"train": 10, "test": 11}


def test_the_recorded_digest_is_over_names_sizes_and_hashes(hub: MiniHub, download) -> None:
    hub.add("model", "org/name", {"config.json": b"{}", "model.safetensors": b"w"})
    lines = [("config.json", b"{}"), ("model.safetensors", b"w")]
    expected = "".join(f"{path}\0{len(content)}\0{hashlib.sha256(content).hexdigest()}\n" for path, content in lines)
    assert download().sha256 == hashlib.sha256(expected.encode()).hexdigest()
    assert json.dumps(download().as_dict())
