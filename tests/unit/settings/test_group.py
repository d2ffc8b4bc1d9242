import pytest
from pydantic import ValidationError

from job.settings.group import CommaList, Group, UriList


class Example(Group):
    """An example."""

    names: CommaList = ()
    """Names."""

    places: UriList = ()
    """Places."""


def test_field_docstrings_become_descriptions():
    assert Example.model_fields["names"].description == "Names."


def test_lists_by_comma_or_as_lists():
    assert Example(names=" a, b ,,").names == Example(names=["a", "b"]).names == ("a", "b")


def test_frozen_strict_and_silent():
    with pytest.raises(ValidationError, match="frozen"):
        Example().names = ()
    with pytest.raises(ValidationError, match="extra"):
        Example(other=1)
    with pytest.raises(ValidationError) as raised:
        Example(places=["ftp://sesame"])
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("uri", ["s3://key:secret@bucket/a", "s3://key@bucket"])
def test_no_credentials_in_uris(uri):
    with pytest.raises(ValidationError, match="holds no credentials"):
        Example(places=[uri])
    assert Example(places=["hf://org/name@main", "s3://bucket/a@b"]).places
