"""What the training loop turns over, as small as it can be: a model of two layers in float64, a task, rows, one rank's engine."""

import contextlib
from types import SimpleNamespace

import numpy as np
import torch

from job.errors import SettingsError
from job.workers.engine import proof
from job.workers.engine.base import Engine
from job.workers.engine.replicas import Replicas
from job.workers.tasks.base import NOT_TRAINING, Batch, Task

FEATURES, CLASSES = 3, 2

# Two threads that wait for each other on a busy machine make milliseconds of what takes microseconds.
torch.set_num_threads(1)


class TwoLayers(torch.nn.Module):
    """``x`` [B, 3] to an object with ``logits`` [B, 2], as the library's models answer."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.first = torch.nn.Linear(FEATURES, 4).double()
        self.norm = torch.nn.LayerNorm(4).double()
        self.second = torch.nn.Linear(4, CLASSES).double()

    def forward(self, x):
        return SimpleNamespace(logits=self.second(self.norm(torch.tanh(self.first(x)))))


class Rows(list):
    """Prepared examples: a list of mappings, with the column access of a `datasets.Dataset`."""

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


def rows(count, seed=0, longest=30):
    draw = np.random.default_rng(seed)
    return Rows(
        {
            "id": f"row-{n}",
            "x": draw.normal(size=FEATURES),
            "label": int(draw.integers(CLASSES)),
            "length": int(draw.integers(1, longest + 1)),
            "weight": float(draw.uniform(0.5, 2)),
        }
        for n in range(count)
    )


class RowsTask(Task):
    """Cross entropy on `rows`; the metrics count, so that a test sees which examples they were given."""

    prepared = None

    def main_metric(self):
        return "accuracy"

    def greater_is_better(self, metric):
        if metric not in {"accuracy", "loss"}:
            raise SettingsError(f"no metric {metric}")
        return metric == "accuracy"

    def collate(self, given, epoch=NOT_TRAINING):
        column = {name: torch.tensor(np.array([row[name] for row in given])) for name in ("x", "label", "weight")}
        return Batch({"x": column["x"]}, column["label"], column["weight"])

    def loss_sum(self, model, batch):
        losses = torch.nn.functional.cross_entropy(model(**batch.inputs).logits, batch.labels, reduction="none")
        return (losses * batch.weights).sum()

    def measure(self, model, batch):
        return {"logits": model(**batch.inputs).logits.float().numpy(), "labels": batch.labels.numpy()}

    def metrics(self, scores):
        logits, labels = scores["logits"], scores["labels"]
        return {
            "accuracy": float((logits.argmax(-1) == labels).mean()),
            "examples": len(labels),
            "confusion_matrix": [[1]],
            "auc": None,
        }


class Scarce(RowsTask):
    """Stands for a device that holds ``most`` examples at once: a CPU cannot be made to run out of memory without being killed.

    ``tried`` are the sizes of all micro-batches that were asked for, ``fail_at`` numbers of passes that fail whatever their size.
    """

    def __init__(self, most, fail_at=()):
        self.most, self.tried, self.fail_at = most, [], set(fail_at)

    def _hold(self, count):
        self.tried.append(count)
        if count > self.most or len(self.tried) in self.fail_at:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to hold {count} rows.\nMore of it.")

    def loss_sum(self, model, batch):
        loss = super().loss_sum(model, batch)
        self._hold(len(batch.weights))  # after the forward pass: something is there to be thrown away
        return loss

    def measure(self, model, batch):
        self._hold(len(batch.weights))
        return super().measure(model, batch)


class OneRank:
    """An engine of one rank; ``sums`` are handed out instead of what other ranks would add."""

    def __init__(self, rank=0, world_size=1, sums=()):
        self.rank, self.local_rank, self.world_size, self.is_main = rank, rank, world_size, rank == 0
        self.is_local_main = self.local_rank == 0
        self.device, self.precision, self.lockstep, self.repeatable = torch.device("cpu"), "fp32", False, True
        self.accelerator = SimpleNamespace(scaler=None)
        self.settings = SimpleNamespace(train=SimpleNamespace(max_grad_norm=0))
        self.seeds, self.lasts, self.checked, self.barriers = [], [], [], 0
        self._sums = list(sums)

    def sum(self, values):
        return [self._sums.pop(0)] if self._sums else list(values)

    def gather(self, value):
        return [value] if self.is_main else None

    def broadcast(self, value):
        return value

    def barrier(self):
        self.barriers += 1

    def seed(self, *numbers):
        self.seeds.append(numbers)

    autocast = Engine.autocast
    out_of_memory = Engine.out_of_memory
    free_memory = Engine.free_memory
    backward = Replicas.backward
    update = Replicas.update

    def check_first_step(self, wrapped, mine, step):
        self.checked.append("first step")
        assert set(mine) <= set(step)

    def check_weights(self, wrapped, frozen):
        self.checked.append("weights")
        proof.check_frozen(self, frozen, wrapped.parameters())

    @contextlib.contextmanager
    def accumulating(self, wrapped, *, last):
        self.lasts.append(last)
        yield
