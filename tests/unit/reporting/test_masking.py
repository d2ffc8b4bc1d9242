import pytest

from job.reporting.masking import MASK, Masker

TOKEN = "hf_" + "AbCd1234" * 4


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"401 with {TOKEN} for url", TOKEN),
        ("key AKIAABCDEFGHIJKLMNOP used", "AKIAABCDEFGHIJKLMNOP"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalr"),
        ("HF_TOKEN: something", "something"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("'authorization': 'Basic dXNlcg=='", "dXNlcg"),
        ("https://user:pa@ss@host/path", "pa@ss"),
        ("s3://key:word@bucket/x", "word"),
        ("GET /x?X-Amz-Signature=deadbeef&y=1", "deadbeef"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text, hidden):
    masked = Masker().mask(text)
    assert hidden not in masked
    assert MASK in masked


@pytest.mark.parametrize("text", ["see a@b.example", "https://host/path@2x.png", "hf_hub", "the token is short", "1 @ 2"])
def test_ordinary_text_stays(text):
    assert Masker().mask(text) == text


def test_known_values_go_wherever_they_stand_the_longest_first():
    masker = Masker.of(["secret", "secret-and-more", "abc"])
    assert masker.mask("x secret-and-more y secret z abc") == f"x {MASK} y {MASK} z abc"


def test_values_inside_json_are_masked():
    assert Masker.of(["geheim"]).mask_all({"a": ["geheim", 1, None], "b": {"c": "-geheim-"}}) == {
        "a": [MASK, 1, None],
        "b": {"c": f"-{MASK}-"},
    }
