"""The script one would write: transformers' Trainer on CSV files with one text and one label a row.

[python | torchrun] -m benchmarks.trainer_tweets MODEL TRAIN.csv TEST.csv OUT [--epochs 1] ...
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from benchmarks import child


def load(options: argparse.Namespace, tokenizer: Any) -> tuple[Any, Any, list[str]]:
    """Tokenized training and test examples; rows without a text are left out."""
    data = load_dataset("csv", data_files={"train": options.train, "test": options.test}, cache_dir=str(options.out / "cache"))
    data = data.filter(lambda row: row["text"] is not None and row["text"].strip() != "")
    if options.max_train_examples:
        data["train"] = data["train"].shuffle(seed=42).select(range(options.max_train_examples))
    if options.max_test_examples:
        data["test"] = data["test"].shuffle(seed=42).select(range(options.max_test_examples))
    labels = sorted(set(data["train"]["label"]))

    def encode(rows: dict[str, Any]) -> dict[str, Any]:
        encoded = tokenizer(rows["text"], truncation=True, max_length=options.max_seq_length)
        return {**encoded, "labels": [labels.index(label) for label in rows["label"]]}

    data = data.map(encode, batched=True, remove_columns=data["train"].column_names)
    return data["train"], data["test"], labels


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--per-device", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--max-seq-length", type=int, default=128)
    parser.add_argument("--max-train-examples", type=int)
    parser.add_argument("--max-test-examples", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    arguments = TrainingArguments(
        output_dir=str(options.out),
        use_cpu=True,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.per_device,
        per_device_eval_batch_size=64,
        learning_rate=options.learning_rate,
        seed=options.seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    with arguments.main_process_first():
        train, test, labels = load(options, tokenizer)
    names = dict(enumerate(labels))
    model = AutoModelForSequenceClassification.from_pretrained(
        options.model, num_labels=len(labels), id2label=names, label2id={name: at for at, name in names.items()}
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=test,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=lambda found: {"accuracy": float((np.argmax(found.predictions, -1) == found.label_ids).mean())},
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    scores = trainer.evaluate()
    if trainer.is_world_process_zero():
        trainer.save_model()
        counts = {"num_train": len(train), "num_test": len(test), "num_steps": trainer.state.global_step}
        child.result({"accuracy": scores["eval_accuracy"], "train_wall_s": seconds, **counts})


if __name__ == "__main__":
    main()
