from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from job.errors import DataError, DeniedError, SettingsError, UnavailableError
from job.storage.refusals import passing, refusal


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, None, DeniedError),
        (403, None, DeniedError),
        (401, "GatedRepo", DeniedError),
        (403, "GatedRepo", DeniedError),
        (401, "RepoNotFound", SettingsError),
        (404, "RepoNotFound", SettingsError),
        (404, "RevisionNotFound", SettingsError),
        (404, "EntryNotFound", DataError),
        (404, None, SettingsError),
        (404, "SomethingNew", SettingsError),
        (402, None, DeniedError),
        (451, "SomethingNew", DeniedError),
    ],
)
def test_every_refusal_has_an_outcome_with_a_remedy(status: int, code: str | None, kind: type) -> None:
    error = refusal(status, code, "JOB_DATA__TRAIN_URI")
    assert type(error) is kind
    assert error.hint
    assert "JOB_DATA__TRAIN_URI" in str(error) or "HF_ENDPOINT" in str(error)
    assert "{" not in str(error)


def test_what_may_pass_is_tried_again() -> None:
    failure = passing("Downloading a.csv", "the Hub answered 503", "7")
    assert failure.transient
    assert failure.retry_after_s == 7
    assert isinstance(failure.error, UnavailableError)
    assert failure.error.message == "Downloading a.csv failed: the Hub answered 503 and asked to wait 7 s."
    assert "JOB_LIMITS__STORE_TIMEOUT_S" in failure.error.hint


@pytest.mark.parametrize("header", [None, "", "soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_says_nothing_is_none(header: str | None) -> None:
    failure = passing("It", "it failed", header)
    assert failure.retry_after_s == 0
    assert "asked" not in failure.error.message


def test_a_wait_may_be_a_date() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=60)
    assert 57 < passing("It", "it failed", format_datetime(moment, usegmt=True)).retry_after_s <= 60
