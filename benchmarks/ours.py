"""Our side of a comparison, in a process of its own: build, train with the real loop and boundary, say what came out.

    python -m benchmarks.ours RUN_DIR [--micro-batch-size 32 16] [--weights FILE]

The settings are the environment's.  Evaluation and checkpoints are switched off as they are for the Trainer; stop requests are
looked for and heartbeats sent in every step as in any run.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from benchmarks import child
from job.run_dir import RunDir
from job.settings import root
from job.settings.root import Settings
from job.workers import train
from job.workers.boundary import Boundary, StopFile, Work
from job.workers.engine import Engine
from job.workers.loop import Loop
from job.workers.program import Heartbeat


def train_once(run_dir: RunDir, settings: Settings, engine: Engine) -> tuple[train.Trainee, dict[str, Any]]:
    """Train as the settings say; CPU and wall seconds of the loop alone, and what it recorded."""
    trainee = train.build(run_dir, settings, engine)
    beat = Heartbeat(run_dir, "train", engine.rank).beat
    work = Work(lambda _: True, lambda _: None, trainee.parts.feed.schedule.steps_per_epoch)
    boundary = Boundary(engine, settings, StopFile(engine, run_dir), work, beat)
    records: list[dict[str, Any]] = []
    started, cpu = time.perf_counter(), time.process_time()
    Loop(engine, settings, trainee.parts, trainee.state).run(trainee.num_steps, boundary, records.append)
    seconds = {"loop_cpu_s": time.process_time() - cpu, "loop_wall_s": time.perf_counter() - started}
    steps = [{"loss": record["train/loss"], "grad_norm": record["train/grad_norm"]} for record in records]
    padding = records[-1]["perf/padding_share"]
    return trainee, {**seconds, "steps": steps, "num_steps": trainee.num_steps, "padding_share": padding}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--micro-batch-size", nargs="*", default=[""])
    parser.add_argument("--padding", nargs="*", default=["step"])
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    found = {}
    for padding in options.padding:
        for size in options.micro_batch_size:
            more = {"JOB_TRAIN__PADDING": padding, "JOB_TRAIN__MICRO_BATCH_SIZE": size}
            settings = root.load({**_job_variables(), **more})
            engine = Engine.open(settings)
            trainee, found[f"{padding} {size}".strip()] = train_once(RunDir(options.run_dir), settings, engine)
    if engine.is_main:
        if options.weights:
            save_file({name: tensor.contiguous() for name, tensor in trainee.model.state_dict().items()}, options.weights)
        child.result(found)


def _job_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("JOB_")}


if __name__ == "__main__":
    main()
