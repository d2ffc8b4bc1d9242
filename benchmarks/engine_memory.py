"""Peak resident memory of each rank under each engine, beside what the formula of ``auto`` says.

    python -m benchmarks.engine_memory [--layers 24 --width 1024 --vocabulary 32000] [--processes 2] [--modes ddp zero1 zero2 zero3]

A decoder is made from a configuration with random weights and trained for a few short steps; the default has about 350 million
weights.  What the interpreter and its libraries take before the model is made is measured in the same process and taken off.
Needs about 14 GB for two processes of the default; every engine runs in a process group of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine

RESULTS = Path(__file__).parent / "results" / "engine_memory.md"
STEPS, ROWS, TOKENS = 3, 2, 32


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
    rows = [row for mode in options.modes for row in measure(options, mode)]
    options.result.write_text(table(rows))
    print(options.result.read_text())


def measure(options: argparse.Namespace, mode: str) -> list[dict[str, Any]]:
    sizes = [f"--{name}={getattr(options, name)}" for name in ("layers", "width", "vocabulary", "processes")]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={options.processes}", "--master-port=0"]
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "benchmarks.engine_memory", f"--worker={mode}", *sizes],
        env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]


def work(options: argparse.Namespace) -> None:
    """One rank: train a few steps, say the peak."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from job.settings import root
    from job.settings.train import TrainSettings
    from job.workers import fit
    from job.workers.engine import Engine
    from job.workers.optimizer import make_optimizer

    mode = options.worker
    zero = {"JOB_PARALLEL__ENGINE": "deepspeed", "JOB_PARALLEL__ZERO_STAGE": mode[-1]} if mode.startswith("zero") else {}
    required = {"JOB_RUN__NAME": "m", "JOB_MODEL__URI": "m", "JOB_DATA__TRAIN_URI": "d", "JOB_OUTPUT__URI": "o"}
    engine = Engine.open(root.load({**required, "JOB_TRAIN__PRECISION": "fp32", "JOB_PARALLEL__DEVICE": "cpu", **zero}))
    if zero:
        import deepspeed  # noqa: F401 - its import belongs to what is there before
    before = resident()
    config = AutoConfig.for_model(
        "llama", hidden_size=options.width, num_hidden_layers=options.layers, vocab_size=options.vocabulary,
        intermediate_size=4 * options.width, num_attention_heads=options.width // 64, tie_word_embeddings=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    elements = sum(parameter.numel() for parameter in model.parameters())
    wrapped, optimizer = engine.prepare(model, make_optimizer(model, TrainSettings()))
    loaded = peak()
    for _ in range(STEPS):
        ids = torch.randint(options.vocabulary, (ROWS, TOKENS))
        with engine.accumulating(wrapped, last=True):
            engine.backward(wrapped, wrapped(input_ids=ids, labels=ids).loss)
        engine.update(wrapped, optimizer, usable=True)
    size = fit.ModelSize(elements, elements, options.layers, options.width, options.vocabulary)
    predicted = fit.need(mode, size, fit.Place(engine.world_size, 0, "fp32"))
    row = {
        "mode": mode, "rank": engine.rank, "elements": elements, "peak": peak() - before, "peak_at_start": loaded - before,
        "predicted": predicted.total + ROWS * TOKENS * fit.activation_bytes_per_token(size, "fp32"), "parts": dataclasses.asdict(predicted),
    }  # fmt: skip
    sys.stdout.write(f"RESULT {json.dumps(row)}\n")
    sys.stdout.flush()
    engine.barrier()
    os._exit(0)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Memory of each rank, by engine",
        "",
        f"{rows[0]['elements'] / 1e6:.0f} million weights, fp32, {STEPS} steps of {ROWS} × {TOKENS} tokens. " + machine.sentence(machine.describe()),
        "",
        "| engine | rank | peak, GB | by the formula, GB | formula / peak | peak before the first step, GB |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["mode"], row["rank"])):
        shown = f"{row['peak'] / 1e9:.2f} | {row['predicted'] / 1e9:.2f} | {row['predicted'] / row['peak']:.2f}"
        lines.append(f"| {row['mode']} | {row['rank']} | {shown} | {row['peak_at_start'] / 1e9:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
