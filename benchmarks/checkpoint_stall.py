"""What saving costs training: the same run with a checkpoint every 20 steps and with none before its end, in turns.

    python -m benchmarks.checkpoint_stall [--pairs 3] [--batch 32] [--tokens 64]

A DistilBERT of the usual size (66 million weights, with the moments 800 MB a checkpoint) from a configuration, by ``python -m job run`` with
one worker on all cores, to a folder.  Of each run the wall-clock time from the record of step 20 to that of step 60, looked at from outside:
with two saves in it, or none, whatever training waits for (the disk, or a store that is behind) and whatever slows its steps down (hashing
and upload beside it, on the same cores here).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import docstrings, machine
from benchmarks.child import QUIET, ROOT

RESULTS = Path(__file__).parent / "results" / "checkpoint_stall.md"
EVERY, LAST = 20, 60
GOAL = 0.02
SHAPE = {"n_layers": 6, "dim": 768, "hidden_dim": 3072, "n_heads": 12, "vocab_size": 30522, "max_position_embeddings": 512}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=3)
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
    docstrings.write_csv(folder / "train.csv", tuple(rows * (LAST // 2 + 1)))
    docstrings.write_csv(folder / "eval.csv", tuple(rows[:8] + rows[-8:]))


def one_run(folder: Path, name: str, every: int, options: argparse.Namespace) -> dict[str, float]:
    """Wall-clock seconds from step `EVERY` to step `LAST`, and seconds that training says it wrote checkpoints in, of those between."""
    environ = docstrings.environ(
        folder,
        RUN__NAME=name,
        TRAIN__MAX_STEPS=str(LAST + 1),
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
    metrics, seen = folder / name / "metrics.jsonl", dict[int, float]()
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "job", "run"]
        process = subprocess.Popen(command, env={**clean, **QUIET, **environ}, cwd=ROOT, stdout=log, stderr=log)
        while process.poll() is None:
            if metrics.exists():
                for step in (EVERY, LAST):
                    if step not in seen and f'"step": {step},'.encode() in metrics.read_bytes():
                        seen[step] = time.monotonic()
            time.sleep(0.02)
    if process.returncode:
        raise RuntimeError((folder / f"{name}.log").read_text()[-4000:])
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    saves = {record["step"]: record["time/checkpoint_save_s"] for record in records if "time/checkpoint_save_s" in record}
    shutil.rmtree(folder / name)
    shutil.rmtree(folder / "store")
    return {
        "wall_s": seen[LAST] - seen[EVERY],
        "writing_s": sum(seconds for step, seconds in saves.items() if EVERY <= step < LAST),
    }


def table(pairs: list[dict[str, dict[str, float]]], options: argparse.Namespace) -> str:
    share = [1 - pair["not saving"]["wall_s"] / pair["saving"]["wall_s"] for pair in pairs]
    writing = [pair["saving"]["writing_s"] / pair["saving"]["wall_s"] for pair in pairs]
    step = statistics.median(pair["not saving"]["wall_s"] / (LAST - EVERY) for pair in pairs)
    lines = [
        "# What saving costs training",
        "",
        (
            f"DistilBERT shape, 66 million weights, fp32, steps of {options.batch} examples of {options.tokens} tokens ({step:.1f} s each), one worker "
            f"on all cores, {options.pairs} pairs of runs in turns; {LAST - EVERY} steps with a checkpoint every {EVERY} (weights and moments, "
            f"0.8 GB) against as many with none, wall-clock. Goal: less than {GOAL:.0%} of the time."
        ),
        "",
        "| | median | least | most |",
        "|---|---|---|---|",
        f"| share of the time that saving costs | {statistics.median(share):.1%} | {min(share):.1%} | {max(share):.1%} |",
        f"| of it, in which training writes and waits for the disk | {statistics.median(writing):.1%} | {min(writing):.1%} | {max(writing):.1%} |",
        "",
        machine.sentence(machine.describe()),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
