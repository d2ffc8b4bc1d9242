import pytest

from job.cluster.claims import Claim, agreed, whole_number
from job.errors import SettingsError

CLAIMS = [Claim("num_nodes", 2, "A"), Claim("node_rank", 0, "B"), Claim("num_nodes", 2, "C")]


def test_the_first_of_equal_claims():
    assert agreed(CLAIMS, "num_nodes") == CLAIMS[0]
    assert agreed(CLAIMS, "main_port") is None


def test_a_contradiction_names_both_and_no_value():
    with pytest.raises(SettingsError, match="A and D contradict each other about num nodes") as caught:
        agreed([*CLAIMS, Claim("num_nodes", 731, "D")], "num_nodes")
    assert "731" not in str(caught.value)


@pytest.mark.parametrize("text", ["two", "-1", "1.0", " "])
def test_what_is_no_number(text):
    with pytest.raises(SettingsError, match="X must be a whole number"):
        whole_number({"X": text}, "X")
