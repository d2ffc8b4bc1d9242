import pytest

from tests.support.environments import load, refusal


@pytest.mark.parametrize("uri", ["org/name", "hf://org/name@main", "s3://bucket/prefix", "file:///models/a", "../models/a"])
def test_forms_of_the_uri(uri):
    assert load(MODEL__URI=uri).model.uri == uri


@pytest.mark.parametrize("uri", ["https://host/model", "gs://bucket/model", "s3://"])
def test_forms_that_are_refused_with_the_ones_that_are_not(uri):
    assert "JOB_MODEL__URI: a URI begins with file://, s3://, hf://" in refusal(MODEL__URI=uri)


def test_the_token_is_a_secret():
    model = load(MODEL__HUB_TOKEN="hf_sesame").model
    assert "sesame" not in repr(model)
    assert model.hub_token.get_secret_value() == "hf_sesame"


def test_choices():
    text = refusal(MODEL__PAD_TOKEN="unk", MODEL__TRUNCATION_SIDE="middle")
    assert "JOB_MODEL__PAD_TOKEN: Input should be 'auto', 'eos' or 'add'." in text
    assert "JOB_MODEL__TRUNCATION_SIDE: Input should be 'right' or 'left'." in text
