"""JSON lines: values as they are, lines in the errors."""

import pytest

from job.errors import DataError
from job.workers.readers.base import DataFile
from job.workers.readers.json_lines import read_json_lines
from tests.support.inputs import data_settings


def read(tmp_path, content: str):
    path = tmp_path / "a.jsonl"
    path.write_text(content, newline="")
    return [chunk.values for chunk in read_json_lines(DataFile(path, "a.jsonl"), data_settings())]


def refusal(tmp_path, content: str) -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    return caught.value.message


def test_values_keep_their_types(tmp_path):
    content = '{"text": "a\\u2028", "label": 1}\r\n\n{"label": [1.5, "x"], "text": null, "more": {}}'
    assert read(tmp_path, content) == [{"text": ["a\u2028", None], "label": [1, [1.5, "x"]]}]


def test_a_key_that_one_object_lacks_is_a_missing_value(tmp_path):
    assert read(tmp_path, '{"text": "a"}\n{"text": "b", "label": "x"}') == [{"text": ["a", "b"], "label": [None, "x"]}]


def test_a_key_that_all_objects_lack_is_a_missing_column(tmp_path):
    assert refusal(tmp_path, '{"text": "a", "lable": 1}\n') == "a.jsonl has no column 'label'; it has 'text', 'lable'."


@pytest.mark.parametrize(
    ("line", "what"), [("[1]", "a list"), ('"x"', "a text"), ("3", "a number"), ("null", "null"), ("true", "true or false")]
)
def test_a_line_that_is_no_object_is_named(tmp_path, line, what):
    content = '{"text": "a", "label": 1}\n\n' + line
    assert refusal(tmp_path, content) == f"a.jsonl, line 3: {what} where a JSON object was expected."


def test_a_json_list_over_several_lines_is_recognised(tmp_path):
    assert refusal(tmp_path, '[\n{"text": "a", "label": 1}\n]') == "a.jsonl, line 1: a list where a JSON object was expected."


@pytest.mark.parametrize(
    ("value", "what"),
    [("[" * 200_000 + "]" * 200_000, "nested hundreds deep"), ("9" * 5_000, "a number of more than 4,300 digits")],
    ids=["deep", "digits"],
)
def test_json_that_is_too_much_is_named(tmp_path, value, what):
    message = refusal(tmp_path, f'{{"text": "a", "label": 1}}\n{{"text": "a", "label": {value}}}')
    assert message.startswith("a.jsonl, line 2: JSON that cannot be read: ")
    assert what in message


def test_broken_json_is_located(tmp_path):
    message = refusal(tmp_path, '{"text": "a", "label": 1}\n{"text": "a" "label": 1}\n')
    assert message.startswith("a.jsonl, line 2, character 14: not valid JSON")
