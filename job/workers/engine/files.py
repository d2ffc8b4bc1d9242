"""The safetensors files of a checkpoint: written as a stream, read slice by slice, whichever engine and however many ranks wrote them.

    optimizer.safetensors                   ``<parameter>/<key>``, each tensor whole (one process, or replicas)
    optimizer-00001-of-00004.safetensors    the same names, each tensor one rank's slice of the flattened whole; the header's
                                            ``starts`` says where in it the slice begins

Keys are AdamW's: ``exp_avg``, ``exp_avg_sq`` and the scalar ``step``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open

from job.errors import UnusableError
from job.run_dir import TEMPORARY_PREFIX

MOMENTS = "optimizer"
STARTS = "starts"
_DTYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Takes out what safetensors hides in its message: what the disk said.  A full disk is no bug."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def flush(path: Path) -> None:
    """Wait until a file or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` once what was written there is on the disk."""
    temporary = path.with_name(TEMPORARY_PREFIX + path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    yield temporary
    flush(temporary)
    temporary.replace(path)


@dataclass(frozen=True)
class Layout:
    """A tensor to come: its name, type and shape."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return int(torch.Size(self.shape).numel()) * self.dtype.itemsize


def write_stream(path: Path, layouts: Iterable[Layout], tensors: Iterable[torch.Tensor]) -> None:
    """Write a safetensors file one tensor at a time, so that no more than one has to be in memory.

    Args:
        path: the file.
        layouts: what comes, in order.
        tensors: the tensors themselves, in the same order, on the CPU.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    layouts = list(layouts)
    for layout in layouts:
        begin, end = end, end + layout.num_bytes
        header[layout.name] = {"dtype": _DTYPES[layout.dtype], "shape": list(layout.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for layout, tensor in zip(layouts, tensors, strict=True):
            if (tensor.dtype, tuple(tensor.shape)) != (layout.dtype, layout.shape):
                raise AssertionError(f"{layout.name} is {tensor.dtype} {tuple(tensor.shape)}, and {layout} was announced")
            tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tofile(file)


@dataclass(frozen=True)
class _Part:
    file: Any
    full_name: str
    start: int
    numel: int


class Moments:
    """The optimizer's state of a checkpoint; files are opened, and read only where asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[str, dict[str, list[_Part]]] = {}

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        for path in sorted(self._folder.glob(f"{MOMENTS}*.safetensors")):
            file = self._stack.enter_context(safe_open(path, framework="pt"))
            starts = json.loads((file.metadata() or {}).get(STARTS, "{}"))
            for full_name in file.keys():  # noqa: SIM118 - no mapping
                name, _, key = full_name.rpartition("/")
                numel = int(torch.Size(file.get_slice(full_name).get_shape()).numel())
                self._parts.setdefault(name, {}).setdefault(key, []).append(_Part(file, full_name, starts.get(full_name, 0), numel))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def keys(self, name: str) -> list[str]:
        """The keys that there are for a parameter; none before the first step."""
        return list(self._parts.get(name, {}))

    def whole(self, name: str, key: str, parameter: torch.Tensor) -> torch.Tensor:
        """A parameter's state in its shape and on its device; the step's count as a scalar."""
        if key == "step":
            return self.step(name).to(parameter.device)
        return self.slice(name, key, 0, parameter.numel()).view(parameter.shape).to(parameter.device)

    def step(self, name: str) -> torch.Tensor:
        """A parameter's count of steps, a scalar."""
        part = self._parts[name]["step"][0]
        scalar: torch.Tensor = part.file.get_tensor(part.full_name)
        return scalar.reshape(())

    def slice(self, name: str, key: str, start: int, numel: int) -> torch.Tensor:
        """``numel`` elements of the flattened state from ``start`` on, put together from all parts that hold some.

        Raises:
            UnusableError: when the parts leave a gap.
        """
        found = torch.empty(numel)
        filled = 0
        for part in self._parts.get(name, {}).get(key, []):
            begin, end = max(start, part.start), min(start + numel, part.start + part.numel)
            if begin < end:
                flat = part.file.get_tensor(part.full_name).reshape(-1)
                found[begin - start : end - start] = flat[begin - part.start : end - part.start]
                filled += end - begin
        if filled != numel:
            raise UnusableError(
                f"The checkpoint's optimizer files hold {filled} of {numel} elements of {name}/{key}: a rank's file is missing.",
                "The run continues from an older commit when this one is removed from the store.",
            )
        return found
