"""The preparation of pairs: what it refuses, what the ledger is told."""

from types import SimpleNamespace

import pytest

from job.errors import DataError
from job.settings.limits import LimitsSettings
from job.workers.tasks.answer_pairs import AnswerPairs, RewardPairs
from job.workers.tokenization import TokenizerSetup
from tests.support import language
from tests.support.inputs import settings


@pytest.fixture(scope="module")
def preparation():
    tokenizer = language.tokenizer()
    return AnswerPairs(settings(TASK="dpo"), TokenizerSetup(tokenizer, 64))


def test_pairs_that_teach_nothing_are_held_against_the_limit(preparation):
    split = SimpleNamespace(num_examples=8, without_targets=["a", "b"])
    with pytest.raises(DataError, match=r"2 of 10 train examples \(20.00%\) have the same answer twice"):
        preparation.check("train", split, LimitsSettings())
    preparation.check("train", split, LimitsSettings(max_masked_share=0.2))


def test_the_ledger_shows_both_sides_marked(preparation):
    ids = preparation._tokenizer("the film was good", add_special_tokens=False)["input_ids"]
    targets = [0] * (len(ids) - 1) + [1]
    row = {
        "id": "a",
        **{f"{side}_ids": ids for side in ("chosen", "rejected")},
        **{f"{side}_targets": targets for side in ("chosen", "rejected")},
    }
    records = {"train": type("Split", (list,), {"select": lambda self, places: self})([row])}
    described = preparation.describe({}, records)
    assert [sample["title"].split(":")[0] for sample in described.samples] == ["a, chosen", "a, rejected"]
    facts = preparation.facts({})
    assert facts["details"]["tokenized"][0]["ids"] == ids[:-1]
    assert (facts["problem"], RewardPairs.problem, RewardPairs.labels) == ("preference", "reward", ("reward",))
