"""Peak resident memory of each rank under each engine, beside what the formula of ``auto`` says.

    python -m benchmarks.engine_memory [--layers 24 --width 1024 --vocabulary 32000] [--processes 2] [--modes ddp zero1 zero2 zero3]

A decoder is made from a configuration with random weights and trained for a few short steps by the job's own engine, as the loop
does it; the default has about 350 million weights.  The kernel's high-water mark is set back between the phases, so that each phase
has a peak of its own.  Needs about 14 GB for two processes of the default; every engine runs in a process group of its own, one after
another, and may be measured alone: the table is made of the last measurement of each in ``benchmarks/results/engine_memory.jsonl``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from benchmarks import child, machine

RESULTS = Path(__file__).parent / "results" / "engine_memory.md"
STEPS, ROWS, TOKENS = 3, 2, 32
PHASES = ("imported", "made", "prepared", "passes", "update")
GB = 1e9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--modes", nargs="*", default=["ddp", "zero1", "zero2", "zero3"])
    parser.add_argument("--result", type=Path, default=RESULTS)
    parser.add_argument("--worker", default="")
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    kept = options.result.with_suffix(".jsonl")
    for mode in options.modes:
        with kept.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in measure(options, mode))
    latest = {(row["mode"], row["rank"]): row for row in map(json.loads, kept.read_text().splitlines())}
    options.result.write_text(table([latest[key] for key in sorted(latest)]))
    print(options.result.read_text())


def measure(options: argparse.Namespace, mode: str) -> list[dict[str, Any]]:
    """The rows of all ranks under one engine."""
    sizes = [f"--{name}={getattr(options, name)}" for name in ("layers", "width", "vocabulary")]
    found = child.run(["-m", "benchmarks.engine_memory", f"--worker={mode}", *sizes], processes=options.processes)
    print(json.dumps(found), flush=True)
    return list(found["ranks"])


def work(options: argparse.Namespace) -> None:
    """One rank: train a few steps, say the peak of each phase."""
    import torch
    import transformers.models.llama.modeling_llama  # noqa: F401 - lazy: its import belongs to what is there before
    from transformers import AutoConfig, AutoModelForCausalLM

    from job.settings import root
    from job.settings.train import TrainSettings
    from job.workers import fit
    from job.workers.engine import Engine
    from job.workers.optimizer import make_optimizer

    mode, peaks = options.worker, {}
    zero = {"JOB_PARALLEL__ENGINE": "deepspeed", "JOB_PARALLEL__ZERO_STAGE": mode[-1]} if mode.startswith("zero") else {}
    required = {"JOB_RUN__NAME": "m", "JOB_MODEL__URI": "m", "JOB_DATA__TRAIN_URI": "d", "JOB_OUTPUT__URI": "o"}
    engine = Engine.open(root.load({**required, "JOB_TRAIN__PRECISION": "fp32", "JOB_PARALLEL__DEVICE": "cpu", **zero}))
    if zero:
        import deepspeed  # noqa: F401 - its import belongs to what is there before
    before = resident()
    peaks["imported"] = peak()
    config = AutoConfig.for_model(
        "llama", hidden_size=options.width, num_hidden_layers=options.layers, vocab_size=options.vocabulary,
        intermediate_size=23 * options.width // 8, num_attention_heads=options.width // 64, tie_word_embeddings=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    elements = sum(parameter.numel() for parameter in model.parameters())
    peaks["made"] = peak()
    wrapped, optimizer = engine.prepare(model, make_optimizer(model, TrainSettings()))
    peaks["prepared"] = peak()
    rests = []
    for _ in range(STEPS):
        ids = torch.randint(options.vocabulary, (ROWS, TOKENS))
        with engine.accumulating(wrapped, last=True):
            engine.backward(wrapped, wrapped(input_ids=ids, labels=ids).loss)
        peaks["passes"] = max(peaks.get("passes", 0), peak())
        engine.update(wrapped, optimizer, usable=True)
        peaks["update"] = max(peaks.get("update", 0), peak())
        rests.append(resident())
    size = fit.ModelSize(elements, elements, options.layers, options.width, options.vocabulary)
    predicted = fit.need(mode, size, fit.Place(engine.world_size, 0, "fp32"))
    activations = ROWS * TOKENS * fit.activation_bytes_per_token(size, "fp32")
    row = {
        "mode": mode, "rank": engine.rank, "elements": elements, "before": before, "peaks": peaks, "rests": rests,
        "predicted": {**dataclasses.asdict(predicted), "activations": activations}, "total": predicted.total + activations,
    }  # fmt: skip
    rows = engine.gather(row)
    if rows is not None:
        child.result({"ranks": rows})
    engine.barrier()
    os._exit(0)


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most bytes that were in memory since the last call."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) * 1024


def table(rows: list[dict[str, Any]]) -> str:
    """The measurements beside the formula, and the formula's parts."""
    lines = [
        "# Memory of each rank, by engine",
        "",
        (
            f"A decoder of {rows[0]['elements'] / 1e6:.0f} million weights (vocabulary 32,000), fp32, AdamW, {STEPS} steps of {ROWS} × {TOKENS} "
            "tokens, two processes on a CPU. Everything that is resident counts, libraries too."
        ),
        "",
        "| engine | rank | peak, GB | in which phase | by the formula, GB | formula / peak |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        where, peak = max(row["peaks"].items(), key=lambda each: each[1])
        lines.append(
            f"| {row['mode']} | {row['rank']} | {peak / GB:.2f} | {where} | {row['total'] / GB:.2f} | {row['total'] / peak:.2f} |"
        )
    lines += [
        "",
        "Peaks by phase, GB, rank 0, and what was resident after each step:",
        "",
        "| engine | " + " | ".join(PHASES) + " | after |",
    ]
    lines += ["|---" * (len(PHASES) + 2) + "|"]
    of_main = [row for row in rows if row["rank"] == 0]
    for row in of_main:
        rests = ", ".join(f"{rest / GB:.2f}" for rest in row["rests"])
        lines.append(f"| {row['mode']} | " + " | ".join(f"{row['peaks'][phase] / GB:.2f}" for phase in PHASES) + f" | {rests} |")
    parts = list(of_main[0]["predicted"])
    lines += ["", "The formula's parts, GB:", "", "| engine | " + " | ".join(parts) + " |", "|---" * (len(parts) + 1) + "|"]
    lines += [f"| {row['mode']} | " + " | ".join(f"{row['predicted'][part] / GB:.2f}" for part in parts) + " |" for row in of_main]
    return "\n".join([*lines, "", machine.sentence(machine.describe()), ""])


if __name__ == "__main__":
    main()
