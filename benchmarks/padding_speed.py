"""Real tokens per CPU second of the training loop beside transformers' Trainer, on long-tailed lengths.

    python -m benchmarks.padding_speed [--pairs 5] [--examples 2000]

Each run is a fresh process with one thread; the CPU time is that process's own, around the loop, without imports and set-up.  Runs
are interleaved (Trainer, then each variant of ours, and again), ratios are taken within a round, and the median is what counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import child, docstrings, machine
from job.records import PreparedData

RESULTS = Path(__file__).parent / "results"
VARIANTS = {
    "padding=step": {},
    "padding=step, length_grouped": {"JOB_TRAIN__BATCHING": "length_grouped"},
    "padding=step, bf16": {"JOB_TRAIN__PRECISION": "bf16"},
    "padding=step, length_grouped, bf16": {"JOB_TRAIN__BATCHING": "length_grouped", "JOB_TRAIN__PRECISION": "bf16"},
}
GOALS = {
    "padding=step": 3.0,
    "padding=step, length_grouped": 4.5,
    "padding=step, bf16": 6.0,
    "padding=step, length_grouped, bf16": 6.0,
}
TRAINER = "transformers' Trainer, dynamic padding"


def one_round(folder: Path, run_dir: Path, tokens: int, variants: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Every contestant once."""
    environ = docstrings.environ(folder, TRAIN__LOG_EVERY_STEPS="1000000")
    runs = {TRAINER: _flat(child.run(["-m", "benchmarks.trainer_reference", str(run_dir)]), "1")}
    for name, more in variants.items():
        runs[name] = _flat(child.run(["-m", "benchmarks.ours", str(run_dir)], {**environ, **more}), "step")
    for name, run in runs.items():
        run["tokens_per_cpu_s"] = tokens / run["loop_cpu_s"]
        run["ratio"] = runs[TRAINER]["loop_cpu_s"] / run["loop_cpu_s"]
        print(f"  {name}: {run['tokens_per_cpu_s']:.0f} real tokens per CPU second, {run['ratio']:.2f}×", flush=True)
    return runs


def _flat(run: dict[str, Any], key: str) -> dict[str, Any]:
    return {**run.pop(key), **run}


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in rounds[0]:
        runs = [a_round[name] for a_round in rounds]
        speed, ratio = spread([run["tokens_per_cpu_s"] for run in runs]), spread([run["ratio"] for run in runs])
        found[name] = {
            "tokens_per_cpu_s": speed,
            "ratio": ratio,
            "goal": GOALS.get(name),
            "others_share": max(r["others_share"] for r in runs),
        }
        found[name]["padding_share"] = runs[0].get("padding_share")
    return found


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# Padding taken out inside the step: speed\n",
        (
            f"{report['examples']} docstrings, {report['tokens']} tokens, steps of 32 examples, the same ones in every step for all rows "
            f"but those grouped by length; DistilBERT shape, 4 layers of 256; one thread; {report['pairs']} interleaved rounds, each run a "
            "fresh process. Real tokens (padding not counted) per CPU second of that process, around the loop.\n"
        ),
        "| | real tokens per CPU s: median (min–max) | beside Trainer: median (min–max) | goal | padding | others' CPU, at most |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in report["summary"].items():
        speed, ratio = row["tokens_per_cpu_s"], row["ratio"]
        padding = "" if row["padding_share"] is None else f"{row['padding_share']:.0%}"
        lines.append(
            f"| {name} | {speed['median']:.0f} ({speed['min']:.0f}–{speed['max']:.0f}) | {ratio['median']:.2f}× ({ratio['min']:.2f}–"
            f"{ratio['max']:.2f}) | {row['goal'] or ''} | {padding} | {row['others_share']:.0%} |"
        )
    return "\n".join([*lines, "", *report["notes"], "", machine.sentence(report["machine"]), ""])


def chosen_variants() -> tuple[dict[str, dict[str, str]], list[str]]:
    """The variants this processor can run as meant, and what to say of the others."""
    from job.workers.engine.group import native_bf16

    if native_bf16("cpu"):
        return VARIANTS, []
    without = {name: more for name, more in VARIANTS.items() if "bf16" not in name}
    return without, ["This processor has no bfloat16 arithmetic of its own (avx512_bf16, amx_bf16): bf16 was not measured."]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--name", default="padding_speed", help="of the files in benchmarks/results")
    options = parser.parse_args()
    variants, notes = chosen_variants()
    print(*notes, sep="\n")
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = docstrings.prepare(Path(scratch), options.examples)
        prepared = PreparedData.read(run_dir.prepared / "prepared.json")
        tokens, examples = prepared.num_tokens["train"], prepared.num_examples["train"]
        rounds = []
        for number in range(1, options.pairs + 1):
            print(f"round {number} of {options.pairs}", flush=True)
            rounds.append(one_round(Path(scratch), run_dir.root, tokens, variants))
    report = {"examples": examples, "tokens": tokens, "pairs": options.pairs, "notes": notes, "machine": machine.describe()}
    report |= {"summary": summary(rounds), "rounds": rounds}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / f"{options.name}.md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
