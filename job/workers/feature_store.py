"""Features on disk: what a frozen body makes of examples, found again by the examples' tokens (`job.workers.features`).

Shapes: B examples of a batch, N examples in all, T tokens of one, H the width of a field.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from job import run_dir as run_dirs
from job.run_dir import TEMPORARY_PREFIX
from job.workers.tasks.base import Tensors

TOKENS, KINDS = "input_ids", "token_type_ids"
KIND = np.dtype(np.float32)
TOKENWISE = ".tokens.npy"
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Examples:
    """All different examples of the splits, the longest first.

    Attributes:
        keys: row of each example, by its tokens.
        starts: [N + 1] where the tokens of each row begin, if all are written one after the other.
        records: of each row, the split and the number in it.
    """

    keys: Mapping[bytes, int]
    starts: npt.NDArray[np.int64]
    records: Sequence[tuple[Any, int]]

    @classmethod
    def of(cls, splits: Sequence[Any]) -> Examples:
        found: dict[bytes, tuple[int, Any, int]] = {}
        for split, first in ((each, first) for each in splits for first in range(0, len(each), ROWS_AT_ONCE)):
            some = split[first : first + ROWS_AT_ONCE]
            kinds = some.get(KINDS) or [None] * len(some[TOKENS])
            for number, (tokens, kind) in enumerate(zip(some[TOKENS], kinds, strict=True), first):
                found.setdefault(key_of(tokens, kind), (len(tokens), split, number))
        order = sorted(found, key=lambda key: (-found[key][0], key))
        starts = np.cumsum([0, *(found[key][0] for key in order)], dtype=np.int64)
        return cls({key: row for row, key in enumerate(order)}, starts, [found[key][1:] for key in order])

    def digest(self) -> bytes:
        """A hash of all their tokens."""
        return hashlib.sha256(b"".join(self.keys)).digest()

    def chunks(self, max_tokens: int) -> list[range]:
        """Rows that are computed together: as many as fit, of like length."""
        found, first, count = [], 0, len(self.records)
        while first < count:
            longest = int(self.starts[first + 1] - self.starts[first])
            end = min(count, first + max(1, max_tokens // max(1, longest)))
            found.append(range(first, end))
            first = end
        return found


def key_of(tokens: Any, kinds: Any = None) -> bytes:
    """A hash of an example's tokens [T], and their types where the model wants them."""
    found = hashlib.blake2b(np.asarray(tokens, dtype=np.int64).tobytes(), digest_size=16)
    if kinds is not None:
        found.update(np.asarray(kinds, dtype=np.int64).tobytes())
    return found.digest()


class Store:
    """The features of all examples: for each field of the body's answer one array, of all tokens [sum of T, H] or of all examples [N, H].

    A field whose name ends with `TOKENWISE` in its file is of tokens.
    """

    def __init__(self, folder: Path, examples: Examples) -> None:
        self.folder = folder
        self.examples = examples
        self._arrays: dict[str, np.memmap[Any, np.dtype[np.float32]]] = {}

    @property
    def unfinished(self) -> Path:
        """Where they are written; renamed when they are all there."""
        return self.folder.with_name(TEMPORARY_PREFIX + self.folder.name)

    def create(self, answer: Tensors, spare_bytes: int) -> None:
        """Make room for all of them, after the body's answer to some: fields [B, T, H] or [B, H]."""
        rows = {True: int(self.examples.starts[-1]), False: len(self.examples.records)}
        shapes = {_file(name, value): (rows[_tokenwise(value)], value.shape[-1]) for name, value in answer.items()}
        needed = sum(count * width for count, width in shapes.values()) * KIND.itemsize
        shutil.rmtree(self.unfinished, ignore_errors=True)
        run_dirs.require_room(self.unfinished.parent, needed + spare_bytes)
        self.unfinished.mkdir(parents=True)
        for name, shape in shapes.items():
            np.lib.format.open_memmap(self.unfinished / name, mode="w+", dtype=KIND, shape=shape)

    def open(self, *, unfinished: bool = False) -> None:
        """Map the arrays; for writing while they are unfinished."""
        folder = self.unfinished if unfinished else self.folder
        paths = sorted(folder.glob("*.npy"))
        self._arrays = {path.name: np.load(path, mmap_mode="r+" if unfinished else "r") for path in paths}

    def write(self, rows: range, mask: torch.Tensor, answer: Tensors) -> None:
        """Keep the body's answer to some rows, without what it says of padding."""
        tokens = slice(self.examples.starts[rows.start], self.examples.starts[rows.stop])
        for name, value in answer.items():
            kept = value[mask.bool()] if _tokenwise(value) else value
            self._arrays[_file(name, value)][tokens if _tokenwise(value) else slice(rows.start, rows.stop)] = (
                kept.float().cpu().numpy()
            )

    def flush(self) -> None:
        """What this process has written is on the disk, and stays there when the power fails."""
        for array in self._arrays.values():
            array.flush()

    def read(self, rows: Sequence[int], mask: torch.Tensor) -> Tensors:
        """The answer to some rows, with zeros for padding, on the mask's device."""
        starts, found = self.examples.starts, {}
        for name, kept in self._arrays.items():
            if name.endswith(TOKENWISE):
                together = np.concatenate([kept[starts[row] : starts[row + 1]] for row in rows])
                value = torch.zeros(*mask.shape, kept.shape[-1], device=mask.device)
                value[mask.bool()] = torch.from_numpy(together).to(mask.device)
            else:
                value = torch.from_numpy(kept[list(rows)]).to(mask.device)
            found[name.partition(".")[0]] = value
        return found


def _tokenwise(value: torch.Tensor) -> bool:
    return value.ndim == len(("B", "T", "H"))


def _file(name: str, value: torch.Tensor) -> str:
    return f"{name}{TOKENWISE if _tokenwise(value) else '.npy'}"
