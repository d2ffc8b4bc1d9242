"""A folder of texts, one a file, whose sub-folders are the labels: the layout of aclImdb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import Chunk, DataFile, in_chunks
from job.workers.readers.streams import COMPRESSIONS, read_text

ENDING = ".txt"
UNLABELLED_FOLDER = "unsup"
_SPLIT_NAMES = frozenset({"train", "test", "dev", "valid", "validation", "eval"})


def is_text(name: str) -> bool:
    """Whether a file's name ends as that of a text, compressed or not."""
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return name.lower().endswith(ENDING)


def labelled_texts(files: Sequence[DataFile]) -> tuple[list[DataFile], list[str]]:
    """The files that are texts with a label, and sentences about those that are left out.

    Raises:
        DataError: when there is none, or when the folder holds train and test side by side.
    """
    used, left_out = list[DataFile](), Counter[str]()
    # A folder above another folder of texts is not a label: aclImdb has lists of addresses beside neg and pos.
    above = {PurePosixPath(".")}.union(*(PurePosixPath(file.name).parent.parents for file in files if is_text(file.name)))
    for file in files:
        folder = PurePosixPath(file.name).parent
        if not is_text(file.name):
            left_out[f"no {ENDING} file"] += 1
        elif folder in above:
            left_out["beside the labels' folders, so without a label"] += 1
        elif folder.name == UNLABELLED_FOLDER:
            left_out[f"in the folder '{UNLABELLED_FOLDER}', which holds unlabelled texts"] += 1
        else:
            used.append(file)
    _check(files, used)
    return used, [f"{count:,} files were ignored: {reason}." for reason, count in sorted(left_out.items())]


def read_text_folder(files: Sequence[DataFile], data: DataSettings) -> Iterator[Chunk]:
    """The texts of `labelled_texts`, each with the name of its folder as label and its path as id."""
    for chunk in in_chunks(files):
        yield Chunk(
            {
                "text": [read_text(file, data.encoding) for file in chunk],
                "label": [PurePosixPath(file.name).parent.name for file in chunk],
                "id": [file.name for file in chunk],
            }
        )


def _check(files: Sequence[DataFile], used: Sequence[DataFile]) -> None:
    if not used:
        raise DataError(
            f"No text with a label among {len(files)} files: a text folder has one {ENDING} file a text, in sub-folders named after "
            f"the labels; the first file here is {files[0].name}.",
            "Point JOB_DATA__TRAIN_URI at the folder above the labels' folders, or set JOB_DATA__FORMAT to what the files are.",
        )
    above = {PurePosixPath(file.name).parent.parent.name for file in used} & _SPLIT_NAMES
    if len(above) > 1:
        raise DataError(
            f"The text folder holds {' and '.join(sorted(above))} side by side, which would mix them.",
            "Set JOB_DATA__TRAIN_URI, JOB_DATA__EVAL_URI and JOB_DATA__TEST_URI to these folders, one each.",
        )
