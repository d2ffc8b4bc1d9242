"""The layout of aclImdb: which files count, what their label is."""

import pytest

from job.errors import DataError
from job.workers.readers.base import DataFile
from job.workers.readers.text_folder import is_text, labelled_texts, read_text_folder
from tests.support.inputs import data_settings


def files(*names: str) -> list[DataFile]:
    return [DataFile(None, name) for name in names]


def test_folders_are_labels_and_the_rest_is_left_out_with_a_note():
    used, notes = labelled_texts(
        files("pos/0_9.txt", "neg/1_1.txt.gz", "unsup/2_0.txt", "labeledBow.feat", "urls_pos.txt", "unsup/3_0.txt")
    )
    assert [file.name for file in used] == ["pos/0_9.txt", "neg/1_1.txt.gz"]
    assert sorted(notes) == sorted(
        [
            "1 files were ignored: beside the labels' folders, so without a label.",
            "2 files were ignored: in the folder 'unsup', which holds unlabelled texts.",
            "1 files were ignored: no .txt file.",
        ]
    )


def test_train_beside_test_is_refused():
    with pytest.raises(DataError, match="holds test and train side by side") as caught:
        labelled_texts(files("train/pos/0.txt", "test/pos/0.txt"))
    assert "JOB_DATA__TEST_URI" in caught.value.hint


def test_folders_above_the_labels_do_not_matter():
    names = ("aclImdb/train/pos/0.txt", "aclImdb/train/neg/0.txt", "aclImdb/train/urls_pos.txt", "aclImdb/README.txt")
    assert [file.name for file in labelled_texts(files(*names))[0]] == list(names[:2])


def test_no_labelled_text_is_refused():
    with pytest.raises(DataError, match="No text with a label among 2 files"):
        labelled_texts(files("a.txt", "unsup/b.txt"))


def test_texts_are_read_whole(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos/1.txt").write_bytes(b"a <br />\r\nb\n")
    (chunk,) = read_text_folder([DataFile(tmp_path / "pos/1.txt", "pos/1.txt")], data_settings())
    assert chunk.values == {"text": ["a <br />\r\nb\n"], "label": ["pos"], "id": ["pos/1.txt"]}


def test_endings():
    assert is_text("a/b.TXT")
    assert is_text("a/b.txt.zst")
    assert not is_text("a/b.txt.bz2")
