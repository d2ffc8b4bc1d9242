"""Bytes and text out of plain, gzip and zstd files, with positions in the errors.

Arrow's streams do the decompression because they notice a zstd file that ends too early, which the zstandard package reads to
its cut end without a word.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from job.errors import DataError, SettingsError
from job.workers.readers.base import DataFile

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BLOCK_BYTES = 1 << 16
MAX_EXPANSION, FREE_BYTES = 500, 256 * 1024 * 1024
"""A compressed file that comes to more than so many times its size, and to more than so many bytes, is a bomb: text comes to 3 to 50."""


def compression(file: DataFile) -> str | None:
    """The compression, gzip or zstd, by the file's ending or else by its first bytes."""
    for ending, kind in COMPRESSIONS.items():
        if file.name.lower().endswith(ending):
            return kind
    with file.path.open("rb") as stream:
        first = stream.read(4)
    return next((kind for magic, kind in _MAGIC.items() if first.startswith(magic)), None)


@contextmanager
def open_bytes(file: DataFile) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed.

    Raises:
        DataError: when the file is empty, its gzip or zstd stream is broken or cut off, or a bomb.
    """
    if file.path.stat().st_size == 0:
        raise DataError(f"{file.name} is empty (0 bytes).", "Remove the file from the data, or write it anew.")
    kind = compression(file)
    plain = pa.OSFile(str(file.path))
    try:
        with plain if kind is None else io.BufferedReader(_Expanded(file, kind, plain), _BLOCK_BYTES) as stream:
            yield stream
    except OSError as error:
        # Arrow reports a broken stream as an OSError without a number; a broken disk has one.
        if error.errno is not None or kind is None:
            raise
        raise DataError(
            f"{file.name} is not a sound {kind} file: {error}.", "Compress or copy the file anew; `gzip -t` and `zstd -t` test one."
        ) from error


class Allowance:
    """How much may come out of a file that is compressed, or keeps what repeats once."""

    def __init__(self, file: DataFile) -> None:
        self._name, self._num_bytes = file.name, 0
        self._most = max(FREE_BYTES, MAX_EXPANSION * file.path.stat().st_size)

    def take(self, num_bytes: int) -> None:
        """Count so many bytes more.

        Raises:
            DataError: when they are more than can be meant.
        """
        self._num_bytes += num_bytes
        if self._num_bytes > self._most:
            raise DataError(
                f"{self._name} comes to more than {self._most:,} bytes when it is decompressed, over {MAX_EXPANSION} times its size.",
                "No text is like that: see where the file comes from. If it is meant, give it decompressed.",
            )


class _Expanded(io.RawIOBase):
    """The content of a compressed file, as far as it can be meant."""

    def __init__(self, file: DataFile, kind: str, plain: pa.NativeFile) -> None:
        self._stream, self._allowance = pa.CompressedInputStream(plain, kind), Allowance(file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer))
        self._allowance.take(len(block))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_lines(file: DataFile, encoding: str, newline: str) -> Iterator[str]:
    """The file's lines with their ends, as `io.TextIOWrapper` cuts them for ``newline``.

    Raises:
        DataError: with the byte position of what the encoding cannot mean.
        SettingsError: for an encoding that does not exist.
    """
    codec = _codec(encoding)
    try:
        with open_bytes(file) as stream, io.TextIOWrapper(stream, encoding=codec, newline=newline) as text:
            yield from text
    except UnicodeError as error:
        raise _wrong_encoding(file, encoding) from error


def read_text(file: DataFile, encoding: str) -> str:
    """The whole file as text, line ends as they are.  Raises as `read_lines`."""
    return "".join(read_lines(file, encoding, newline=""))


def _codec(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise SettingsError(
            f"JOB_DATA__ENCODING names no character encoding that Python knows: '{encoding}'.",
            "Set JOB_DATA__ENCODING to one such as utf-8, utf-16, latin-1 or cp1252.",
        ) from error
    return "utf-8-sig" if name == "utf-8" else name


def _wrong_encoding(file: DataFile, encoding: str) -> DataError:
    position, line = _locate(file, encoding)
    return DataError(
        f"{file.name} is not {encoding} text: byte {position} (line {line}) begins nothing that this encoding knows.",
        "Set JOB_DATA__ENCODING to the file's encoding (cp1252 and utf-16 are the usual ones), or convert the file to UTF-8.",
    )


def _locate(file: DataFile, encoding: str) -> tuple[int, int]:
    """Byte position from 0 and line from 1 of the first undecodable byte, after decompression."""
    decoder = codecs.getincrementaldecoder(_codec(encoding))()
    position, line = 0, 1
    with open_bytes(file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return position - waiting + error.start, line + block[: max(error.start - waiting, 0)].count(b"\n")
            except UnicodeError:
                return position, line
            position, line = position + len(block), line + block.count(b"\n")
    return position - len(decoder.getstate()[0]), line
