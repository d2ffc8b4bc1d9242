"""The recipes of tagging, preferences, rewards and embeddings, each run as it stands by the whole job, on small models."""

import json
import random

import pyarrow.parquet as pq
import pytest

from tests.integration.test_token_classification import as_conll, sentences
from tests.support import jobs, language, recipes, tiny
from tests.support.inputs import as_json_lines
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
TWO_WORKERS = {"dpo", "embedding"}
EXPECTED = {
    "token-classification": ("f1", "token-classification"),
    "dpo": ("reward_accuracy", "text-generation"),
    "kto": ("reward_accuracy", "text-generation"),
    "reward": ("accuracy", "text-classification"),
    "embedding": ("mrr", "sentence-similarity"),
}


def write_sentences(folder, split, count):
    (folder / "ner").mkdir(exist_ok=True)
    (folder / f"ner/{split}.conll").write_bytes(as_conll(sentences(count, count)))


def write_pairs(folder, split, count):
    (folder / "pairs").mkdir(exist_ok=True)
    draw = random.Random(count)
    rows = [
        {
            "prompt": [{"role": "user", "content": f"How was film {number} of {count}?"}],
            "chosen": [{"role": "assistant", "content": f"it was {draw.choice(tiny.WORDS['positive'])}"}],
            "rejected": [{"role": "assistant", "content": f"it was {draw.choice(tiny.WORDS['negative'])}"}],
        }
        for number in range(count)
    ]
    (folder / f"pairs/{split}.jsonl").write_bytes(as_json_lines(rows))


def write_judged(folder, split, count):
    (folder / "judged").mkdir(exist_ok=True)
    draw = random.Random(count)
    rows = []
    for number in range(count):
        word = draw.choice(tiny.WORDS["positive" if number % 2 else "negative"])
        talk = [
            {"role": "user", "content": f"How was film {number} of {count}?"},
            {"role": "assistant", "content": f"it was {word}"},
        ]
        rows.append({"messages": talk, "label": bool(number % 2)})
    (folder / f"judged/{split}.jsonl").write_bytes(as_json_lines(rows))


def write_texts(folder, split, count):
    (folder / "search").mkdir(exist_ok=True)
    texts = [text for text, _ in tiny.sentences(3 * count, count)]
    names = ("anchor", "positive", "negative")
    rows = [dict(zip(names, (f"{text} {at}" for text in texts[3 * at : 3 * at + 3]), strict=True)) for at in range(count)]
    (folder / f"search/{split}.jsonl").write_bytes(as_json_lines(rows))


WRITERS = {
    "token-classification": write_sentences,
    "dpo": write_pairs,
    "kto": write_judged,
    "reward": write_pairs,
    "embedding": write_texts,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with MiniHub() as running:
        folder = tmp_path_factory.mktemp("models")
        recipes.add_models(running, folder)
        running.add("model", SMOL, recipes.contents(language.write_llama(folder / "smol", max_position_embeddings=1024)))
        yield running


@pytest.mark.parametrize("name", WRITERS)
def test_a_recipe_is_run_scored_and_described(hub, tmp_path, name):
    for split, count in (("train", 60), ("test", 13)):
        WRITERS[name](tmp_path, split, count)
    about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
    workers = {"JOB_PARALLEL__WORKERS_PER_NODE": "2"} if name in TWO_WORKERS else {}
    ended = jobs.run({**recipes.read(name), **SMALL, **workers, **about_hub}, tmp_path / "log")
    assert ended.code == 0, ended.output
    model = jobs.published(tmp_path / "published", name)
    scores = json.loads((model / "report/metrics.json").read_bytes())
    card, page = (model / "README.md").read_text(), (model / "report/report.html").read_text()
    main, tag = EXPECTED[name]
    assert (scores["main_metric"], scores["interval"]["metric"], scores["num_examples"]) == (main, main, 13)
    assert scores["interval"]["low"] <= scores["metrics"][main] <= scores["interval"]["high"]
    assert main in scores["baselines"]["untrained"]
    assert f"pipeline_tag: {tag}" in card
    assert "{model}" not in card
    assert "Scores of the published model" in page
    assert pq.read_table(model / "report/predictions.parquet").num_rows == 13
    records = [json.loads(line) for line in (model / "report/metrics.jsonl").read_text().splitlines()]
    assert sum(f"eval/{main}" in record for record in records) == 2
    if name in {"dpo", "kto", "reward"}:
        assert page.count("⟦") >= 6
