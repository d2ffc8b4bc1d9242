"""What the job's own loop costs beside the bare engine's: forward, backward, step, and nothing else, on the same batches.

    python -m benchmarks.loop_overhead [--pairs 7] [--blocks 4] [--steps 8] [--processes 1 2]

Each pair is a fresh process (or group) in which the two take turns, block by block of steps, each with a model of its own: what others
do on the machine meanwhile meets both.  The CPU seconds of a block are those of rank 0's process, all its threads; the first
block of each is not counted.  The bare loop gets batches that were made before; the job's makes them, draws the seeds, looks for a stop
request, sends heartbeats, adds up over the ranks, keeps the counters and writes metrics as in any run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import child, docstrings, machine

RESULTS = Path(__file__).parent / "results" / "loop_overhead.md"
GOAL = 0.03
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8, help="of a block")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--result", type=Path, default=RESULTS)
    parser.add_argument("--worker", type=Path)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = docstrings.prepare(Path(scratch), BATCH * options.steps * (options.blocks + 1))
        environ = docstrings.environ(Path(scratch))
        sizes = [f"--{name}={getattr(options, name)}" for name in ("blocks", "steps")]
        arguments = ["-m", "benchmarks.loop_overhead", *sizes, "--worker", str(run_dir.root)]
        rows: dict[int, list[dict[str, Any]]] = {processes: [] for processes in options.processes}
        for number in range(options.pairs):
            for processes, found in rows.items():
                pair = child.run(arguments, environ, processes=processes)
                found.append({**pair, "overhead": pair["ours_s"] / pair["bare_s"] - 1})
                print(f"pair {number + 1}, {processes} process(es): {json.dumps(found[-1])}", flush=True)
    options.result.write_text(table(rows, options))
    print(options.result.read_text())


def work(options: argparse.Namespace) -> None:
    """One rank: the two loops in turn; rank 0 says the CPU seconds of a step of each."""
    from job.run_dir import RunDir
    from job.settings import root
    from job.workers import train
    from job.workers.engine import Engine

    settings = root.load({name: value for name, value in os.environ.items() if name.startswith("JOB_")})
    run_dir, engine = RunDir(options.worker), Engine.open(settings)
    ours = train.build(run_dir, settings, engine)
    bare = bare_by_block(engine, train.build(run_dir, settings, engine))
    seconds = in_turns(settings, engine, ours, bare, options)
    if engine.is_main:
        per_step = {f"{name}_s": sum(values[1:]) / (options.blocks * options.steps) for name, values in seconds.items()}
        child.result({**per_step, "by_block": seconds})
    engine.barrier()
    os._exit(0)


def bare_by_block(engine: Any, trainee: Any) -> Callable[[int, int], float]:
    """Trains steps from ``first`` up to ``end``; CPU seconds without the making of the batches."""
    import torch

    wrapped, optimizer, feed = trainee.parts.wrapped, trainee.parts.optimizer, trainee.parts.feed
    loss_of = torch.nn.functional.cross_entropy

    def run(first: int, end: int) -> float:
        made = [feed[number].batches for number in range(first, end)]
        engine.barrier()
        began = time.process_time()
        for batches in made:
            for number, batch in enumerate(batches, 1):
                with engine.accumulating(wrapped, last=number == len(batches)):
                    logits = wrapped(**batch.inputs).logits
                    loss = loss_of(logits, batch.labels, reduction="sum")
                    engine.backward(wrapped, loss * (engine.world_size / BATCH))
            engine.update(wrapped, optimizer, usable=True)
        return time.process_time() - began

    return run


def in_turns(settings: Any, engine: Any, trainee: Any, bare: Callable[[int, int], float], options: Any) -> dict[str, list[float]]:
    """CPU seconds of each block of both loops.

    The job's own loop runs once from the first step to the last, as in any run, so that what belongs to the first step of a run (the
    proof of engagement, a fingerprint of all weights) is paid once, in the block that is not counted.  Between two of its blocks the
    bare loop has its turn.  Evaluation and checkpoints, which are no part of a step, are left out.
    """
    from job.reporting.sinks import MetricsFile
    from job.run_dir import RunDir
    from job.workers.boundary import Boundary, StopFile, Work
    from job.workers.loop import Loop
    from job.workers.program import Heartbeat

    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    began = 0.0

    class Turns(Boundary):
        def cross(self, state: Any) -> None:
            nonlocal began
            if state.step % options.steps == 0:
                if state.step:
                    seconds["ours"].append(time.process_time() - began)
                seconds["bare"].append(bare(state.step, state.step + options.steps))
                engine.barrier()
                began = time.process_time()
            super().cross(state)

    run_dir, state = RunDir(options.worker), trainee.state
    metrics = MetricsFile(run_dir.metrics)
    work = Work(lambda _: True, lambda _: None, trainee.parts.feed.schedule.steps_per_epoch)
    boundary = Turns(engine, settings, StopFile(engine, run_dir), work, Heartbeat(run_dir, "train", engine.rank).beat)

    def record(values: dict[str, Any]) -> None:
        if engine.is_main:
            metrics.append({"step": state.step, **values})

    Loop(engine, settings, trainee.parts, state).run((options.blocks + 1) * options.steps, boundary, record)
    seconds["ours"].append(time.process_time() - began)
    return seconds


def table(rows: dict[int, list[dict[str, Any]]], options: argparse.Namespace) -> str:
    lines = [
        "# What the loop costs beside the bare engine",
        "",
        (
            f"DistilBERT shape, 4 layers of 256, docstrings, steps of {BATCH} examples, fp32, one thread each; {options.pairs} fresh processes "
            f"for each row, in which the two loops take turns every {options.steps} steps, {options.blocks} counted blocks each. CPU seconds "
            f"of rank 0's process. Goal: at most {GOAL:.0%} in the median."
        ),
        "",
        "| processes | bare, CPU s a step: median | ours | overhead: median (min–max) | others' CPU, at most |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for processes, pairs in rows.items():
        bare, ours, over = (sorted(pair[name] for pair in pairs) for name in ("bare_s", "ours_s", "overhead"))
        lines.append(
            f"| {processes} | {statistics.median(bare):.3f} | {statistics.median(ours):.3f} | {statistics.median(over):+.1%} "
            f"({over[0]:+.1%} – {over[-1]:+.1%}) | {max(pair['others_share'] for pair in pairs):.0%} |"
        )
    return "\n".join([*lines, "", machine.sentence(machine.describe()), ""])


if __name__ == "__main__":
    main()
