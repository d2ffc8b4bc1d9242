"""Adapters on language models, from prepared data to what a user loads by the line that stands in the model's card."""

import json

import pytest
import torch
import transformers

from job.workers import evaluate, train
from job.workers.tasks import make_appraisal
from tests.support import language, tiny

FILES = {
    "masked-lm": {"train": ("train.jsonl", language.documents(60)), "eval": ("eval.jsonl", language.documents(12, seed=3))},
    "causal-lm": {"train": ("train.jsonl", language.documents(60)), "eval": ("eval.jsonl", language.documents(12, seed=3))},
    "sft": {"train": ("train.jsonl", language.chats(40)), "eval": ("eval.jsonl", language.chats(8, seed=5))},
}
SMALL = {"TRAIN__MAX_STEPS": "4", "EVAL__EVERY_STEPS": "2", "TRAIN__GLOBAL_BATCH_SIZE": "8", "TRAIN__LEARNING_RATE": "1e-2"}


@pytest.fixture(params=FILES)
def published(request, tmp_path):
    """Of a task: its run, trained and evaluated, with the adapter merged and alone."""
    task = request.param
    if task == "masked-lm":
        tiny.write_model(tmp_path / "model")
    else:
        language.write_llama(tmp_path / "model")
    text = {} if task == "sft" else {"DATA__TEXT_COLUMN": "text"}
    more = {"TASK": task, "TUNING__METHOD": "lora", "TUNING__PUBLISH": "both", "MODEL__URI": str(tmp_path / "model")}
    run_dir, settings = language.prepared(tmp_path, FILES[task], **more, **SMALL, **text, EVAL__SAMPLE_TOKENS="4")
    train.main(run_dir, settings)
    evaluate.main(run_dir, settings)
    return run_dir, settings


def test_a_language_model_s_adapter(published):
    run_dir, settings = published
    report = json.loads((run_dir.evaluation / "report.json").read_bytes())
    assert report["metrics"]["loss"] < report["baselines"]["untrained"]["loss"]
    assert 0 <= report["merge"]["max_abs_difference"] < 1e-4 < report["merge"]["max_abs_output"]
    assert report["merge"]["num_examples"] > 0
    assert bool(report["samples"]) == (settings.task == "sft")

    task, start = language.task_of(run_dir, settings)
    assert 'pipeline("' + report["pipeline_tag"] in make_appraisal(settings, task).usage.replace("{model}", "")
    # What the card says of a whole model is true of an adapter's folder too.
    alone = transformers.pipeline(report["pipeline_tag"], model=str(run_dir.model / "adapter"), device="cpu").model.eval()
    merged = transformers.pipeline(report["pipeline_tag"], model=str(run_dir.model), device="cpu").model.eval()
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        logits = [model(input_ids=ids).logits for model in (alone, merged, start.eval())]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-5, rtol=1e-4)
    assert (logits[0] - logits[2]).abs().max() > 1e-3
