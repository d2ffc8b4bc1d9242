"""The border to S3: every error of boto3 becomes one of ours, here and nowhere else.

Two rules matter most.  403 is "denied", never "not there": without the right to list, AWS answers 403 for a missing object, and a
job that took it for "no checkpoint yet" would start from scratch.  And only what may pass by itself is tried again.

boto3's exceptions are told apart by the names of their classes, so that boto3 is imported by `s3` alone; a test holds the
names against the installed version.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job.errors import CrashError, DataError, DeniedError, JobError, SettingsError, UnavailableError, as_job_error
from job.storage.base import MissingObjectError
from job.storage.retry import Failure


@dataclass(frozen=True)
class Rule:
    """What a set of error names means.  ``message`` gets ``subject`` and ``said``, the error's own name."""

    error: type[JobError]
    message: str
    hint: str
    names: frozenset[str]
    transient: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYS_HINT = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN (or the role), and what they may do: list, get, put, delete."
_PLACE_HINT = "Check the bucket's name, AWS_ENDPOINT_URL and AWS_REGION."
_AGAIN_HINT = (
    "The run continues from its last commit when it is started again; JOB_LIMITS__STORE_TIMEOUT_S bounds how long it waits."
)
_DENIED = "The store denied access to {subject} ({said})."
_UNAVAILABLE = "The store could not serve {subject} ({said})."
_MISSING = "There is no {subject}."

EXCEPTION_RULES = (
    Rule(
        DeniedError,
        "There are no usable credentials for {subject} ({said}).",
        _KEYS_HINT,
        _names(
            "NoCredentialsError PartialCredentialsError NoAuthTokenError TokenRetrievalError RefreshWithMFAUnsupportedError SSOError "
            "LoginError"
        ),
    ),
    Rule(
        DeniedError,
        "The credentials for {subject} could not be fetched ({said}).",
        "See that the service or program that hands out the credentials answers (instance or pod role, credential_process).",
        _names("CredentialRetrievalError MetadataRetrievalError"),
        transient=True,
    ),
    Rule(
        UnavailableError,
        "What answered for {subject} does not speak S3 ({said}).",
        "Check AWS_ENDPOINT_URL, and that no proxy answers in the store's place.",
        _names("ResponseParserError"),
        transient=True,
    ),
    Rule(
        UnavailableError,
        "The store did not answer for {subject} ({said}).",
        _AGAIN_HINT,
        # The names of Python's own ConnectionError and TimeoutError are meant too, and urllib3's SSLError: a damaged record of TLS
        # in the middle of a body.  A certificate that is not trusted is told apart before.
        _names(
            "HTTPClientError ConnectionError TimeoutError SSLError IncompleteReadError ChecksumError FlexibleChecksumError "
            "AwsChunkedWrapperError CapacityNotAvailableError"
        ),
        transient=True,
    ),
    Rule(
        SettingsError,
        "boto3 cannot be configured for {subject} ({said}).",
        "Check the AWS_* variables and the AWS profile.",
        _names(
            "ProfileNotFound ConfigParseError ConfigNotFound InvalidConfigError BaseEndpointResolverError EndpointProviderError "
            "InvalidRegionError UnknownRegionError ServiceNotInRegionError InvalidIMDSEndpointError InvalidIMDSEndpointModeError "
            "InvalidDNSNameError InvalidHostLabelError InvalidS3AddressingStyleError InvalidS3UsEast1RegionalEndpointConfigError "
            "InvalidSTSRegionalEndpointsConfigError InvalidEndpointConfigurationError InvalidEndpointDiscoveryConfigurationError "
            "InvalidProxiesConfigError InvalidDefaultsMode InvalidRetryConfigurationError InvalidChecksumConfigError "
            "UnknownCredentialError UnknownTokenProviderError UnknownSignatureVersionError UnsupportedSignatureVersionError "
            "UnsupportedS3ArnError UnsupportedS3ControlArnError UnsupportedS3ConfigurationError "
            "UnsupportedS3AccesspointConfigurationError UnsupportedS3ControlConfigurationError UnsupportedOutpostResourceError "
            "MissingDependencyException"
        ),
    ),
)
"""Exceptions that boto3 raises by itself, by the names of their classes and bases."""

REPLY_RULES = (
    Rule(
        DeniedError,
        "The store is full: it takes no more for {subject} ({said}).",
        "Make room, or have the quota of the bucket or the user raised; the run continues from its last commit when it is started again.",
        # Ceph, MinIO (disk, bucket), and the status of others.
        _names("QuotaExceeded XMinioStorageFull XMinioAdminBucketQuotaExceeded InsufficientStorage 507"),
    ),
    Rule(
        SettingsError,
        "The store refused {subject} as asked ({said}).",
        _PLACE_HINT,
        _names(
            "NoSuchBucket InvalidBucketName PermanentRedirect TemporaryRedirect AuthorizationHeaderMalformed NotImplemented "
            "IllegalLocationConstraintException MethodNotAllowed EntityTooLarge MissingContentLength 501 301 307 405"
        ),
    ),
    Rule(
        DataError,
        "{subject} is archived and cannot be read ({said}).",
        "Restore it from the archive first.",
        frozenset({"InvalidObjectState"}),
    ),
    Rule(
        DeniedError,
        _DENIED,
        _KEYS_HINT,
        _names(
            "AccessDenied AllAccessDisabled AccountProblem InvalidAccessKeyId SignatureDoesNotMatch InvalidSecurity ExpiredToken "
            "ExpiredTokenException InvalidToken TokenRefreshRequired NotSignedUp RequestTimeTooSkewed InvalidPayer "
            "KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException"
        ),
    ),
    Rule(
        UnavailableError,
        _UNAVAILABLE,
        _AGAIN_HINT,
        # 409: another writer of the same key was at work, and the answer is known only when the request is sent again.
        # BadDigest and its kin: what arrived was not what was sent.
        _names(
            "SlowDown SlowDownRead SlowDownWrite Throttling ThrottlingException TooManyRequests RequestLimitExceeded RequestTimeout "
            "RequestTimeoutException InternalError ServiceUnavailable Busy XMinioServerNotInitialized ConditionalRequestConflict "
            "OperationAborted BadDigest IncompleteBody XAmzContentSHA256Mismatch XAmzContentChecksumMismatch 429"
        ),
        transient=True,
    ),
    Rule(DeniedError, _DENIED, _KEYS_HINT, frozenset({"401", "403"})),
    Rule(
        MissingObjectError,
        _MISSING,
        "Check the location in the setting.",
        frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound", "404"}),
    ),
)
"""Replies of the store, by error code or HTTP status; the first that fits counts."""

_STALE_KEYS = _names("ExpiredToken ExpiredTokenException InvalidAccessKeyId InvalidToken TokenRefreshRequired")
_SERVER_ERROR = Rule(UnavailableError, _UNAVAILABLE, _AGAIN_HINT, frozenset(), transient=True)
_OTHER_REPLY = Rule(
    CrashError,
    "The store refused a request for {subject} ({said}).",
    "The store speaks another dialect of S3, or this is a bug in the job.",
    frozenset(),
)
_UNTRUSTED = Rule(
    SettingsError,
    "The certificate of the store at {subject} is not trusted.",
    "Set AWS_CA_BUNDLE to the certificate of the authority that issued it.",
    frozenset(),
)


def are_keys_stale(error: BaseException | None) -> bool:
    """Whether the store refused a request for its keys in a way that new ones, where somebody has put them, would help."""
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    # A reply to HEAD has no body that could say why.
    return code in _STALE_KEYS or (getattr(error, "operation_name", "") == "HeadObject" and code in {"400", "403"})


def explain(error: Exception, subject: str) -> Failure:
    """What an exception of boto3, or of the network under it, means; ``subject`` is the object's URI, for the message."""
    names = frozenset(cls.__name__ for cls in type(error).__mro__)
    # botocore wraps whatever is raised beneath it, a stop request too.
    beneath = getattr(error, "kwargs", {}).get("error")
    error = beneath if isinstance(beneath, JobError) else error
    if isinstance(error, JobError):
        return Failure(error, transient=isinstance(error, UnavailableError))
    if "ClientError" in names:
        return _from_reply(getattr(error, "response", {}), subject)
    if "SSLError" in names and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _failure(_UNTRUSTED, subject, "")
    rule = next((rule for rule in EXCEPTION_RULES if rule.names & names), None)
    if rule:
        return _failure(rule, subject, type(error).__name__)
    if not isinstance(error, OSError):
        logged = f"{type(error).__name__}: {error}"
        return Failure(CrashError(f"boto3 failed for {subject}. {logged}", "This is a bug in the job or in boto3."))
    return Failure(as_job_error(error))


def _from_reply(response: Mapping[str, Any], subject: str) -> Failure:
    code = str(response.get("Error", {}).get("Code", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    rule = next(
        (rule for rule in REPLY_RULES if rule.names & {code, str(status)}), _SERVER_ERROR if status >= 500 else _OTHER_REPLY
    )
    return _failure(rule, subject, f"{status} {code}".strip(), retry_after_s(metadata.get("HTTPHeaders", {})))


def _failure(rule: Rule, subject: str, said: str, pause_s: float = 0.0) -> Failure:
    return Failure(rule.error(rule.message.format(subject=subject, said=said), rule.hint), rule.transient, pause_s)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that a Retry-After header asks for, given as a number or as a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
