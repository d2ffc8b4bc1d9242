"""The recipes of the language-model tasks, each run as it stands by the whole job, on small models under the names they use."""

import json

import pyarrow.parquet as pq
import pytest

from tests.support import jobs, language, recipes, tiny
from tests.support.minihub import MiniHub

SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
SMALL = {
    "JOB_TRAIN__MAX_STEPS": "4",
    "JOB_EVAL__EVERY_STEPS": "2",
    "JOB_TRAIN__GLOBAL_BATCH_SIZE": "8",
    "JOB_PARALLEL__WORKERS_PER_NODE": "1",
    "JOB_PARALLEL__THREADS_PER_WORKER": "1",
    "JOB_EVAL__SAMPLE_TOKENS": "4",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with MiniHub() as running:
        folder = tmp_path_factory.mktemp("models")
        recipes.add_models(running, folder)
        running.add("model", SMOL, recipes.contents(language.write_llama(folder / "smol", max_position_embeddings=1024)))
        yield running


def write_masked(folder):
    for split, count in (("train", 60), ("test", 12)):
        (folder / "texts").mkdir(exist_ok=True)
        (folder / f"texts/{split}.jsonl").write_bytes(language.documents(count, seed=count))


def write_causal(folder):
    for split, count in (("train", 60), ("test", 12)):
        (folder / "books" / split).mkdir(parents=True)
        (folder / f"books/{split}/book.txt").write_text("\n\n".join(text for text, _ in tiny.sentences(count, count, 60)))


def write_sft(folder):
    (folder / "chats").mkdir()
    for split, count in (("train", 40), ("test", 8)):
        (folder / f"chats/{split}.jsonl").write_bytes(language.chats(count, seed=count))


WRITERS = {"masked-lm": write_masked, "causal-lm": write_causal, "sft": write_sft}


class Finished:
    def __init__(self, name, folder):
        self.model = jobs.published(folder / "published", name)
        self.page = (self.model / "report/report.html").read_text()
        self.card = (self.model / "README.md").read_text()

    def report(self, document):
        return json.loads((self.model / "report" / document).read_bytes())


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory):
    done = {}

    def once(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            WRITERS[name](folder)
            about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
            workers = {"JOB_PARALLEL__WORKERS_PER_NODE": "2"} if name == "causal-lm" else {}
            ended = jobs.run({**recipes.read(name), **SMALL, **workers, **about_hub}, folder / "log")
            assert ended.code == 0, ended.output
            done[name] = Finished(name, folder)
        return done[name]

    return once


@pytest.mark.parametrize("name", WRITERS)
def test_the_finished_model_is_scored_and_described(run, name):
    finished = run(name)
    scores, ledger = finished.report("metrics.json"), finished.report("ledger.json")
    assert scores["split"] == "test"
    assert scores["main_metric"] == scores["interval"]["metric"] == "loss"
    assert scores["interval"]["low"] <= scores["metrics"]["loss"] <= scores["interval"]["high"]
    assert set(scores["baselines"]) == {"untrained"}
    assert scores["metrics"]["loss"] < scores["baselines"]["untrained"]["loss"]
    assert ledger["splits"]["train"]["trained_tokens"] > 0
    assert f"pipeline_tag: {'fill-mask' if name == 'masked-lm' else 'text-generation'}" in finished.card
    assert "Majority" not in finished.card + finished.page
    # The receipt, with its marks, stands in the report as it does in the ledger.
    assert len(ledger["samples"]) == min(3, ledger["splits"]["train"].get("records", 3))
    assert "What is trained on" in finished.page
    assert finished.page.count("⟦") >= len(ledger["samples"])
    predictions = pq.read_table(finished.model / "report/predictions.parquet")
    assert predictions.num_rows == scores["num_examples"]
    total = sum(loss * tokens for loss, tokens in zip(*(predictions[key].to_pylist() for key in ("loss", "tokens")), strict=True))
    assert total / sum(predictions["tokens"].to_pylist()) == pytest.approx(scores["metrics"]["loss"])


def test_masked_words_are_filled(run):
    from transformers import pipeline

    fill = pipeline("fill-mask", model=str(run("masked-lm").model), device="cpu")
    assert len(fill(f"the {fill.tokenizer.mask_token} was good")) == 5
    assert run("masked-lm").report("ledger.json")["splits"]["train"]["records"] < 60
    assert "bits_per_byte" not in run("masked-lm").report("metrics.json")["metrics"]


def test_text_is_continued(run):
    from transformers import pipeline

    finished = run("causal-lm")
    generate = pipeline("text-generation", model=str(finished.model), device="cpu")
    (made,) = generate("the film", max_new_tokens=3, do_sample=False)
    assert made["generated_text"].startswith("the film")
    assert json.loads((finished.model / "config.json").read_bytes()).get("use_cache", True)
    metrics = finished.report("metrics.json")["metrics"]
    assert metrics["bits_per_byte"] > 0
    assert finished.report("training.json")["engine"]["world_size"] == 2


def test_questions_are_answered(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    finished = run("sft")
    tokenizer, model = AutoTokenizer.from_pretrained(finished.model), AutoModelForCausalLM.from_pretrained(finished.model)
    assert model.generation_config.eos_token_id == [2, 4]
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True, return_tensors="pt")
    assert model.generate(**prompt, max_new_tokens=3).shape[1] >= prompt["input_ids"].shape[1]
    scores = finished.report("metrics.json")
    assert [sample["title"] for sample in scores["samples"]] == ["Prompt 1", "Prompt 2", "Prompt 3"]
    records = [json.loads(line) for line in (finished.model / "report/metrics.jsonl").read_text().splitlines()]
    assert [len(record["samples"]) for record in records if "samples" in record] == [3, 3]
    assert "Samples: After step 4" in finished.page
    assert "→" in finished.page
