"""What one would write instead: text classification with transformers' Trainer on a CSV file, as its `run_glue` example does it.

    accelerate launch glue_like.py FOLDER    (FOLDER has model/ and train.csv)

Says ``first step`` when the first optimizer step is done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class FirstStep(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):  # noqa: ARG002 - the signature is transformers’
        if state.global_step == 1:
            print("first step", flush=True)


def main(folder: Path) -> None:
    rows = load_dataset("csv", data_files=str(folder / "train.csv"), split="train").class_encode_column("label")
    splits = rows.train_test_split(test_size=0.1, seed=42)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    splits = splits.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=64), batched=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model", num_labels=2)
    arguments = TrainingArguments(
        output_dir="/tmp/out", max_steps=20, per_device_train_batch_size=16, use_cpu=True, report_to=[], save_strategy="no"
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["test"],
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[FirstStep()],
    )
    trainer.train()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
