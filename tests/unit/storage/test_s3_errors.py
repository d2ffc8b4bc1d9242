"""The map of errors, and that nothing is missing from it in the boto3 that is installed."""

import builtins
import email.utils
import inspect
import ssl
import time

import pytest
import urllib3
from botocore import exceptions as botocore_errors
from botocore import parsers

from job.errors import CrashError, DataError, DeniedError, LocalIOError, SettingsError, StopRequested, UnavailableError
from job.storage.base import MissingObjectError
from job.storage.s3_errors import EXCEPTION_RULES, are_keys_stale, explain, retry_after_s

BUGS = {
    *("BotoCoreError", "DataNotFoundError", "UnknownServiceError", "ApiVersionNotFoundError", "UnknownServiceStyle"),
    *(
        "MissingParametersError",
        "ValidationError",
        "ParamValidationError",
        "UnknownKeyError",
        "RangeError",
        "UnknownParameterError",
    ),
    *("AliasConflictParameterError", "PaginationError", "OperationNotPageableError", "UnseekableStreamError", "WaiterError"),
    *("InvalidExpressionError", "WaiterConfigError", "UnknownClientMethodError", "StubResponseError", "StubAssertionError"),
    *("UnStubbedResponseError", "MD5UnavailableError", "UnsupportedServiceProtocolsError", "UndefinedModelAttributeError"),
    "MissingServiceIdError",
}
"""What boto3 raises only when it, or we, made a mistake."""
INSTALLED = {
    name: value
    for name, value in vars(botocore_errors).items()
    if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning)
    if value.__module__ == botocore_errors.__name__ and not issubclass(value, botocore_errors.ClientError)
}


def reply(status, code="", headers=None):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}}
    return explain(botocore_errors.ClientError(response, "PutObject"), "s3://b/k")


@pytest.mark.parametrize("name", INSTALLED)
def test_every_exception_of_the_installed_boto3_is_mapped(name):
    error = INSTALLED[name].__new__(INSTALLED[name])
    error.args = ("text",)
    found = explain(error, "s3://b/k").error
    assert isinstance(found, CrashError) == (name in BUGS), f"{name} is new: decide what it means"
    assert found.message


def test_every_name_in_the_map_is_one_of_the_installed_boto3():
    named = set().union(*(rule.names for rule in EXCEPTION_RULES))
    known = INSTALLED.keys() | {parsers.ResponseParserError.__name__}
    assert {name for name in named if name not in known and not hasattr(builtins, name)} == set()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", DeniedError),
        (403, "403", DeniedError),
        (403, "", DeniedError),
        (401, "Unauthorized", DeniedError),
        (403, "SignatureDoesNotMatch", DeniedError),
        (403, "InvalidAccessKeyId", DeniedError),
        (400, "ExpiredToken", DeniedError),
        (400, "InvalidToken", DeniedError),
        (403, "RequestTimeTooSkewed", DeniedError),
        (403, "QuotaExceeded", DeniedError),
        (507, "XMinioStorageFull", DeniedError),
        (507, "", DeniedError),
        (403, "InvalidObjectState", DataError),
        (404, "NoSuchKey", MissingObjectError),
        (404, "404", MissingObjectError),
        (404, "NoSuchUpload", MissingObjectError),
        (404, "NoSuchBucket", SettingsError),
        (400, "InvalidBucketName", SettingsError),
        (301, "PermanentRedirect", SettingsError),
        (400, "AuthorizationHeaderMalformed", SettingsError),
        (501, "NotImplemented", SettingsError),
        (411, "MissingContentLength", SettingsError),
        (400, "InvalidArgument", CrashError),
        (412, "PreconditionFailed", CrashError),
    ],
)
def test_replies_that_stay_the_same(status, code, kind):
    failure = reply(status, code)
    assert type(failure.error) is kind
    assert not failure.transient
    assert "s3://b/k" in failure.error.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((500, "InternalError"), (502, ""), (503, "SlowDown"), (503, ""), (504, ""), (429, "TooManyRequests"), (429, "")),
        *((400, "RequestTimeout"), (409, "ConditionalRequestConflict"), (409, "OperationAborted"), (400, "BadDigest")),
    ],
)
def test_replies_that_may_change(status, code):
    failure = reply(status, code)
    assert type(failure.error) is UnavailableError
    assert failure.transient


def test_the_wait_that_the_store_asks_for():
    assert reply(503, "SlowDown", {"retry-after": "7"}).retry_after_s == 7
    later = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 50 < retry_after_s({"retry-after": later}) <= 60
    for value in ("", "soon", "-1", email.utils.formatdate(0)):
        assert retry_after_s({"retry-after": value}) == 0


def test_the_network_and_the_disk():
    for error in (ConnectionResetError(), TimeoutError(), BrokenPipeError()):
        assert explain(error, "x").transient
    assert isinstance(explain(OSError(28, "No space left"), "x").error, LocalIOError)
    assert isinstance(explain(ZeroDivisionError(), "x").error, CrashError)
    ours = UnavailableError("x")
    assert explain(ours, "x").error is ours
    assert explain(ours, "x").transient
    assert not explain(DeniedError("x"), "x").transient


def test_a_certificate_does_not_get_better_by_waiting():
    cause = ssl.SSLCertVerificationError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    failure = explain(botocore_errors.SSLError(endpoint_url="https://x", error=cause), "s3://b")
    assert isinstance(failure.error, SettingsError)
    assert "AWS_CA_BUNDLE" in failure.error.hint
    assert explain(botocore_errors.SSLError(endpoint_url="https://x", error="EOF"), "s3://b").transient


def test_a_stop_request_is_not_taken_for_the_network():
    """botocore wraps whatever is raised beneath it."""
    stop = StopRequested("SIGTERM")
    failure = explain(botocore_errors.HTTPClientError(error=stop), "s3://bucket/key")
    assert failure.error is stop
    assert not failure.transient


@pytest.mark.parametrize(
    "error",
    [
        urllib3.exceptions.SSLError("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed or bad record mac"),
        ssl.SSLError(1, "[SSL] record layer failure"),
        parsers.ResponseParserError("Unable to parse response (syntax error: line 1, column 0), invalid XML received"),
    ],
)
def test_what_is_damaged_on_the_way_is_asked_for_again(error):
    """The first two come out of a body that is read: boto3 wraps neither."""
    failure = explain(error, "s3://b/k")
    assert type(failure.error) is UnavailableError
    assert failure.transient


def test_an_untrusted_certificate_is_one_however_it_is_wrapped():
    cause = ssl.SSLCertVerificationError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    for error in (cause, urllib3.exceptions.SSLError(cause)):
        failure = explain(error, "s3://b")
        assert isinstance(failure.error, SettingsError)
        assert not failure.transient


@pytest.mark.parametrize("name", ["CredentialRetrievalError", "MetadataRetrievalError"])
def test_a_service_of_credentials_that_fails_may_come_back(name):
    failure = explain(INSTALLED[name](provider="role", error_msg="timeout"), "s3://b/k")
    assert type(failure.error) is DeniedError
    assert failure.transient
    assert not explain(botocore_errors.NoCredentialsError(), "s3://b/k").transient


@pytest.mark.parametrize(
    ("status", "code", "operation", "stale"),
    [
        (400, "ExpiredToken", "PutObject", True),
        (403, "InvalidAccessKeyId", "PutObject", True),
        (400, "400", "HeadObject", True),
        (403, "403", "HeadObject", True),
        (404, "404", "HeadObject", False),
        (403, "AccessDenied", "PutObject", False),
        (400, "400", "PutObject", False),
    ],
)
def test_which_refusals_new_keys_may_help(status, code, operation, stale):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert are_keys_stale(botocore_errors.ClientError(response, operation)) == stale
    assert not are_keys_stale(None)
    assert not are_keys_stale(OSError())
