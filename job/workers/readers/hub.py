"""A snapshot of a Hub data set, read by the datasets library from the local folder, without network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetsError

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import CHUNK_ROWS, LABELLED, Chunk, Roles, check_columns
from job.workers.readers.features import chunk_of


def read_hub(folder: Path, split: str, data: DataSettings, cache: Path, roles: Roles = LABELLED) -> Iterator[Chunk]:
    """The asked columns of one split of a data set.

    Args:
        folder: the snapshot.
        split: train, eval or test: which of the settings names the data set's split.
        data: columns, configuration and split names.
        cache: folder for what the library converts to Arrow.
        roles: what is read.

    Raises:
        DataError: for a configuration, split or column that is not there, or files that the library cannot read.
    """
    dataset = _load(folder, split, data, cache)
    asked = check_columns(f"The data set's split '{wanted_split(split, data)}'", dataset.column_names, data, roles)
    features = dict(dataset.features)
    for table in dataset.select_columns(sorted(set(asked.values()))).with_format("arrow").iter(CHUNK_ROWS):
        yield chunk_of(table, asked, features)


def wanted_split(split: str, data: DataSettings) -> str:
    """The data set's name for one of our splits."""
    return {"train": data.train_split, "eval": data.eval_split, "test": data.test_split}[split]


def _load(folder: Path, split: str, data: DataSettings, cache: Path) -> datasets.Dataset:
    wanted = wanted_split(split, data)
    try:
        return datasets.load_dataset(str(folder), name=data.hub_config, split=wanted, cache_dir=str(cache))
    except (ValueError, RuntimeError, FileNotFoundError, DatasetsError, pa.ArrowException) as error:
        raise DataError(
            f"The data set's split '{wanted}' cannot be loaded: {_first_line(error)}",
            f"Set JOB_DATA__{split.upper()}_SPLIT to a split that is there, and JOB_DATA__HUB_CONFIG where there are several "
            "configurations; data sets that need a loading script are not supported.",
        ) from error


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) and error.__cause__ else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (" ".join(lines[:2]) or type(cause).__name__)[:400]
