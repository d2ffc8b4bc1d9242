"""What saving costs training: the same run with a checkpoint every 20 steps and with none before its end, in turns.

    python -m benchmarks.checkpoint_stall [--pairs 3] [--steps 61] [--batch 32] [--tokens 64]

A DistilBERT of the usual size (66 million weights, with the moments 800 MB a checkpoint) from a configuration, by ``python -m job run`` with
one worker on all cores, to a folder.  Of each run what its own records say of the steps after the first 20: seconds within the steps, and
seconds that training waited for a checkpoint to be written.  Hashing and uploading go on beside training, on the same cores here; what they
take shows in the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import docstrings, machine
from benchmarks.child import QUIET, ROOT

RESULTS = Path(__file__).parent / "results" / "checkpoint_stall.md"
EVERY = 20
GOAL = 0.02
SHAPE = {"n_layers": 6, "dim": 768, "hidden_dim": 3072, "n_heads": 12, "vocab_size": 30522, "max_position_embeddings": 512}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=61)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64, help="of each example")
    parser.add_argument("--result", type=Path, default=RESULTS)
    options = parser.parse_args()
    pairs = []
    with tempfile.TemporaryDirectory(prefix="checkpoint-stall-") as name:
        folder = Path(name)
        write_inputs(folder, options)
        for number in range(options.pairs):
            order = [("saving", EVERY), ("not saving", 10**6)]
            found = {
                how: one_run(folder, f"{how.replace(' ', '-')}-{number}", every, options)
                for how, every in (order if number % 2 else order[::-1])
            }
            pairs.append(found)
            print(f"pair {number + 1}: {json.dumps(found)}", flush=True)
    options.result.write_text(table(pairs, options))
    print(options.result.read_text())


def write_inputs(folder: Path, options: argparse.Namespace) -> None:
    """Texts that are all longer than what is read of them, so that all steps are alike."""
    docstrings.write_model(folder / "model", **SHAPE)
    words = [text for text, _ in docstrings.drawn(4000)]
    draw = random.Random(0)
    rows = [
        (" ".join(draw.choices(words, k=options.tokens)), label) for label in ("function", "class") for _ in range(options.batch)
    ]
    docstrings.write_csv(folder / "train.csv", tuple(rows * (options.steps // 2 + 1)))
    docstrings.write_csv(folder / "eval.csv", tuple(rows[:8] + rows[-8:]))


def one_run(folder: Path, name: str, every: int, options: argparse.Namespace) -> dict[str, float]:
    """Seconds in the steps after the first `EVERY`, seconds waited for checkpoints, and how many were written."""
    environ = docstrings.environ(
        folder,
        RUN__NAME=name,
        TRAIN__MAX_STEPS=str(options.steps),
        TRAIN__GLOBAL_BATCH_SIZE=str(options.batch),
        TRAIN__MAX_SEQ_LENGTH=str(options.tokens),
        TRAIN__LOG_EVERY_STEPS="1",
        CHECKPOINT__EVERY_STEPS=str(every),
        CHECKPOINT__EVERY_MINUTES="0",
        EVAL__BEST_METRIC="none",
        EVAL__EVERY_STEPS=str(10**6),
        LIMITS__MAX_TRUNCATED_SHARE="1",
        PARALLEL__THREADS_PER_WORKER=str(os.cpu_count()),
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JOB_")}
    command = [sys.executable, "-m", "job", "run"]
    done = subprocess.run(command, env={**clean, **QUIET, **environ}, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr)[-4000:])
    records = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
    at = {record["step"]: record["time_s"] for record in records if "train/loss" in record}
    waits = [
        record["time/checkpoint_save_s"]
        for record in records
        if "time/checkpoint_save_s" in record and record["step"] < options.steps
    ]
    return {"steps_s": at[options.steps] - at[EVERY], "waited_s": sum(waits), "checkpoints": len(waits)}


def table(pairs: list[dict[str, dict[str, float]]], options: argparse.Namespace) -> str:
    saving = [pair["saving"] for pair in pairs]
    stalled = [run["waited_s"] / (run["steps_s"] + run["waited_s"]) for run in saving]
    slower = [pair["saving"]["steps_s"] / pair["not saving"]["steps_s"] - 1 for pair in pairs]
    waits = [run["waited_s"] / run["checkpoints"] for run in saving]
    step = statistics.median(run["steps_s"] / (options.steps - EVERY) for run in saving)
    lines = [
        "# What saving costs training",
        "",
        (
            f"DistilBERT shape, 66 million weights, fp32, steps of {options.batch} examples of {options.tokens} tokens ({step:.1f} s each), one worker "
            f"on all cores, {options.pairs} pairs of runs of {options.steps} steps in turns; a checkpoint every {EVERY} steps (weights and moments, "
            f"0.8 GB) against none. Goal: training stands still for less than {GOAL:.0%} of its time."
        ),
        "",
        "| | median | least | most |",
        "|---|---|---|---|",
        f"| training waits for a checkpoint, s | {statistics.median(waits):.2f} | {min(waits):.2f} | {max(waits):.2f} |",
        f"| share of its time that it stands still | {statistics.median(stalled):.2%} | {min(stalled):.2%} | {max(stalled):.2%} |",
        f"| steps beside hashing and upload, against steps without | {statistics.median(slower):+.1%} | {min(slower):+.1%} | {max(slower):+.1%} |",
        "",
        machine.sentence(machine.describe()),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
