"""The demo's settings: what a user would set for a run of their own, and no more."""

from __future__ import annotations

from pathlib import Path

RUN_NAME = "sentiment"


def demo_environ(folder: Path) -> dict[str, str]:
    """The ``JOB_*`` variables of the demo.

    Args:
        folder: absolute; holds ``model/`` and ``data/``, and will hold the store and the run directory.
    """
    return {
        "JOB_RUN__NAME": RUN_NAME,
        "JOB_RUN__DIR": str(folder),
        "JOB_MODEL__URI": str(folder / "model"),
        "JOB_DATA__TRAIN_URI": str(folder / "data" / "train.csv"),
        "JOB_DATA__TEST_URI": str(folder / "data" / "test.csv"),
        "JOB_OUTPUT__URI": f"file://{folder / 'store'}",
        "JOB_PARALLEL__WORKERS_PER_NODE": "2",
        "JOB_TRAIN__EPOCHS": "2",
        "JOB_TRAIN__LEARNING_RATE": "1e-3",
        "JOB_TRAIN__WARMUP_RATIO": "0.1",
        "JOB_TRAIN__WEIGHT_DECAY": "0.05",
        "JOB_TRAIN__MAX_SEQ_LENGTH": "128",
        "JOB_EVAL__EVERY_EPOCHS": "0.5",
    }
