"""The Hugging Face Hub: a client, and snapshots in (`hub_push`: a folder out).  The only importer of huggingface_hub.

The library is used for the protocol and not for its judgement (as measured: it retries some requests and
not others, takes a file of the right size for the right file, and answers a failing Hub from its cache):

* a revision is resolved to a commit sha first, and everything is read at that sha;
* every file is verified by hash (`job.storage.snapshot`) in a temporary folder that is renamed when all are there;
* answers that may pass (429, 5xx) are taken out of the library's hands by a hook and retried by `job.storage.retry`,
  which honours Retry-After and ends within the limit in settings;
* errors are mapped here, once, to `job.errors`, and their texts are not passed on: they hold signed URLs.

``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HOME`` stay the library's own.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_session, get_token
from huggingface_hub import errors as hub_errors
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import disable_progress_bars

from job.errors import DeniedError, SettingsError, UnavailableError, as_job_error
from job.records import InputSource
from job.storage import snapshot
from job.storage.hub_access import check_endpoint, check_token
from job.storage.manifest import FileEntry, tree_digest
from job.storage.refusals import PASSING_STATUS, passing, refusal
from job.storage.retry import Failure, Retries
from job.storage.snapshot import DATA_FILES, MODEL_CONFIG_FILES, MODEL_FILES, DamagedFileError, RemoteFile

__all__ = ["DATA_FILES", "MODEL_CONFIG_FILES", "MODEL_FILES", "Hub", "HubOptions", "HubRepo", "download_snapshot"]

REQUEST_TIMEOUT_S = 60.0
"""Longest silence of the server within a request; the library's own default is for ever."""

_FOREIGN = (hub_errors.HfHubHTTPError, httpx2.HTTPError, OSError, ValueError, RuntimeError)
_PASSING_ERRORS: dict[type[Exception], str] = {
    httpx2.TimeoutException: "the Hub did not answer in time",
    httpx2.ConnectError: "no connection to the Hub",
    hub_errors.FileMetadataError: "the answer is not a Hub's: check HF_ENDPOINT and proxies",
    JSONDecodeError: "the answer is not a Hub's: check HF_ENDPOINT and proxies",
}

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubRepo:
    """A repository on the Hub, at a branch, tag or commit; None is the main branch."""

    kind: Literal["model", "dataset"]
    repo_id: str
    revision: str | None = None

    @property
    def uri(self) -> str:
        """The repository without revision, as the Hub writes it: ``hf://org/name``, ``hf://datasets/org/name``."""
        return f"hf://{'datasets/' if self.kind == 'dataset' else ''}{self.repo_id}"


@dataclass(frozen=True)
class HubOptions:
    """How the Hub is used.

    ``token`` is stronger than ``HF_TOKEN``; failing requests are retried for ``timeout_s`` seconds; files are those that
    match ``allow`` (`job.storage.snapshot`); ``variable`` is the setting that named the repository, for messages.
    """

    token: str | None = None
    timeout_s: float = 300.0
    allow: tuple[str, ...] = ()
    variable: str = "JOB_MODEL__URI"


def download_snapshot(repo: HubRepo, folder: Path, options: HubOptions) -> InputSource:
    """Download the wanted files of a repository; ``folder`` then holds them, verified, and nothing else.

    Raises:
        SettingsError: no such repository or revision; no weights in safetensors.
        DataError: a data set without a file that the job reads.
        DeniedError: the token may not read it.
        UnavailableError: the Hub failed for longer than ``timeout_s``, or sent a damaged file twice.
        LocalIOError: the disk is full or not writable.
    """
    hub = Hub(options)
    sha = hub.resolve(repo)
    pinned = HubRepo(repo.kind, repo.repo_id, sha)
    files = snapshot.wanted(hub.list_files(pinned), options.allow)
    snapshot.check_usable(repo.kind, [file.path for file in files], options.allow, options.variable)
    size_bytes = sum(file.size_bytes for file in files)
    logger.info("%s at %s: %d files, %d bytes", repo.uri, sha, len(files), size_bytes)
    with snapshot.replacing(folder, size_bytes) as temporary:
        # One after the other, in this thread: a stop request then ends the download at once, not after the files under way.
        entries = [hub.fetch(pinned, file, temporary) for file in files]
        shutil.rmtree(temporary / ".cache")  # the library's own bookkeeping
    return InputSource(repo.uri, sha, len(entries), size_bytes, tree_digest(entries))


class _BusyError(RuntimeError):
    """An answer that may pass: reason and ``Retry-After``.  No class that the library retries or catches itself."""


class _CallFailedError(Exception):
    """Carries a failure out of an attempt, without the library's error behind it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


class Hub:
    """One client: calls are retried within the options' patience, and errors come out as ours."""

    def __init__(self, options: HubOptions) -> None:
        check_endpoint(constants.ENDPOINT, offline=constants.HF_HUB_OFFLINE)
        check_token(options.token)
        disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings quote signed URLs; ours say the same without
        self._api = HfApi(token=options.token or None, library_name="finetune-job")
        self._variable = options.variable
        self._retries = Retries(options.timeout_s)

    def call(self, what: str, function: Callable[[HfApi], Result]) -> Result:
        """One call of the library, repeated while its failure may pass."""

        def attempt() -> Result:
            session = get_session()
            session.event_hooks["response"] = [_take_over_retries]
            session.timeout = REQUEST_TIMEOUT_S
            try:
                return function(self._api)
            except _FOREIGN as error:
                failure = _explain(error, what, self._variable)
            # Outside of the handler: the library's texts hold URLs with signatures, which no traceback should print.
            raise _CallFailedError(failure)

        return self._retries.call(
            attempt, lambda error: error.failure if isinstance(error, _CallFailedError) else Failure(as_job_error(error))
        )

    def require_token(self) -> None:
        """See that there is a token at all.

        Raises:
            DeniedError: when there is none.
        """
        if self._api.token is None and get_token() is None:
            raise DeniedError(f"{self._variable} needs a Hub token, and there is none.")

    def resolve(self, repo: HubRepo) -> str:
        """The commit sha of the repository's revision."""
        info = self.call(
            "Asking the Hub for the revision",
            lambda api: api.repo_info(repo.repo_id, repo_type=repo.kind, revision=repo.revision, timeout=REQUEST_TIMEOUT_S),
        )
        if not re.fullmatch("[0-9a-f]{40}", info.sha or ""):
            raise UnavailableError("The Hub names no commit for the revision.", "Check HF_ENDPOINT: does a Hub answer there?")
        return str(info.sha)

    def list_files(self, repo: HubRepo) -> list[RemoteFile]:
        """Every file of the repository."""

        def tree(api: HfApi) -> list[RemoteFile]:
            entries = api.list_repo_tree(repo.repo_id, repo_type=repo.kind, revision=repo.revision, recursive=True)
            return [
                RemoteFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
                for entry in entries
                if isinstance(entry, RepoFile)
            ]

        return self.call("Reading the repository's file list", tree)

    def fetch(self, repo: HubRepo, file: RemoteFile, folder: Path) -> FileEntry:
        """Download one file below ``folder`` and verify it, a second time if it is damaged; what it is."""
        for again in (False, True):

            def download(api: HfApi, again: bool = again) -> str:
                return api.hf_hub_download(
                    repo.repo_id, file.path, repo_type=repo.kind, revision=repo.revision, local_dir=folder, force_download=again
                )

            path = self.call(f"Downloading {file.path}", download)
            try:
                return snapshot.verify(file, Path(path))
            except DamagedFileError as error:
                damage = error
                logger.warning("%s; %s", error.message, "giving up" if again else "downloading it again")
        raise UnavailableError(
            f"{damage.message}; a second download did not help.",
            "A proxy or mirror on the way may serve damaged files: check HF_ENDPOINT and HTTPS_PROXY, then start again.",
        )


def _take_over_retries(response: httpx2.Response) -> None:
    """Response hook: an answer that may pass becomes our error, before the library retries it or calls it missing."""
    if response.status_code in PASSING_STATUS:
        raise _BusyError(f"the Hub answered {response.status_code}", response.headers.get("Retry-After"))


def _explain(error: Exception, what: str, variable: str) -> Failure:
    """What an error of the library means; the order goes from the narrow classes to the wide."""
    if isinstance(error, _BusyError):
        return passing(what, *error.args)
    if isinstance(error, hub_errors.HfHubHTTPError):
        return _explain_answer(error.response, what, variable)
    if isinstance(error, hub_errors.LocalEntryNotFoundError | ValueError) and isinstance(error.__cause__, Exception):
        return _explain(error.__cause__, what, variable)  # "not in the cache", said of a Hub that could not be asked
    if isinstance(error, hub_errors.HFValidationError):
        return Failure(SettingsError(f"{variable} holds no valid repository name.", "A name on the Hub is written org/name."))
    reason = next((reason for kind, reason in _PASSING_ERRORS.items() if isinstance(error, kind)), None)
    if reason is None and (isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno is not None)):
        return Failure(as_job_error(error))
    return passing(what, reason or f"the transfer broke off ({type(error).__name__})")


def _explain_answer(response: httpx2.Response, what: str, variable: str) -> Failure:
    if urlsplit(str(response.url)).netloc != urlsplit(constants.ENDPOINT).netloc:
        # A signed address of the file server, which expires; the next attempt gets a fresh one.
        return passing(what, f"the Hub's file server answered {response.status_code}")
    return Failure(refusal(response.status_code, response.headers.get("X-Error-Code"), variable))
