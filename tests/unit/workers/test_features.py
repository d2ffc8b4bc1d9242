"""A body that answers from what it made of the examples before: the same answers whatever is asked together, from any architecture."""

import contextlib
import dataclasses
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from job.errors import LocalIOError, SettingsError
from job.run_dir import RunDir
from job.workers import features
from job.workers.features import FeaturePass, remember
from job.workers.padding import Padding
from job.workers.tasks.base import Batch
from tests.support import architectures
from tests.support.training import OneRank

KINDS = {
    "distilbert": "AutoModelForSequenceClassification",
    "bert": "AutoModelForSequenceClassification",
    "roberta": "AutoModelForTokenClassification",
    "gpt2": "AutoModelForSequenceClassification",
    "llama": "AutoModelForSequenceClassification",
    "modernbert": "AutoModelForTokenClassification",
    "deberta-v2": "AutoModelForSequenceClassification",
}
DROPOUT = {"distilbert": {"dropout": 0.5}, "bert": {"hidden_dropout_prob": 0.5}, "deberta-v2": {"cls_dropout": 0.0}}


class Engine(OneRank):
    def autocast(self):
        return contextlib.nullcontext()


def collate(rows, side="right"):
    padding, ids = Padding(side, 1), [row["input_ids"] for row in rows]
    inputs = {
        "input_ids": padding.pad(ids, 0),
        "attention_mask": padding.pad([np.ones(len(each)) for each in ids], 0),
    }
    if "token_type_ids" in rows[0]:
        inputs["token_type_ids"] = padding.pad([row["token_type_ids"] for row in rows], 0)
    return Batch(inputs, torch.zeros(len(rows)), torch.ones(len(rows)))


def split(count, seed, *, kinds=False):
    draw = np.random.default_rng(seed)
    rows = [{"input_ids": draw.integers(3, 40, draw.integers(1, 12)).tolist()} for _ in range(count)]
    for row in rows if kinds else []:
        row["token_type_ids"] = draw.integers(0, 2, len(row["input_ids"])).tolist()
    return datasets.Dataset.from_list(rows)


def frozen(kind, auto="AutoModelForSequenceClassification", **more):
    model = architectures.build(kind, auto, **more)
    model.requires_grad_(False)
    model.train()
    return model


def work(folder, *, side="right", spare=0):
    run_dir, beats = RunDir(folder / "run"), []
    run_dir.root.mkdir(exist_ok=True)
    task = SimpleNamespace(collate=lambda rows: collate(rows, side))
    return FeaturePass(run_dir, task, Engine(), spare, lambda: beats.append(1), 30)


@pytest.fixture
def asked(monkeypatch):
    """How often a body was really asked."""
    counted = []
    plain = features._Asks.answer
    monkeypatch.setattr(features._Asks, "answer", lambda self, rows: counted.append(rows) or plain(self, rows))
    return counted


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_answers_as_it_does_without_dropout_in_its_body(tmp_path, kind):
    own = frozen(kind, KINDS[kind], **DROPOUT.get(kind, {}), classifier_dropout=0.0, seq_classif_dropout=0.0)
    train, held_out = split(20, 1, kinds=kind == "bert"), split(5, 2, kinds=kind == "bert")
    given = [collate([*(train[number] for number in numbers), held_out[3]]).inputs for numbers in ([0, 7, 3], [12], [5, 19])]
    own.eval()
    expected = [own(**inputs).logits for inputs in given]
    names = own.state_dict().keys()
    own.train()
    remember(own, [train, held_out], work(tmp_path))
    body = own.get_submodule(features.anatomy.body_name(own))
    for inputs, logits in zip(given, expected, strict=True):
        found = own(**inputs).logits
        # What the head makes of padding nobody reads; token classifiers answer for it too.
        seen = inputs["attention_mask"].bool() if logits.ndim == 3 else slice(None)
        assert torch.allclose(found[seen], logits[seen], atol=2e-6)
    assert own.state_dict().keys() == names
    assert own.training
    assert body.training


def test_no_layer_is_asked_again_for_what_is_there_and_other_texts_go_through_the_body(tmp_path):
    model = frozen("distilbert", dropout=0.5, seq_classif_dropout=0.0)
    train, other = split(10, 1), split(3, 9)
    remember(model, [train], work(tmp_path))
    asked = []
    model.distilbert.transformer.register_forward_hook(lambda *_: asked.append(1))
    model(**collate([train[0], train[4]]).inputs)
    assert not asked
    inputs = collate([train[0], other[1]]).inputs
    first, second = model(**inputs).logits, model(**inputs).logits
    assert len(asked) == 2
    assert torch.equal(first, second)  # no dropout there either


def test_the_bits_do_not_depend_on_what_is_asked_together_or_on_the_order_of_the_splits(tmp_path):
    train, held_out = split(30, 1), split(6, 2)
    found = []
    for name, splits in (("a", [train, held_out]), ("b", [held_out, train.select(range(29, -1, -1))])):
        (tmp_path / name).mkdir()
        model = frozen("bert")
        remember(model, splits, work(tmp_path / name))
        body = model.bert
        together = body(**collate([train[0], train[1]]).inputs).last_hidden_state[0, : len(train[0]["input_ids"])]
        alone = body(**collate([train[0]]).inputs).last_hidden_state[0]
        assert torch.equal(together, alone)
        found.append(alone)
    assert torch.equal(*found)


def test_they_are_kept_by_content(tmp_path, asked):
    model, train = frozen("distilbert"), split(10, 1)
    remember(model, [train], work(tmp_path))
    first = len(asked)
    assert first > 2
    remember(frozen("distilbert"), [train], work(tmp_path))
    assert len(asked) == first + 1  # for the kind of its answer
    (kept,) = (tmp_path / "run").iterdir()
    other = frozen("distilbert")
    with torch.no_grad():
        other.distilbert.embeddings.word_embeddings.weight[5, 0] += 1
    remember(other, [train], work(tmp_path))
    assert len(asked) == 2 * first + 1
    (now,) = (tmp_path / "run").iterdir()
    assert now != kept


def test_a_pass_that_was_killed_is_made_again(tmp_path, asked):
    train = split(10, 1)
    broken = work(tmp_path)

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remember(frozen("distilbert"), [train], dataclasses.replace(broken, beat=killed))
    before = len(asked)
    remember(frozen("distilbert"), [train], work(tmp_path))
    assert len(asked) - before > 2


def test_what_cannot_be_kept_is_refused(tmp_path):
    train = split(10, 1)
    model = frozen("bert")
    model.bert.pooler.requires_grad_(True)
    with pytest.raises(SettingsError, match=r"bert\.pooler\.dense\.weight is trained: the start model lacks it"):
        remember(model, [train], work(tmp_path))
    with pytest.raises(SettingsError, match="not for encoder-decoders"):
        remember(frozen("bart"), [train], work(tmp_path))
    with pytest.raises(SettingsError, match="pads at the right"):
        remember(frozen("gpt2"), [train], work(tmp_path, side="left"))
    with pytest.raises(LocalIOError, match="bytes free"):
        remember(frozen("distilbert"), [train], work(tmp_path, spare=1 << 60))
