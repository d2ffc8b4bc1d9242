"""Parquet files; class names that the datasets library left in the schema are used."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from job.errors import DataError
from job.run_dir import TEMPORARY_PREFIX
from job.settings.data import DataSettings
from job.workers.readers.base import CHUNK_ROWS, LABELLED, Chunk, DataFile, Roles, check_columns
from job.workers.readers.features import chunk_of, features_of_schema
from job.workers.readers.streams import Allowance, compression, open_bytes


def read_parquet(file: DataFile, data: DataSettings, roles: Roles = LABELLED) -> Iterator[Chunk]:
    """The asked columns of a Parquet file.

    Raises:
        DataError: when it is not Parquet, is damaged, lacks a column, its text column does not hold text, or it is a bomb.
    """
    try:
        with ExitStack() as stack:
            parquet = stack.enter_context(_open(file, stack))
            asked = check_columns(file.name, parquet.schema_arrow.names, data, roles)
            features, allowance = features_of_schema(parquet.schema_arrow), Allowance(file)
            for batch in parquet.iter_batches(batch_size=CHUNK_ROWS, columns=sorted(set(asked.values()))):
                rows = _plain(batch)
                allowance.take(rows.nbytes)
                yield chunk_of(rows, asked, features)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{file.name} is not a sound Parquet file: {str(error).splitlines()[0]}",
            "Write or copy the file anew, or set JOB_DATA__FORMAT to what it is.",
        ) from error


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with every value written out, as it will stand in memory: a dictionary holds what repeats once."""
    columns = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _open(file: DataFile, stack: ExitStack) -> pq.ParquetFile:
    """Parquet is read from its end, so a file that someone compressed once more is unpacked beside the run's other files."""
    if compression(file) is None:
        with open_bytes(file):
            return pq.ParquetFile(file.path)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=file.path.parent, prefix=TEMPORARY_PREFIX)))
    unpacked = folder / "unpacked.parquet"
    with open_bytes(file) as stream, unpacked.open("wb") as target:
        shutil.copyfileobj(stream, target)
    return pq.ParquetFile(unpacked)
