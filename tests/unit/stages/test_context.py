from pathlib import Path

from job.stages.context import digest


def test_the_stop_request_is_the_crews(context):
    assert context.stop is context.crew.stop


def test_a_digest_is_of_the_value_and_not_of_its_order():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest([1, 2]) != digest([2, 1])
    assert digest({"a": Path("x")}) == digest({"a": "x"})
    assert len(digest(None)) == 64
