"""Model folders that cannot be used: each is refused with code 64, the reason, and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from job.errors import SettingsError
from job.workers.model import load_tokenizer
from job.workers.weights import Head, load_model
from tests.support import model_folders, tiny

Spoil = Callable[[Path], object]


def edit(name: str, **changes: Any) -> Spoil:
    """Change a JSON file; a value of None takes the key out."""

    def spoil(folder: Path) -> None:
        content = {**json.loads((folder / name).read_text()), **changes}
        (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return spoil


def write(name: str, content: str) -> Spoil:
    return lambda folder: (folder / name).write_text(content)


def remove(*names: str) -> Spoil:
    return lambda folder: [(folder / name).unlink() for name in names]


def keep(*names: str) -> Spoil:
    return lambda folder: [path.unlink() for path in folder.iterdir() if path.name not in names]


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def weights_of(kind: str) -> Spoil:
    def spoil(folder: Path) -> None:
        other = model_folders.write(folder / "other", kind)
        (other / "model.safetensors").replace(folder / "model.safetensors")

    return spoil


def without_layer(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in tensors.items() if "layer.1." not in name}, folder / "model.safetensors", {"format": "pt"}
    )


def sharded(folder: Path) -> None:
    names = load_file(folder / "model.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00002-of-00002.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def slow_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps({"<unk>": 0, "a</w>": 1}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    edit("tokenizer_config.json", tokenizer_class="CTRLTokenizer")(folder)


def larger_vocabulary(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {"surplus": 900, "superfluous": 901}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def without_pad_token(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "pad_token_id": None}))
    edit("tokenizer_config.json", pad_token=None)(folder)


URI = "JOB_MODEL__URI"
# fmt: off
CASES: dict[str, tuple[str, Spoil, str, str]] = {
    # name: (kind, what is done to the folder, what the message says, what the hint names)
    "empty folder": ("bert", keep(), "no config.json; it holds nothing", URI),
    "no config.json": ("bert", remove("config.json"), "no config.json; it holds model.safetensors", URI),
    "config.json is too deep": ("bert", write("config.json", "[" * 100_000), "config.json is not valid JSON", URI),
    "config.json is not JSON": ("bert", write("config.json", "{"), "config.json is not valid JSON", URI),
    "config.json is a list": ("bert", write("config.json", "[]"), "config.json holds no JSON object", URI),
    "no model type": ("bert", edit("config.json", model_type=None), "names no model_type", URI),
    "unknown model type": ("bert", edit("config.json", model_type="brandnew"), "model type 'brandnew'", URI),
    "code of its own": ("bert", edit("config.json", model_type="brandnew", auto_map={"AutoConfig": "x.Y"}), "this job runs no code", URI),
    "a model of pictures": ("bert", write("config.json", '{"model_type": "vit"}'), "no text classification model of type 'vit'", URI),
    "a nonsense size": ("bert", edit("config.json", num_attention_heads=3), "cannot be built from its folder", "config.json"),
    "a size of the wrong kind": ("bert", edit("config.json", hidden_size="wide"), "names the model type 'bert'.*Validation error for field 'hidden_size': TypeError", URI),
    "quantized weights": ("bert", edit("config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}), "quantized", URI),
    "an adapter": ("bert", write("adapter_config.json", '{"base_model_name_or_path": "x"}'), "adapter", URI),
    "no weights": ("bert", remove("model.safetensors"), "has no weights", "JOB_MODEL__FROM_CONFIG"),
    "pickled weights": ("bert", pickle_weights, r"pickled \(pytorch_model.bin\)", "save_pretrained"),
    "weights cut short": ("bert", cut_short, "model.safetensors is damaged or cut short", URI),
    "empty weights": ("bert", write("model.safetensors", ""), "model.safetensors is damaged or cut short", URI),
    "a part of the weights missing": ("bert", sharded, "lists model-00002-of-00002.safetensors, which is not in the folder", URI),
    "the index is not JSON": ("bert", lambda f: (remove("model.safetensors")(f), write("model.safetensors.index.json", "x")(f)), "index.json is not valid JSON", URI),
    "weights of another architecture": ("bert", weights_of("gpt2"), "do not belong to this BertForSequenceClassification: .*bert.embeddings", URI),
    "a layer missing": ("bert", without_layer, "16 parameters of its body are not in them .*bert.encoder.layer.1.attention", URI),
    "weights of another size": ("bert", edit("config.json", intermediate_size=48), r"intermediate.dense.bias is \(32,\) in the weights, \(48,\) by config.json", URI),
    "vocabulary of another size": ("bert", edit("config.json", vocab_size=99), "embeddings.word_embeddings.weight is", URI),
    "no tokenizer": ("bert", remove("tokenizer.json", "tokenizer_config.json"), "has no tokenizer", URI),
    "tokenizer.json is not JSON": ("bert", write("tokenizer.json", "{"), "tokenizer cannot be loaded", URI),
    "tokenizer.json of something else": ("bert", write("tokenizer.json", '{"a": 1}'), "tokenizer cannot be loaded", URI),
    "tokenizer_config.json is not JSON": ("bert", write("tokenizer_config.json", "]"), "tokenizer_config.json is not valid JSON", URI),
    "a tokenizer with code of its own": ("bert", lambda f: (remove("tokenizer.json")(f), write("vocab.json", "{}")(f), edit("tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["x.Own", None]})(f)), "this job runs no code", URI),
    "a slow tokenizer": ("gpt2", slow_tokenizer, "exists only in Python", "tokenizer.json"),
    "a tokenizer without vocabulary": ("gpt2", lambda f: (remove("tokenizer.json")(f), write("vocab.txt", "")(f), edit("tokenizer_config.json", tokenizer_class="GPT2Tokenizer")(f)), "has no vocabulary", URI),
    "a tokenizer larger than the model": ("bert", larger_vocabulary, r"2 tokens that the model has no embedding for \(superfluous, surplus\)", URI),
    "no pad token": ("bert", without_pad_token, "neither a pad token nor an end-of-text token", "JOB_MODEL__PAD_TOKEN=add"),
}
# fmt: on


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return {kind: model_folders.write(folder / kind, kind) for kind in ("bert", "gpt2")}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_model_is_refused_with_reason_and_remedy(whole, tmp_path, name, capfd):
    kind, spoil, message, hint = CASES[name]
    folder = tmp_path / "model"
    shutil.copytree(whole[kind], folder)
    spoil(folder)
    capfd.readouterr()
    with pytest.raises(SettingsError, match=message) as caught:
        load_model(
            folder,
            load_tokenizer(tiny.settings(folder), folder),
            Head(("a", "b"), "single_label_classification"),
            from_config=False,
        )
    assert hint in caught.value.hint
    assert caught.value.exit_code == 64
    assert len(caught.value.message) < 900
    assert "Traceback" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_the_untouched_folders_are_accepted(whole):
    for folder in whole.values():
        tokenizer = load_tokenizer(tiny.settings(folder), folder)
        load_model(folder, tokenizer, Head(("a", "b"), "single_label_classification"), from_config=False)


def test_from_config_needs_no_weights(whole, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(whole["bert"], folder)
    (folder / "model.safetensors").unlink()
    tokenizer = load_tokenizer(tiny.settings(folder), folder)
    loaded = load_model(folder, tokenizer, Head(("a", "b"), "single_label_classification"), from_config=True)
    assert loaded.notes == ("All weights are new, made from config.json (JOB_MODEL__FROM_CONFIG).",)
