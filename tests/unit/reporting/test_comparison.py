"""Runs side by side: order, what differs, and what is said about how sure the best is."""

import pytest

from job.reporting.comparison import Variant, compare, overlapping, table, text


def variant(name, value, half=0.02, *, metric="accuracy", greater=True, settings=None, **about):
    interval = {"metric": metric, "value": value, "low": value - half, "high": value + half, "level": 0.95}
    evaluation = {
        "main_metric": metric,
        "metrics": {metric: value},
        "interval": interval,
        "split": "test",
        "num_examples": 200,
        "greater_is_better": greater,
        **about,
    }
    return Variant(name, "complete", settings or {"JOB_TRAIN__LEARNING_RATE": 1e-5, "JOB_RUN__SEED": 1}, 61.0, evaluation)


def test_the_best_is_named_with_those_it_cannot_be_told_from():
    found = compare([variant("a-0", 0.80), variant("a-1", 0.91), variant("a-2", 0.89)])
    assert [one.name for one in found.scored] == ["a-1", "a-2", "a-0"]
    assert found.best.name == "a-1"
    assert found.verdict[0] == "Best: a-1, accuracy 0.910 (95 % interval 0.890 to 0.930) on 200 test examples."
    assert found.verdict[1] == "Its interval overlaps a-2: these examples alone do not decide which is better."
    assert "a little better" in found.verdict[2]


def test_an_interval_that_lies_apart():
    verdict = compare([variant("a-0", 0.80), variant("a-1", 0.91)]).verdict
    assert "Its interval lies apart from all others." in verdict
    alone = compare([variant("a-0", 0.8)]).verdict
    assert len(alone) == 1
    everyone = compare([variant(f"a-{at}", 0.8) for at in range(3)]).verdict
    assert "Its interval overlaps all others: these examples alone do not decide which is better." in everyone


def test_a_loss_is_better_when_it_is_smaller():
    found = compare([variant(name, value, metric="loss", greater=False) for name, value in (("a", 2.0), ("b", 1.0))])
    assert found.best.name == "b"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"metric": "loss", "greater": False}, "unlike main metrics (accuracy, loss)"),
        ({"num_examples": 100}, "unlike examples (100 of test, 200 of test)"),
        ({"split": "eval"}, "unlike examples (200 of eval, 200 of test)"),
        ({"greater": None}, "in which direction"),
    ],
)
def test_scores_that_cannot_be_compared_have_no_best(other, says):
    found = compare([variant("a", 0.8), variant("b", 0.9, **other)])
    assert found.best is None
    assert found.metric == ""
    assert says in found.verdict[0]
    assert not any(line.startswith("Best") for line in found.verdict)
    assert len(found.scored) == 2
    assert table(found).columns == ["Run", "Score", "Interval", "Time", "State"]
    assert "0.800 accuracy" in text(found)


def test_the_validation_data_is_called_what_it_is():
    found = compare([variant("a", 0.8, split="eval"), variant("b", 0.9, split="eval")])
    assert "on 200 validation examples." in found.verdict[0]
    assert "flattered twice" in found.verdict[-1]


def test_runs_without_a_score_are_said_and_stand_last():
    failed = Variant("a-1", "failed", {"JOB_TRAIN__LEARNING_RATE": 1.0, "JOB_RUN__SEED": 1}, 5.0, note="failed with 93 (hopeless)")
    found = compare([failed, variant("a-0", 0.8), Variant("a-2", "running, or ended without a word")])
    assert [row[0] for row in table(found).rows] == ["a-0", "a-1", "a-2"]
    assert found.verdict[-1] == "2 of 3 runs have no score: a-1 (failed), a-2 (running, or ended without a word)."
    assert text(found).splitlines()[-1] == "a-1: failed with 93 (hopeless)"
    assert compare([failed]).verdict == ("No run has published a score yet.",)
    many = compare([variant("z", 0.5), *(Variant(f"a-{at}", "failed") for at in range(9))])
    assert many.verdict[-1].endswith("a-5 (failed) and 3 more.")


def test_only_settings_that_differ_are_columns():
    rate, seed, sizes = "JOB_TRAIN__LEARNING_RATE", "JOB_RUN__SEED", "JOB_DATA__LABELS"
    one = variant(
        "a", 0.8, settings={rate: 1e-5, seed: 1, sizes: ["x", "y"], "JOB_TUNING__LORA_RANK": None, "JOB_DATA__HEADER": True}
    )
    two = variant(
        "b",
        0.9,
        settings={rate: 3e-4, seed: 1, sizes: [], "JOB_TUNING__LORA_RANK": 8, "JOB_DATA__HEADER": False, "JOB_NEW": "v" * 60},
    )
    found = compare([one, two, Variant("c", "unusable")])
    assert found.differing == (rate, sizes, "JOB_TUNING__LORA_RANK", "JOB_DATA__HEADER", "JOB_NEW")
    columns, rows = table(found).columns, {row[0]: row for row in table(found).rows}
    assert columns[:6] == ["Run", "accuracy", "Interval", "train.learning_rate", "data.labels", "tuning.lora_rank"]
    assert rows["a"] == ["a", "0.800", "0.780 to 0.820", "1e-05", "x,y", "default", "true", "–", "1 min 1 s", "complete"]
    assert rows["b"][3:7] == ["0.0003", "", "8", "false"]
    assert rows["b"][7] == "v" * 40 + "..."
    assert rows["c"] == ["c", *["–"] * 8, "unusable"]


def test_the_text_is_a_table():
    lines = text(compare([variant("run-10", 0.8), variant("a", 0.9)])).splitlines()
    assert lines[0].index("accuracy") == lines[1].index("0.900") == lines[2].index("0.800")


def test_intervals_that_touch_overlap():
    assert overlapping(variant("a", 0.5, 0.125), variant("b", 0.75, 0.125))
    assert not overlapping(variant("a", 0.5, 0.1), variant("b", 0.75, 0.1))
    without = Variant("c", "complete", {}, 1.0, {"main_metric": "loss", "metrics": {"loss": 1.0}})
    assert overlapping(without, variant("b", 0.75))
