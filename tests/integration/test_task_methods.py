"""Adapters and frozen models of the tasks that are no plain text: scored by the whole evaluation, loaded as their users load them."""

import json
import shutil

import peft
import pytest
import torch
import transformers
from datasets import load_from_disk
from sentence_transformers import SentenceTransformer

from job.settings import resolved
from job.workers import evaluate, train
from job.workers.tasks.dpo import answers_of
from tests.support import cells, language
from tests.support.cells import Cell

# Two threads that wait for each other on a busy machine make milliseconds of what takes microseconds.
torch.set_num_threads(1)

TASKS = {
    "token-classification": peft.AutoPeftModelForTokenClassification,
    "dpo": peft.AutoPeftModelForCausalLM,
    "reward": peft.AutoPeftModelForSequenceClassification,
    "embedding": peft.AutoPeftModelForFeatureExtraction,
}
WAYS = {"adapter": ("lora", {"TUNING__PUBLISH": "adapter"}), "both": ("lora", {}), "frozen": ("freeze", {})}
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    cells.write_models(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(folder):
    return {task: cells.prepare(folder, task) for task in TASKS}


def finished(folder, prepared, task, method, *, name, adapter=None, **more):
    base = prepared[task].input_model  # named in the published adapter, as it would be on a user's disk
    run_dir = cells.place(folder, prepared[task], Cell(task, method, "single"), name, MODEL__URI=str(base), **more)
    if adapter is not None:
        shutil.copytree(adapter, run_dir.input_adapter)
    settings = resolved.read(run_dir.settings)
    train.main(run_dir, settings)
    evaluate.main(run_dir, settings)
    return run_dir, json.loads((run_dir.evaluation / "report.json").read_bytes())


@pytest.fixture(scope="module")
def runs(folder, prepared):
    return {
        (task, way): finished(folder, prepared, task, method, name=f"{task}-{way}", **more)
        for task in TASKS
        for way, (method, more) in WAYS.items()
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("task", TASKS)
def test_it_is_scored_from_what_is_published(runs, task, way):
    run_dir, report = runs[task, way]
    main = report["main_metric"]
    assert report["num_examples"] == cells.COUNTS["eval"]
    assert report["interval"]["low"] <= report["metrics"][main] <= report["interval"]["high"]
    untrained = report["baselines"]["untrained"]
    assert any(report["metrics"][name] != value for name, value in untrained.items())
    assert bool(report["merge"]) == (way == "both")
    if way == "both":
        assert report["merge"]["num_examples"] == cells.COUNTS["eval"]
        assert report["merge"]["max_abs_difference"] < 1e-4 < report["merge"]["max_abs_output"]
        # The merged model's scores are those of the adapter alone: the same training, published otherwise.
        assert report["metrics"][main] == pytest.approx(runs[task, "adapter"][1]["metrics"][main])
    assert (run_dir.model / "config.json").is_file() == (way != "adapter")


@pytest.mark.parametrize("task", TASKS)
def test_an_adapter_is_loaded_by_peft_s_own_class(runs, task):
    """By the class that its files name, on the base that they name; its outputs are those of the merged model."""
    run_dir = runs[task, "both"][0]
    about = transformers.AutoConfig.from_pretrained(run_dir.model)
    labels = {} if task in ("dpo", "embedding") else {"num_labels": about.num_labels}
    alone = TASKS[task].from_pretrained(run_dir.model / "adapter", **labels).eval()
    merged = getattr(transformers, about.architectures[0]).from_pretrained(run_dir.model).eval()
    start = getattr(transformers, about.architectures[0]).from_pretrained(run_dir.input_model, **labels).eval()
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        ours, theirs, before = (model(input_ids=ids)[0] for model in (alone, merged, start))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert (ours - before).abs().max() > 1e-3


def test_sentence_transformers_reads_an_adapter_s_folder_too(runs):
    texts = ["the film was good", "a story about people"]
    alone, merged = (
        SentenceTransformer(str(runs["embedding", way][0].model), device="cpu").encode(texts) for way in ("adapter", "both")
    )
    assert alone == pytest.approx(merged, abs=1e-5)
    plain = SentenceTransformer(str(runs["embedding", "frozen"][0].model), device="cpu").encode(texts)
    assert abs(plain - merged).max() > 1e-3


@pytest.mark.parametrize("task", ["token-classification", "reward"])
def test_the_card_s_code_uses_the_adapter_s_own_head(runs, task):
    """As it stands in the card, of the adapter alone and of the merged model: the same answers, with the names of the data."""
    answers = []
    for way in ("adapter", "both"):
        run_dir, report = runs[task, way]
        said: dict[str, object] = {}
        exec(report["usage"].replace("{model}", str(run_dir.model)), said)
        answers.append(next(said[name] for name in ("tag", "reward") if name in said)("the film was good"))
    for ours, theirs in zip(*answers, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
        assert all(ours[name] == theirs[name] for name in ours if name != "score")
    assert {answer.get("entity_group", answer.get("label")) for answer in answers[0]} <= {"A", "B", "reward"}


@pytest.mark.parametrize("way", WAYS)
def test_references_are_those_of_the_base_and_computed_once(runs, way):
    """The adapter is not on while they are computed, and the evaluation finds those of training again."""
    run_dir, report = runs["dpo", way]
    kept = sorted(run_dir.prepared.glob("*-reference-*.json"))
    assert [path.name.split("-reference-")[0] for path in kept] == ["eval", "train"]
    task, _ = language.task_of(run_dir, resolved.read(run_dir.settings))
    base = transformers.AutoModelForCausalLM.from_pretrained(run_dir.input_model).eval()
    dataset = load_from_disk(str(run_dir.prepared / "eval"))
    with torch.no_grad():
        answers = answers_of(base, task.collate([dataset[at] for at in range(len(dataset))]))
    found = json.loads(kept[0].read_bytes())
    assert found["reference_chosen"] == pytest.approx(answers.chosen.tolist(), rel=1e-5)
    assert found["reference_rejected"] == pytest.approx(answers.rejected.tolist(), rel=1e-5)
    assert report["baselines"]["untrained"]["reward_margin"] == pytest.approx(0, abs=1e-6)
    assert abs(report["metrics"]["reward_margin"]) > 1e-4


@pytest.mark.parametrize("method", ["lora", "full"])
def test_preferences_learned_on_top_of_an_adapter_are_measured_from_it(folder, prepared, runs, method):
    """One that is continued, or merged first: the start is the base with the adapter as it came."""
    first = runs["dpo", "adapter"][0]
    more = {} if method == "full" else {"TUNING__LORA_RANK": "4"}
    run_dir, report = finished(folder, prepared, "dpo", method, name=f"on-top-{method}", adapter=first.model, **more)
    assert report["baselines"]["untrained"]["reward_margin"] == pytest.approx(0, abs=1e-6)
    ours, base = (json.loads(next(each.prepared.glob("eval-reference-*.json")).read_bytes()) for each in (run_dir, first))
    assert ours["reference_chosen"] != pytest.approx(base["reference_chosen"], rel=1e-4)
    assert len(list(run_dir.prepared.glob("*-reference-*.json"))) == 2
