"""The tutorials from settings alone: every recipe in ``docs/recipes`` is run as it stands.

The models and the tweets lie on the Hub stand-in under the names that the recipes use, the files where the recipes look for
them.  What is overridden is the number of steps, and the number of workers and threads to save the test's time.
"""

import json

import pytest

from tests.support import house, jobs, recipes
from tests.support.minihub import MiniHub

SMALL = {"JOB_TRAIN__MAX_STEPS": "4", "JOB_PARALLEL__WORKERS_PER_NODE": "1", "JOB_PARALLEL__THREADS_PER_WORKER": "1"}
TWO_WORKERS = {"distilbert-imdb-csv"}


class Finished:
    """What a recipe left where it says: the published folder and its reports."""

    def __init__(self, name, folder, output):
        self.name, self.folder, self.output = name, folder, output
        self.model = jobs.published(folder / "published", name)

    def report(self, document):
        return json.loads((self.model / "report" / document).read_bytes())

    def config(self):
        return json.loads((self.model / "config.json").read_bytes())

    def kept(self):
        return {split: entry["examples_kept"] for split, entry in self.report("ledger.json")["splits"].items()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with MiniHub() as running:
        recipes.add_models(running, tmp_path_factory.mktemp("models"))
        recipes.add_tweets(running)
        yield running


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory):
    """``run(name)``: the recipe in a folder of its own that holds its data, once a module."""
    data = {
        "distilbert-own-csv": recipes.write_own_csv,
        "distilbert-imdb-folder": recipes.write_imdb_folder,
        "distilbert-imdb-csv": recipes.write_imdb_csv,
        "gpt2-tweets": lambda _: None,
        "lora-distilbert": recipes.write_lora_csv,
        "freeze-distilbert": recipes.write_lora_csv,
    }
    done = {}

    def once(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            data[name](folder)
            about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
            workers = {"JOB_PARALLEL__WORKERS_PER_NODE": "2"} if name in TWO_WORKERS else {}
            ended = jobs.run({**recipes.read(name), **SMALL, **workers, **about_hub}, folder / "log")
            assert ended.code == 0, ended.output
            done[name] = Finished(name, folder, ended.output)
        return done[name]

    return once


LABELS = {
    "distilbert-own-csv": ["delivery", "praise", "question"],
    "distilbert-imdb-folder": ["neg", "pos"],
    "distilbert-imdb-csv": ["0", "1"],
    "gpt2-tweets": ["negative", "neutral", "positive"],
    "lora-distilbert": ["0", "1"],
    "freeze-distilbert": ["0", "1"],
}
WHOLE = sorted(LABELS.keys() - {"lora-distilbert"})
"""The recipes that publish a whole model."""


ELSEWHERE = {"masked-lm", "causal-lm", "sft", "token-classification", "dpo", "kto", "reward", "embedding", "seq2seq", "qlora-sft"}
"""Run in test_language_recipes.py, test_pair_recipes.py, test_seq2seq.py and test_qlora.py."""


def test_every_recipe_is_run():
    assert {path.stem for path in (house.ROOT / "docs/recipes").glob("*.env")} == LABELS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", WHOLE)
def test_the_published_folder_answers_with_the_labels(run, name):
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(run(name).model), device="cpu")
    assert list(classify.model.config.id2label.values()) == LABELS[name]
    texts = ["the film was superb", "a story about people that went on for long, and on"]
    answers = classify(texts, top_k=None, batch_size=2)  # of unlike length: without a pad token this fails
    assert [{answer["label"] for answer in scored} for scored in answers] == [set(LABELS[name])] * 2
    alone = classify(texts[0], top_k=None)
    assert {answer["label"]: round(answer["score"], 4) for answer in alone} == {
        answer["label"]: round(answer["score"], 4) for answer in answers[0]
    }


@pytest.mark.parametrize("name", sorted({*WHOLE} - {"freeze-distilbert"}))
def test_the_scores_are_of_the_test_data(run, name):
    finished = run(name)
    scores = finished.report("metrics.json")
    assert scores["split"] == "test"
    assert scores["num_examples"] == finished.kept()["test"]
    assert f"/{name}/" in finished.output.splitlines()[-1] or name in finished.output


def test_own_csv_is_split_by_the_shares_in_the_recipe(run):
    finished = run("distilbert-own-csv")
    assert finished.kept() == {"train": 192, "eval": 24, "test": 24}
    counts = [entry["label_counts"] for entry in finished.report("ledger.json")["splits"].values()]
    assert counts == [dict(zip(LABELS["distilbert-own-csv"], row, strict=True)) for row in ([96, 64, 32], [12, 8, 4], [12, 8, 4])]


def test_imdb_folder_leaves_out_reviews_without_a_label(run):
    finished = run("distilbert-imdb-folder")
    assert finished.kept() == {"train": 96, "eval": 24, "test": 120}
    notes = " ".join(finished.report("ledger.json")["notes"])
    assert "20" in notes
    assert "unsup" in notes


def test_imdb_csv_has_a_validation_file_of_its_own_and_two_workers(run):
    finished = run("distilbert-imdb-csv")
    assert finished.kept() == {"train": 160, "eval": 40, "test": 50}
    train = finished.report("ledger.json")["splits"]["train"]
    assert train["truncated_examples"] == 1
    assert train["tokens_in"] - train["tokens_kept"] == train["truncated_tokens"] > 0
    engine = finished.report("training.json")["engine"]
    assert (engine["wrapped_class"], engine["world_size"]) == ("DistributedDataParallel", 2)


def test_tweets_are_subsets_of_a_thousand(run):
    finished = run("gpt2-tweets")
    assert finished.kept() == {"train": 1000, "eval": 1000, "test": 1000}
    splits = finished.report("ledger.json")["splits"]
    left_out = {split: entry["subset_left_out"] for split, entry in splits.items()}
    assert left_out == {"train": 27480 * 9 // 10 - 1000, "eval": 27480 // 10 - 1000, "test": 3534 - 1000}


def test_gpt2_is_published_with_its_pad_token(run):
    finished = run("gpt2-tweets")
    assert finished.config()["pad_token_id"] == 0
    assert finished.config()["architectures"] == ["GPT2ForSequenceClassification"]
    assert json.loads((finished.model / "tokenizer_config.json").read_bytes())["pad_token"] == recipes.END_OF_TEXT
    notes = [note for note in finished.report("ledger.json")["notes"] if "pad" in note.lower()]
    assert len(notes) == 1
    assert recipes.END_OF_TEXT in notes[0]


def test_models_from_the_hub_are_recorded_with_their_commit(run, hub):
    shas = {name: hub.shelf.find("model", name).branches["main"] for name in (recipes.DISTILBERT, recipes.GPT2)}
    for name in LABELS:
        expected = shas[recipes.GPT2 if name == "gpt2-tweets" else recipes.DISTILBERT]
        assert run(name).report("sources.json")["model"]["revision"] == expected


def test_the_adapter_is_published_with_its_base_named(run, hub):
    """By rank, alpha, dropout and target of the tutorial; long texts lose their beginning; the card tells how it is used."""
    finished = run("lora-distilbert")
    config = json.loads((finished.model / "adapter_config.json").read_bytes())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"], config["target_modules"]) == (4, 32, 0.01, ["q_lin"])
    sha = hub.shelf.find("model", recipes.DISTILBERT).branches["main"]
    assert (config["base_model_name_or_path"], config["revision"]) == (recipes.DISTILBERT, sha)
    assert not (finished.model / "model.safetensors").exists()
    assert finished.kept() == {"train": 160, "eval": 40}
    assert finished.report("metrics.json")["split"] == "eval"
    tokenizer = json.loads((finished.model / "tokenizer_config.json").read_bytes())
    assert (tokenizer["truncation_side"], tokenizer["pad_token"]) == ("left", "[PAD]")
    card = (finished.model / "README.md").read_text()
    assert "library_name: peft" in card
    assert "base_model_relation: adapter" in card
    assert "an adapter (LoRA) of rank 4 on q\\_lin" in card


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_the_card_of_an_adapter_shows_code_that_runs(run, tmp_path, monkeypatch):
    """As it stands in the card; only the two names are those of folders here."""
    finished = run("lora-distilbert")
    card = (finished.model / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    config = json.loads((finished.model / "adapter_config.json").read_bytes())
    here = {**config, "base_model_name_or_path": str(finished.folder / "runs/lora-distilbert/inputs/model"), "revision": None}
    (finished.model / "adapter_config.json").write_text(json.dumps(here))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names = {}
    exec(code.replace("path/or/hub-name/of/this/model", str(finished.model)), names)
    (finished.model / "adapter_config.json").write_text(json.dumps(config))
    answers = names["classify"](["the film was superb", "a story about people that went on for long, and on"], batch_size=2)
    assert {answer["label"] for answer in answers} <= {"0", "1"}


def test_a_frozen_body_runs_once_for_each_review(run):
    finished = run("freeze-distilbert")
    scores, training = finished.report("metrics.json"), finished.report("training.json")
    assert scores["split"] == "eval"
    assert training["num_trained_parameters"] < training["num_parameters"] / 2
    (kept,) = (finished.folder / "runs/freeze-distilbert").glob("features-*")
    assert (kept / "last_hidden_state.tokens.npy").is_file()
