"""The same global batch gives the same update, however it is spread over processes and micro-batches."""

import json

import pytest

from tests.support import tiny

STEPS = 4
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}


@pytest.fixture(scope="module")
def updates(tmp_path_factory):
    """(loss, gradient norm) of each step by (processes, micro-batches per process)."""
    folder = tmp_path_factory.mktemp("numerics")
    tiny.write_model(folder / "model", **NO_DROPOUT)
    found = {}
    for world in (1, 2, 4):
        runs = {}
        for accumulation in (1, 2, 4):
            runs[accumulation] = tiny.prepared_run(
                folder,
                f"w{world}a{accumulation}",
                train=4 * 16 - 5,  # the fourth step is the epoch's last and incomplete
                TRAIN__MAX_STEPS=str(STEPS),
                TRAIN__LOG_EVERY_STEPS="1",
                TRAIN__MICRO_BATCH_SIZE=str(16 // world // accumulation),
                TRAIN__CLASS_WEIGHTS="balanced",
            )
        tiny.train_all(list(runs.values()), world)
        for accumulation, run_dir in runs.items():
            records = [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
            found[world, accumulation] = [(r["train/loss"], r["train/grad_norm"]) for r in records if "train/loss" in r]
    return found


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_loss_and_gradient_do_not_depend_on_how_a_step_is_spread(updates, world, accumulation):
    reference = updates[1, 1]
    assert len(reference) == STEPS
    for ours, theirs in zip(updates[world, accumulation], reference, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
