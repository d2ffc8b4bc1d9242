"""The update is the same however the step is cut: weights after 20 steps without dropout, beside a plain loop.

    python -m benchmarks.update_unchanged [--steps 20] [--batch 32]

The plain loop pads the whole step to one rectangle and uses nothing but torch.  Two orders of addition never give the same bits, so
it is run twice, the second time with the rows of each step turned round: how far those two are apart is what rounding does, and
the others are to be no further apart than a small multiple of it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_from_disk
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from benchmarks import child, docstrings, machine
from job.run_dir import RunDir
from job.workers.batching import Schedule

RESULTS = Path(__file__).parent / "results"
LEARNING_RATE, SEED = 5e-5, 42
Weights = dict[str, torch.Tensor]


def start(run_dir: RunDir) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(run_dir.input_model)
    return model.train()


def plain_loop(run_dir: RunDir, steps: int, batch: int, *, turned: bool) -> Weights:
    """One padded batch a step, mean cross entropy, clipping at 1, AdamW, linear schedule: a dozen lines of torch."""
    rows = load_from_disk(str(run_dir.prepared / "train"))
    order = Schedule(np.asarray(rows["length"], dtype=np.int64), batch, SEED).epoch_order(0)
    model = start(run_dir)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    for step in range(steps):
        chosen = order[step * batch : (step + 1) * batch].tolist()
        drawn = [rows[index] for index in (reversed(chosen) if turned else chosen)]
        ids = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row["input_ids"], dtype=torch.int64) for row in drawn], batch_first=True
        )
        lengths = torch.tensor([row["length"] for row in drawn])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        logits = model(input_ids=ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits, torch.tensor([row["label"] for row in drawn])).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
    return dict(model.state_dict())


def ours(run_dir: RunDir, environ: dict[str, str], padding: str) -> Weights:
    weights = run_dir.root / f"{padding}.safetensors"
    child.run(["-m", "benchmarks.ours", str(run_dir.root), "--padding", padding, "--weights", str(weights)], environ)
    return load_file(weights)


def trainer(run_dir: RunDir, steps: int, batch: int) -> Weights:
    weights = run_dir.root / "trainer.safetensors"
    sizes = ["--per-device", str(batch), "--global-batch-size", str(batch), "--max-steps", str(steps)]
    child.run(["-m", "benchmarks.trainer_reference", str(run_dir.root), *sizes, "--weights", str(weights)])
    return load_file(weights)


def row(name: str, weights: Weights, reference: Weights, begin: Weights) -> str:
    """Largest difference of one weight; length of the difference beside the length of what 20 steps changed."""
    worst = max(float((weights[key] - reference[key]).abs().max()) for key in reference)
    apart = _norm(weights, reference)
    return f"| {name} | {worst:.1e} | {apart / _norm(reference, begin):.1e} | {apart / _norm(reference, {}):.1e} |"


def _norm(left: Weights, right: Weights) -> float:
    squares = (float((left[key].double() - right.get(key, torch.zeros(()))).square().sum()) for key in left)
    return float(sum(squares) ** 0.5)


def table(run_dir: RunDir, folder: Path, steps: int, batch: int) -> list[str]:
    sizes = {"TRAIN__MAX_STEPS": str(steps), "TRAIN__GLOBAL_BATCH_SIZE": str(batch), "TRAIN__LEARNING_RATE": str(LEARNING_RATE)}
    environ = docstrings.environ(folder, **sizes)
    begin = {key: tensor.clone() for key, tensor in start(run_dir).state_dict().items()}
    reference = plain_loop(run_dir, steps, batch, turned=False)
    changed = max(float((reference[key] - begin[key]).abs().max()) for key in reference)
    return [
        f"The {steps} steps of {batch} examples themselves change a weight by up to {changed:.1e}.\n",
        "| beside the plain loop | largest difference of a weight | difference / change by training | difference / weights |",
        "|---|---|---|---|",
        row("the plain loop, rows turned round (rounding alone)", plain_loop(run_dir, steps, batch, turned=True), reference, begin),
        row("ours, padding=step", ours(run_dir, environ, "step"), reference, begin),
        row("ours, padding=longest", ours(run_dir, environ, "longest"), reference, begin),
        row("transformers' Trainer", trainer(run_dir, steps, batch), reference, begin),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--name", default="update_unchanged", help="of the file in benchmarks/results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = docstrings.prepare(Path(scratch), options.steps * options.batch, **docstrings.NO_DROPOUT)
        lines = table(run_dir, Path(scratch), options.steps, options.batch)
    text = "\n".join(["# The update is unchanged\n", *lines, "", machine.sentence(machine.describe()), ""])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
