"""Where something lies, read from what a user writes in a setting."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from job.errors import SettingsError

Scheme = Literal["file", "s3", "hub"]
RepoType = Literal["model", "dataset"]

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_REPO_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB_NAME = re.compile(rf"(?!.*(?:--|\.\.)){_REPO_PART}/{_REPO_PART}")
_HUB_URI = re.compile(
    rf"(?:(?P<kind>datasets|models)/)?(?P<name>(?:{_REPO_PART}/)?{_REPO_PART})(?:@(?P<revision>[A-Za-z0-9._/-]+))?"
)
_FORMS = "Use a path, file:///folder, s3://bucket/prefix, hf://org/name@revision, hf://datasets/org/name@revision or org/name."


@dataclass(frozen=True)
class Location:
    """A parsed URI.

    ``path`` is a local path, the prefix within ``bucket`` (no slash at either end, may be empty), or the repository's name.
    ``revision`` and ``repo_type`` say something for the Hub only; a bare ``org/name`` does not tell its type and counts as a model.
    """

    uri: str
    scheme: Scheme
    path: str
    bucket: str = ""
    revision: str = ""
    repo_type: RepoType = "model"

    def split(self) -> tuple[Location, str]:
        """The location of the parent, and the last part: a store and what to look for in it (all of it: empty).

        A pattern is split before its first wildcard, unless a local file of just that name exists.
        """
        if not self.path or (self.scheme == "file" and Path(self.path).is_dir()):
            return self, ""
        is_literal = self.scheme == "file" and Path(self.path).exists()
        parts = self.path.split("/")
        wild = len(parts) - 1 if is_literal else next((i for i, part in enumerate(parts) if WILDCARD.search(part)), len(parts) - 1)
        parent = "/".join(parts[:wild])
        if self.scheme == "file":
            parent = parent or ("/" if self.path.startswith("/") else ".")
        return Location(self.uri, self.scheme, parent, self.bucket), "/".join(parts[wild:])


WILDCARD = re.compile(r"[*?\[]")


def parse(uri: str) -> Location:
    """Read a URI, a local path or a Hub name.

    ``org/name`` is a Hub name when nothing of that name exists here; ``./x`` and ``/x`` are always local.

    Raises:
        SettingsError: when it is none of these.
    """
    if not uri.strip() or any(ord(character) < 32 for character in uri):
        raise SettingsError("A location is empty or holds control characters.", _FORMS)
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _bare(uri)
    if scheme not in _PARSERS:
        raise SettingsError(f"A location begins with {_shown(scheme)}://, which is no store this job knows.", _FORMS)
    return _PARSERS[scheme](uri, rest)


def _bare(uri: str) -> Location:
    if uri.startswith("~"):
        raise SettingsError(f"The path {_shown(uri)} begins with ~, which only a shell expands.", "Write the path in full.")
    if _HUB_NAME.fullmatch(uri) and not Path(uri).exists():
        return Location(uri, "hub", uri)
    return Location(uri, "file", _tidy(uri))


def _file(uri: str, rest: str) -> Location:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise SettingsError(f"The location {_shown(uri)} names a host.", "A local folder has three slashes: file:///folder.")
    decoded = unquote(path)
    if "\0" in decoded:
        raise SettingsError("A file:// location holds a NUL character.", _FORMS)
    return Location(uri, "file", _tidy("/" + decoded))


def _s3(uri: str, rest: str) -> Location:
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"The location {_shown(uri)} has no valid bucket name.",
            "Write s3://bucket/prefix; keys and tokens belong in AWS_* variables.",
        )
    prefix = prefix.rstrip("/")
    if prefix and (any(part in {"", ".", ".."} for part in prefix.split("/")) or "\\" in prefix):
        raise SettingsError(f"The location {_shown(uri)} has an empty part, '.', '..' or a backslash in its prefix.", _FORMS)
    return Location(uri, "s3", prefix, bucket)


def _hub(uri: str, rest: str) -> Location:
    found = _HUB_URI.fullmatch(rest)
    if not found or "--" in found["name"] or ".." in rest:
        raise SettingsError(
            f"The location {_shown(uri)} is no Hub repository.",
            "Write hf://org/name, hf://datasets/org/name, with @revision at will.",
        )
    repo_type: RepoType = "dataset" if found["kind"] == "datasets" else "model"
    return Location(uri, "hub", found["name"], revision=found["revision"] or "", repo_type=repo_type)


_PARSERS: dict[str, Callable[[str, str], Location]] = {"file": _file, "s3": _s3, "hf": _hub}


def _tidy(path: str) -> str:
    return path.rstrip("/") or "/"


def _shown(uri: str) -> str:
    """The URI for a message, unless it may carry a secret."""
    return "given" if "@" in uri or "?" in uri else uri
