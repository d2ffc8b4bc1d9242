import pytest

from tests.support.environments import load, refusal


def test_several_uris_by_comma():
    assert load(DATA__TRAIN_URI=" a.csv , s3://bucket/b/,").data.train_uri == ("a.csv", "s3://bucket/b/")


def test_commas_alone_are_no_uri():
    assert "JOB_DATA__TRAIN_URI: " in refusal(DATA__TRAIN_URI=",")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DATA__HEADER": "false"}, "JOB_DATA__HEADER=false needs JOB_DATA__COLUMN_NAMES"),
        ({"DATA__COLUMN_NAMES": "text,label"}, "JOB_DATA__COLUMN_NAMES is for files without a header"),
        ({"DATA__EVAL_FRACTION": "0.5", "DATA__TEST_FRACTION": "0.5"}, "must leave something to train on"),
        ({"DATA__LABELS": "a,b,a"}, "JOB_DATA__LABELS names a label twice"),
        ({"DATA__LABELS": "a,b", "DATA__PROBLEM": "regression"}, "has no meaning for JOB_DATA__PROBLEM=regression"),
        ({"DATA__DELIMITER": "||"}, "JOB_DATA__DELIMITER must be a single character"),
        ({"DATA__TEXT_COLUMN": "label"}, "JOB_DATA__TEXT_COLUMN and JOB_DATA__LABEL_COLUMN name the same column"),
        ({"DATA__ENCODING": "utf-9"}, "JOB_DATA__ENCODING: no character encoding of this name is known"),
        ({"DATA__EVAL_FRACTION": "0"}, "JOB_DATA__EVAL_FRACTION: "),
        ({"DATA__EVAL_FRACTION": "1"}, "JOB_DATA__EVAL_FRACTION: "),
        ({"DATA__MAX_TRAIN_EXAMPLES": "0"}, "JOB_DATA__MAX_TRAIN_EXAMPLES: "),
        ({"DATA__FORMAT": "xlsx"}, "JOB_DATA__FORMAT: Input should be 'auto', 'csv'"),
        ({"DATA__HEADER": "perhaps"}, "JOB_DATA__HEADER: Input should be a valid boolean"),
    ],
)
def test_refusals(changes, said):
    assert said in refusal(**changes)


def test_a_folder_of_texts_needs_no_header():
    assert not load(DATA__FORMAT="text-folder", DATA__HEADER="false").data.header
