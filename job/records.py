"""What one stage hands to the next: frozen records, each also a completion marker on disk.

    Settings → FetchedInputs → PreparedData → TrainResult → EvalReport → PublishedRun

They hold plain JSON values, so that a record on disk is the record.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from job import run_dir


@dataclass(frozen=True)
class Record:
    """Base of the records: JSON round trip."""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def write(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        run_dir.write_json(path, self.as_dict())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record that `write` wrote.

        Raises:
            FileNotFoundError: when there is none.
            TypeError, KeyError: when it is of another version of the job.
        """
        return cls(**run_dir.read_json(path))


@dataclass(frozen=True)
class InputSource(Record):
    """Where one input came from, and what it was.

    ``revision`` is the commit sha on the Hub, empty elsewhere; ``sha256`` is over names, sizes and hashes of all files.
    """

    uri: str
    revision: str
    num_files: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class FetchedInputs(Record):
    """Everything from outside is on this node's disk, verified: ``sources`` by role (``model``, ``data/train`` ...)."""

    sources: dict[str, dict[str, Any]]
    resumed_step: int | None = None
    """Step of the checkpoint in ``inputs/checkpoint``; None for a fresh start."""
    resumed_data_fingerprint: str = ""
    """What that checkpoint was trained on and from."""


@dataclass(frozen=True)
class PreparedData(Record):
    """Tokenized data on this node's disk.

    ``num_examples`` and ``num_tokens`` by split; ``problem`` is single_label, multi_label or regression; ``labels`` in the
    order of their ids (empty for regression); ``label_counts`` of the training split in the same order;
    ``fingerprint`` is a sha256 over everything the training loop sees of the data.  Tasks without labels have none of
    these; ``problem`` is then the task's own word, and ``details`` what else the task has to know.
    """

    num_examples: dict[str, int]
    num_tokens: dict[str, int]
    problem: str
    labels: list[str]
    label_counts: list[int]
    max_seq_length: int
    fingerprint: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult(Record):
    """The trained model lies in ``model/``."""

    step: int
    epoch: float
    best_step: int
    best_metric: str
    best_value: float | None
    num_parameters: int
    engine: dict[str, Any] = field(default_factory=dict)
    """What ran: kind, wrapped class, world size, device, precision, threads."""
    num_trained_parameters: int = 0
    """Those of the parameters that training changed."""
    published: str = "model"
    """What lies in ``model/``: ``model``, ``adapter``, ``merged`` or ``both``."""


@dataclass(frozen=True)
class EvalReport(Record):
    """Scores of the files in ``model/``; ``metrics`` and ``baselines`` hold plain numbers and lists."""

    split: str
    num_examples: int
    main_metric: str
    metrics: dict[str, Any]
    interval: dict[str, Any]
    baselines: dict[str, dict[str, Any]]
    merge: dict[str, Any] = field(default_factory=dict)
    """Of a merged model: how far its outputs are from those of its adapter on the base (`job.workers.tuning.merging`)."""
    pipeline_tag: str = "text-classification"
    """The Hub's name of what the model does."""
    usage: str = ""
    """Python that uses the model, for its card; ``{model}`` stands for its name."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """Pieces of text for the report, as in `job.workers.ledger.Described`."""
    greater_is_better: bool | None = None
    """Direction of the main metric; None in what an older version wrote."""


@dataclass(frozen=True)
class PublishedRun(Record):
    """The run is complete: where the model lies and how it scored."""

    model_uri: str
    report_path: str
    step: int
    main_metric: str
    value: float
    manifest_sha256: str
