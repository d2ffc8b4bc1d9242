"""Loss and gradient norm reported for the same 32 examples, spread over 1, 2, 4 processes × 1, 2, 4 micro-batches.

    python -m benchmarks.global_batch_numerics [--steps 4] [--worlds 1 2 4]

A global batch has one loss and one gradient.  transformers' Trainer and the job are asked for both, on the same model without
dropout; what either reports should not depend on how the batch is spread.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import child, docstrings, machine
from job.run_dir import RunDir

RESULTS = Path(__file__).parent / "results"
BATCH = 32
ACCUMULATIONS = (1, 2, 4)
TINY = {"n_layers": 2, "dim": 64, "hidden_dim": 128, "n_heads": 2}
Steps = list[dict[str, float]]
Spread = dict[tuple[int, int], Steps]
"""Reported steps by (processes, micro-batches a process and step)."""


def theirs(run_dir: RunDir, world: int, steps: int) -> Spread:
    options = [
        "--per-device",
        str(BATCH // world),
        "--max-steps",
        str(steps),
        "--record",
        "--accumulation",
        *map(str, ACCUMULATIONS),
    ]
    found = child.run(["-m", "benchmarks.trainer_reference", str(run_dir.root), *options], processes=world)
    return {(world, accumulation): found[str(accumulation)]["steps"] for accumulation in ACCUMULATIONS}


def ours(folder: Path, run_dir: RunDir, world: int, steps: int) -> dict[str, Spread]:
    """By padding: ``longest`` has exactly that many micro-batches, ``step`` at least."""
    environ = docstrings.environ(folder, TRAIN__MAX_STEPS=str(steps), TRAIN__LOG_EVERY_STEPS="1")
    environ["JOB_PARALLEL__WORKERS_PER_NODE"] = str(world)
    sizes = {accumulation: str(BATCH // world // accumulation) for accumulation in ACCUMULATIONS}
    options = ["--padding", "longest", "step", "--micro-batch-size", *sizes.values()]
    found = child.run(["-m", "benchmarks.ours", str(run_dir.root), *options], environ, processes=world)
    return {
        padding: {(world, accumulation): found[f"{padding} {size}"]["steps"] for accumulation, size in sizes.items()}
        for padding in ("longest", "step")
    }


def furthest(spread: Spread, reference: Steps) -> float:
    """Largest relative difference of a loss or a gradient norm from the reference's, over all steps and ways to spread."""
    pairs = [
        (step[key], wanted[key])
        for steps in spread.values()
        for step, wanted in zip(steps, reference, strict=True)
        for key in wanted
    ]
    return max(abs(value - wanted) / abs(wanted) for value, wanted in pairs)


def markdown(trainer: Spread, job: dict[str, Spread], steps: int) -> list[str]:
    first = {"Trainer": trainer, "longest": job["longest"], "step": job["step"]}
    base = {name: spread[min(spread)][0] for name, spread in first.items()}
    lines = [
        "First step, before any update. In brackets: times what the first row says.\n",
        "| processes | micro-batches | Trainer: loss | Trainer: gradient norm | ours: loss | ours: gradient norm | ours, `longest`: loss | gradient norm |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place in sorted(trainer):
        cells = [
            _cell(first[name][place][0], base[name], key)
            for name in ("Trainer", "step", "longest")
            for key in ("loss", "grad_norm")
        ]
        lines.append(f"| {place[0]} | {place[1]} | {' | '.join(cells)} |")
    reference = job["longest"][min(trainer)]
    return [
        *lines,
        (
            f"\nFurthest from one process with one micro-batch, relative, over all {steps} steps: ours {furthest(job['step'], reference):.1e}, "
            f"ours with `padding=longest` {furthest(job['longest'], reference):.1e}, Trainer {furthest(trainer, trainer[min(trainer)]):.1e}."
        ),
    ]


def _cell(step: dict[str, Any], base: dict[str, Any], key: str) -> str:
    return f"{step[key]:.6f} ({step[key] / base[key]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--worlds", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--name", default="global_batch_numerics", help="of the file in benchmarks/results")
    options = parser.parse_args()
    trainer: Spread = {}
    job: dict[str, Spread] = {"longest": {}, "step": {}}
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = docstrings.prepare(Path(scratch), BATCH * options.steps, **docstrings.NO_DROPOUT, **TINY)
        for world in options.worlds:
            trainer |= theirs(run_dir, world, options.steps)
            for padding, spread in ours(Path(scratch), run_dir, world, options.steps).items():
                job[padding] |= spread
    lines = markdown(trainer, job, options.steps)
    text = "\n".join(["# The same global batch, spread differently\n", *lines, "", machine.sentence(machine.describe()), ""])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
