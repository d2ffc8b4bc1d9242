"""Token classification: CoNLL columns to a published tagger, against transformers' own loss and pipeline and seqeval's report."""

import random

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from datasets import load_from_disk
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from job import run_dir as run_dirs
from job.records import PreparedData
from job.settings import resolved
from job.workers import train
from job.workers.engine import Engine
from tests.support import model_folders, tasks
from tests.support.inputs import as_json_lines

PLAIN, PERSONS, PLACES = "the film was a story about people".split(), "good great lovely".split(), "bad awful poor".split()


def sentences(count, seed):
    """Persons are one or two words that occur nowhere else, places one; tags are iob2."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words, tags = [], []
        for _ in range(draw.randint(2, 6)):
            kind = draw.choice(["plain", "plain", "PER", "LOC"])
            size = draw.randint(1, 2) if kind == "PER" else 1
            words += [draw.choice({"plain": PLAIN, "PER": PERSONS, "LOC": PLACES}[kind]) for _ in range(size)]
            tags += ["O"] if kind == "plain" else [f"B-{kind}", f"I-{kind}"][:size]
            words.append("with")
            tags.append("O")
        found.append((words, tags))
    return found


def as_conll(given):
    lines = ["-DOCSTART- -X- O", ""]
    for words, tags in given:
        lines += [*(f"{word} NN {tag}" for word, tag in zip(words, tags, strict=True)), ""]
    return "\n".join(lines).encode()


def as_rows(given):
    return as_json_lines([{"tokens": words, "tags": tags} for words, tags in given])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_folders.write(tmp_path_factory.mktemp("bert") / "model", "bert")


@pytest.fixture(scope="module")
def run(tmp_path_factory, model):
    splits = {
        "train": {"train.conll": as_conll(sentences(160, 0))},
        "eval": {"eval.jsonl": as_rows(sentences(30, 1))},
        "test": {"test.conll": as_conll(sentences(41, 2))},
    }
    changes = {"TASK": "token-classification", "TRAIN__EPOCHS": "12", "TRAIN__LEARNING_RATE": "1e-2"}
    run_dir = tasks.prepared(tmp_path_factory.mktemp("run"), model, splits, **changes)
    return run_dir, tasks.finished(run_dir)


def test_it_learns_and_the_report_is_seqevals(run):
    run_dir, report = run
    found = pq.read_table(run_dir.evaluation / "predictions.parquet").to_pydict()
    assert (report.num_examples, report.main_metric, report.pipeline_tag) == (41, "f1", "token-classification")
    assert found["label"] == [tags for _, tags in sentences(41, 2)]
    expected = classification_report(found["label"], found["prediction"], mode="strict", scheme=IOB2, output_dict=True)
    assert report.metrics["f1"] == pytest.approx(expected["micro avg"]["f1-score"])
    assert report.metrics["per_class"]["PER"]["recall"] == pytest.approx(expected["PER"]["recall"])
    assert report.metrics["f1"] > 0.9
    assert report.baselines["untrained"]["f1"] < 0.5
    assert report.baselines["majority"]["f1"] == 0.0
    assert report.interval["low"] <= report.metrics["f1"] <= report.interval["high"]


def test_the_ledger_tells_scheme_words_and_tags(run):
    run_dir, _ = run
    ledger = run_dirs.read_json(run_dir.prepared / "ledger.json")
    given = [tag for _, tags in sentences(160, 0) for tag in tags]
    assert ledger["splits"]["train"]["words"] == len(given)
    assert ledger["splits"]["train"]["label_counts"]["B-PER"] == given.count("B-PER")
    assert (ledger["problem"], ledger["labels"]) == ("entities", ["O", "B-LOC", "B-PER", "I-PER"])
    assert any("iob2" in note for note in ledger["notes"])


def test_the_published_folder_gives_the_same_tags_to_a_user(run):
    """transformers' own model and tokenizer, words given as words: the predictions in the record."""
    run_dir, _ = run
    tagger = transformers.AutoModelForTokenClassification.from_pretrained(run_dir.model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(run_dir.model)
    found = pq.read_table(run_dir.evaluation / "predictions.parquet").to_pydict()
    for (words, _), expected in list(zip(sentences(41, 2), found["prediction"], strict=True))[:12]:
        given = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = tagger(**given).logits[0].argmax(-1)
        first = [at for at, word in enumerate(given.word_ids()) if word is not None and word != given.word_ids()[at - 1]]
        assert [tagger.config.id2label[int(best[at])] for at in first] == expected


def test_losses_are_those_of_transformers_own_head(tmp_path, model):
    """20 steps: the loop's losses, and those of the model's own `loss` on the same batches with the same optimizer, to 1e-5."""
    run_dir = tasks.prepared(
        tmp_path,
        model,
        {"train": {"a.jsonl": as_rows(sentences(160, 3))}, "eval": {"a.jsonl": as_rows(sentences(9, 4))}},
        TASK="token-classification",
        TRAIN__MAX_STEPS="20",
        TRAIN__LOG_EVERY_STEPS="1",
        TRAIN__MAX_GRAD_NORM="0",
        TRAIN__SCHEDULE="constant",
        TRAIN__LEARNING_RATE="1e-3",
        TRAIN__PADDING="longest",
        EVAL__BEST_METRIC="none",
    )
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    ours = train.build(run_dir, settings, engine)
    theirs = train.build(run_dir, settings, engine)
    for module in (ours.model, theirs.model):
        module.eval()  # no dropout: both see the same function
    feed = ours.parts.feed
    for number in range(20):
        step = feed[number]
        (batch,) = step.batches
        loss = theirs.model(**batch.inputs, labels=batch.labels).loss
        loss.backward()
        theirs.parts.optimizer.param_groups[0]["lr"] = theirs.parts.optimizer.param_groups[1]["lr"] = 1e-3
        theirs.parts.optimizer.step()
        theirs.parts.optimizer.zero_grad()
        from job.workers.loop import Loop

        result = Loop(engine, settings, ours.parts, ours.state).take_step(step)
        assert result.loss_sum / result.weight == pytest.approx(float(loss.detach()), rel=1e-5), number


def test_cut_words_count_as_missed_and_all_pieces_can_be_trained(tmp_path, model):
    long = [(["the", *["good"] * 2, *["film"] * 40, "bad"], ["O", "B-PER", "I-PER", *["O"] * 40, "B-LOC"])] * 3
    run_dir = tasks.prepared(
        tmp_path,
        model,
        {"train": {"a.jsonl": as_rows([*sentences(30, 5), *long])}, "eval": {"a.jsonl": as_rows(long)}},
        TASK="token-classification",
        TAGGING__LABEL_PIECES="all",
        LIMITS__MAX_TRUNCATED_SHARE="1",
        TRAIN__MAX_STEPS="2",
    )
    dataset = load_from_disk(str(run_dir.prepared / "eval"))
    assert dataset[0]["starts"][-1] == -1
    assert len(dataset[0]["tags"]) == 44
    report = tasks.finished(run_dir)
    assert report.metrics["entities"] == 6  # the places that no prediction was made for are among them
    assert report.metrics["per_class"]["LOC"]["recall"] == 0.0
    prepared = PreparedData.read(run_dir.prepared / "prepared.json")
    assert np.sum(prepared.label_counts) == sum(len(tags) for _, tags in [*sentences(30, 5), *long])
