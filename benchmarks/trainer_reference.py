"""transformers' Trainer on the same prepared rows, model bytes, examples of each step and hyperparameters, in a process of its own.

    python -m benchmarks.trainer_reference RUN_DIR [--per-device 32] [--accumulation 1] [--max-steps 20] [--record] [--weights FILE]

Everything else is the Trainer's default: dynamic padding to the longest of a batch, fused AdamW, clipping at 1.  Only the order in
which examples are drawn is given to it, so that every step holds the same ones.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_from_disk
from safetensors.torch import save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from benchmarks import child
from job.run_dir import RunDir
from job.workers.batching import Schedule


class Clock(TrainerCallback):
    """CPU and wall seconds between the first step's beginning and the last one's end."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started, self.cpu = time.perf_counter(), time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = {"loop_cpu_s": time.process_time() - self.cpu, "loop_wall_s": time.perf_counter() - self.started}


class GivenOrder(Trainer):
    """A Trainer that draws its examples in a given order."""

    order: list[int]

    def _get_train_sampler(self, *_: Any) -> Any:
        return self.order


def arguments(folder: Path, options: argparse.Namespace, accumulation: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        per_device_train_batch_size=options.per_device // accumulation,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=1,
        max_steps=options.max_steps,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=42,
        logging_strategy="steps" if options.record else "no",
        logging_steps=1,
        save_strategy="no",
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def train_once(run_dir: RunDir, options: argparse.Namespace, accumulation: int) -> tuple[GivenOrder, dict[str, Any]]:
    set_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer")
    model = AutoModelForSequenceClassification.from_pretrained(run_dir.input_model)
    prepared = load_from_disk(str(run_dir.prepared / "train"))
    lengths = np.asarray(prepared["length"], dtype=np.int64)
    rows = prepared.select_columns(["input_ids", "label"])
    trainer = GivenOrder(
        model=model,
        args=arguments(run_dir.root / "trainer", options, accumulation),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[clock := Clock()],
    )
    trainer.order = Schedule(lengths, options.global_batch_size, options.seed).epoch_order(0).tolist()
    trainer.train()
    steps = [{"loss": log["loss"], "grad_norm": log["grad_norm"]} for log in trainer.state.log_history if "loss" in log]
    return trainer, {**clock.seconds, "steps": steps, "num_steps": trainer.state.global_step}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--per-device", type=int, default=32, help="examples of a step on each process, over all its micro-batches")
    parser.add_argument("--global-batch-size", type=int, default=32)
    parser.add_argument("--accumulation", type=int, nargs="*", default=[1])
    parser.add_argument("--max-steps", type=int, default=-1)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=42, help="of the order, as JOB_RUN__SEED")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    found = {}
    for accumulation in options.accumulation:
        trainer, found[str(accumulation)] = train_once(RunDir(options.run_dir), options, accumulation)
    if trainer.is_world_process_zero():
        if options.weights:
            save_file({name: tensor.contiguous() for name, tensor in trainer.model.state_dict().items()}, options.weights)
        child.result(found)


if __name__ == "__main__":
    main()
