"""Every method from prepared data to the published folder: continued to the bit, loaded as a user loads it, on one process and two."""

import json
import shutil

import peft
import pytest
import torch
import transformers
from datasets import load_from_disk
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.errors import StopRequested
from job.settings import resolved
from job.workers import evaluate, train
from tests.support import tiny

SAVED, LAST = 5, 9
METHODS = {
    "lora": {"TUNING__METHOD": "lora", "TUNING__LORA_RANK": "4", "TUNING__LORA_DROPOUT": "0.1", "TUNING__LORA_TARGETS": "q_lin"},
    "merged": {"TUNING__METHOD": "lora", "TUNING__PUBLISH": "both", "TUNING__LORA_DORA": "true", "TUNING__LORA_RSLORA": "true"},
    "freeze": {"TUNING__METHOD": "freeze", "TUNING__TRAIN_LAST_LAYERS": "1"},
    "head": {"TUNING__METHOD": "freeze"},
    "cached": {"TUNING__METHOD": "freeze", "TUNING__CACHE_FEATURES": "true"},
}
HEAD_ALONE = ("head", "cached")
ADAPTER = {"adapter_config.json", "adapter_base.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"}
WHOLE = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
HOLDS = {
    "lora": ADAPTER,
    "merged": WHOLE | {f"adapter/{name}" for name in ADAPTER},
    "freeze": WHOLE,
    "head": WHOLE,
    "cached": WHOLE,
}


def prepared(folder, name, method):
    more = {"TRAIN__MAX_STEPS": str(LAST), "CHECKPOINT__EVERY_STEPS": str(SAVED), "EVAL__EVERY_STEPS": "4", **METHODS[method]}
    return tiny.prepared_run(folder, name, train=80, **more)


@pytest.fixture(scope="module", params=[1, 2], ids=["single", "ddp"])
def trained(request, tmp_path_factory):
    """By method: a run of all steps, and one that continues from the checkpoint in its middle."""
    folder = tmp_path_factory.mktemp("methods")
    whole = {method: prepared(folder, f"{method}-whole", method) for method in METHODS}
    tiny.train_all(list(whole.values()), request.param)
    half = {method: prepared(folder, f"{method}-half", method) for method in METHODS}
    for method, run_dir in half.items():
        shutil.copytree(whole[method].checkpoint(SAVED), run_dir.input_checkpoint)
    tiny.train_all(list(half.values()), request.param)
    return {method: (whole[method], half[method]) for method in METHODS}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", METHODS)
def test_a_continued_run_ends_with_the_same_bytes(trained, method):
    whole, half = trained[method]
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (half.checkpoint(LAST) / name).read_bytes() == (whole.checkpoint(LAST) / name).read_bytes()
    for name in ("best.safetensors",):
        found = [(run.checkpoint(LAST) / name).exists() for run in (whole, half)]
        assert found[0] == found[1]
    published = contents(whole.model)
    assert published.keys() == HOLDS[method]
    assert contents(half.model) == published


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_holds_what_is_trained_and_the_rest_stays_as_it_came(trained, method):
    run_dir = trained[method][0]
    record = json.loads((run_dir.root / "train.json").read_bytes())
    tensors = load_file(run_dir.checkpoint(LAST) / "model.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) == record["num_trained_parameters"] < record["num_parameters"]
    moments = load_file(run_dir.checkpoint(LAST) / "optimizer.safetensors")
    assert {name.rpartition("/")[0] for name in moments} == tensors.keys()
    if method in ("freeze", *HEAD_ALONE):
        start, end = (load_file(folder / "model.safetensors") for folder in (run_dir.input_model, run_dir.model))
        same = {name for name in end if name in start and torch.equal(start[name], end[name])}
        layer = "distilbert.transformer.layer.1."
        frozen = {name for name in end if name in start and (method in HEAD_ALONE or not name.startswith(layer))}
        assert same == frozen


def answers(model, tokenizer, texts):
    with torch.no_grad():
        return model.eval()(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits.softmax(-1)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("method", METHODS)
def test_it_is_scored_and_loaded_as_a_user_does_it(trained, method, monkeypatch):
    """By the whole evaluation; then by transformers' pipeline, or by peft's own class, from the published folder alone."""
    run_dir = trained[method][0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    evaluate.main(run_dir, resolved.read(run_dir.settings))
    report = json.loads((run_dir.evaluation / "report.json").read_bytes())
    assert bool(report["merge"]) == (method == "merged")
    if method == "merged":
        assert report["merge"]["max_abs_difference"] <= 1e-5
        assert report["merge"]["num_examples"] == 40
    import pyarrow.parquet as pq

    found = pq.read_table(run_dir.evaluation / "predictions.parquet").to_pylist()
    dataset = load_from_disk(str(run_dir.prepared / "eval"))
    labels = json.loads((run_dir.prepared / "prepared.json").read_bytes())["labels"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(run_dir.model)
    if method == "lora":
        # The base is named by its path; here it lies in the run directory, as it would on a user's disk.
        assert json.loads((run_dir.model / "adapter_config.json").read_bytes())["base_model_name_or_path"].endswith("/model")
        model = peft.AutoPeftModelForSequenceClassification.from_pretrained(run_dir.model, id2label=dict(enumerate(labels)))
        scores = answers(model, tokenizer, dataset["text"][:])
        assert list(model.config.id2label.values()) == labels
    else:
        classify = transformers.pipeline("text-classification", model=str(run_dir.model), top_k=None, device="cpu")
        by_name = [{each["label"]: each["score"] for each in answer} for answer in classify(dataset["text"][:])]
        scores = torch.tensor([[each[label] for label in labels] for each in by_name])
    assert torch.allclose(scores, torch.tensor([row["scores"] for row in found]), atol=1e-5)


def test_the_published_weights_are_the_best_ones(trained):
    """`eval` was best at an earlier step in at least one of the runs, and that step's weights were published."""
    for method, (run_dir, _) in trained.items():
        record = json.loads((run_dir.root / "train.json").read_bytes())
        best = load_file(run_dir.root / "best.safetensors")
        last = load_file(run_dir.checkpoint(LAST) / "model.safetensors")
        assert all(torch.equal(best[name], last[name]) for name in best) == (record["best_step"] == LAST), method
        if method == "lora":
            published = load_file(run_dir.model / "adapter_model.safetensors")
            name = "base_model.model.classifier.weight"
            assert torch.equal(published[name], best["base_model.model.classifier.modules_to_save.default.weight"])


def test_cached_features_make_the_updates_of_a_body_without_dropout(tmp_path):
    """Beside the same run without them, from a start model whose dropout is none: rounding alone sets them apart."""
    tiny.write_model(tmp_path / "model", dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    found = []
    for method in HEAD_ALONE:
        run_dir = prepared(tmp_path, method, method)
        start = load_file(run_dir.input_model / "model.safetensors")
        train.main(run_dir, resolved.read(run_dir.settings))
        found.append(load_file(run_dir.checkpoint(LAST) / "model.safetensors"))
        assert found[-1].keys().isdisjoint(start)
    asked, kept = found
    assert asked.keys() == kept.keys()
    assert max(float((asked[name] - kept[name]).abs().max()) for name in asked) < 1e-6
    assert any(float(value.abs().max()) > 1e-3 for value in kept.values())


def test_two_ranks_keep_the_same_features_and_train_as_one_whatever_the_memory_for_scoring(tmp_path):
    """The last bits follow from the batches in which features are made: those follow from the examples alone."""
    tiny.write_model(tmp_path / "model", seq_classif_dropout=0.0)
    found, names = [], set()
    for world_size, tokens in ((1, "4096"), (2, "64")):
        run_dir = prepared(tmp_path, f"on-{world_size}", "cached")
        values = resolved.dump(resolved.read(run_dir.settings))
        values["eval"]["micro_batch_tokens"] = int(tokens)
        run_dirs.write_json(run_dir.settings, values)
        tiny.train_all([run_dir], world_size)
        found.append(load_file(run_dir.checkpoint(LAST) / "model.safetensors"))
        (kept,) = run_dir.root.glob("features-*")
        names.add((kept.name, *((path.name, path.read_bytes()) for path in sorted(kept.iterdir()))))
    assert len(names) == 1
    one, two = found
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6


def test_a_stop_ends_the_pass_of_features_and_the_next_start_makes_it_anew(tmp_path):
    run_dir = prepared(tmp_path, "stopped", "cached")
    run_dir.stop.touch()
    settings = resolved.read(run_dir.settings)
    with pytest.raises(StopRequested, match="before the first step"):
        train.main(run_dir, settings)
    assert not list(run_dir.root.glob("features-*"))
    run_dir.stop.unlink()
    train.main(run_dir, settings)
    assert len(list(run_dir.root.glob("features-*"))) == 1
    assert run_dir.checkpoint(LAST).is_dir()
