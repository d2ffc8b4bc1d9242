"""Fetch: model, data and the checkpoint to continue from, once per node, verified, before any process starts."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job import run_dir as run_dirs
from job.errors import DataError, DeniedError, JobError, SettingsError
from job.records import FetchedInputs, InputSource
from job.settings import resolved
from job.stages import base_model
from job.stages.agreement import agree_on_inputs
from job.stages.context import RunContext, digest
from job.storage import hub, snapshot, transfer, uri
from job.storage.options import StoreOptions
from job.storage.resume import ResumePoint

logger = logging.getLogger(__name__)

SPLITS = ("train", "eval", "test")


def fetch(context: RunContext) -> FetchedInputs:
    """Bring everything from outside onto this node's disk.

    What came from the Hub and is there already stays, because a commit there never changes; files are fetched anew, because they
    may have.  Where a checkpoint is continued, branches on the Hub stay at the commits that the run began with.
    """
    with context.stop.interruptible():
        resumed = _checkpoint(context)
        pinned = resumed.manifest.extra["sources"] if resumed else {}
        sources = _sources(context, pinned)
        main = agree_on_inputs(context, resumed, sources)
        if any(source.revision != main.get(role, {}).get("revision") for role, source in sources.items()):
            # A branch moved on between two nodes' looks at it.
            sources = _sources(context, main)
    fetched = FetchedInputs(
        sources={role: source.as_dict() for role, source in sources.items()},
        resumed_step=resumed.step if resumed else None,
        resumed_data_fingerprint=resumed.manifest.data_fingerprint if resumed else "",
    )
    fetched.write(context.run_dir.marker("fetch"))
    return fetched


def _sources(context: RunContext, pinned: Mapping[str, Any]) -> dict[str, InputSource]:
    """Model and data, fetched; from the Hub at the pinned commits."""
    sources = _models(context, pinned)
    for split in SPLITS:
        uris = getattr(context.settings.data, f"{split}_uri")
        if uris:
            sources[f"data/{split}"] = _data(context, split, uris, pinned.get(f"data/{split}", {}))
        else:
            # An earlier start may have had one: what lists it decides what is prepared.
            context.run_dir.input_data(split).with_suffix(".json").unlink(missing_ok=True)
    return sources


def _checkpoint(context: RunContext) -> ResumePoint | None:
    shutil.rmtree(context.run_dir.checkpoints, ignore_errors=True)
    expected = {"settings_fingerprint": resolved.fingerprint(context.settings)}
    found = context.attempt.find_resume(context.run_dir.input_checkpoint, expected)
    if found is not None:
        logger.info("continues from the checkpoint of step %d", found.step, extra={"resumed_step": found.step})
    if found is None and context.run_dir.input_checkpoint.is_dir():
        shutil.rmtree(context.run_dir.input_checkpoint)  # of another store, or of a run that was removed from this one
    return found


def _models(context: RunContext, pinned: Mapping[str, Any]) -> dict[str, InputSource]:
    """``model``, and where ``JOB_MODEL__URI`` is an adapter, ``adapter`` and as ``model`` the base that it belongs to."""
    settings, run_dir = context.settings.model, context.run_dir
    # Whatever it was at a former start of this run it will be again: so the base, which may be large, stays where it is.
    first = run_dir.input_adapter if run_dir.input_adapter.is_dir() else run_dir.input_model
    files = snapshot.MODEL_CONFIG_FILES if settings.from_config else snapshot.MODEL_FILES
    role = "adapter" if "adapter" in pinned else "model"
    asked = _Model("JOB_MODEL__URI", settings.uri, settings.revision, files, pinned.get(role, {}))
    found = _model(context, asked, first)
    if base_model.is_adapter(first):
        _move(first, run_dir.input_adapter)
        return {"adapter": found, "model": _base(context, pinned.get("model", {}))}
    if settings.base_uri is not None:
        raise SettingsError(
            "JOB_MODEL__BASE_URI is given, and JOB_MODEL__URI holds a whole model, not an adapter.", "Leave one of the two out."
        )
    _move(first, run_dir.input_model)
    return {"model": found}


def _base(context: RunContext, pinned: Mapping[str, Any]) -> InputSource:
    """The model that the fetched adapter is put on."""
    given, folder = context.settings.model.base_uri, context.run_dir.input_model
    if given is not None:
        return _model(context, _Model("JOB_MODEL__BASE_URI", given, None, snapshot.BASE_FILES, pinned), folder)
    place, revision = base_model.recorded_base(context.run_dir.input_adapter)
    try:
        return _model(context, _Model("The adapter's base", place, revision, snapshot.BASE_FILES, pinned), folder)
    except (SettingsError, DataError) as error:
        raise SettingsError(
            f"The base model that the adapter in JOB_MODEL__URI names cannot be had. {error.message}",
            "Give the base's place in JOB_MODEL__BASE_URI.",
        ) from error


@dataclass(frozen=True)
class _Model:
    """A model folder that is wanted: the setting that named it, where, which files, and what the run began with."""

    variable: str
    uri: str
    revision: str | None
    files: tuple[str, ...]
    pinned: Mapping[str, Any]


def _model(context: RunContext, asked: _Model, folder: Path) -> InputSource:
    place = uri.parse(asked.uri)
    revision = asked.revision or place.revision or None

    def get() -> InputSource:
        if place.scheme == "hub":
            if place.repo_type != "model":
                raise SettingsError(f"{asked.variable} names a data set on the Hub.", "Give a model: hf://org/name.")
            repo = hub.HubRepo("model", place.path, asked.pinned.get("revision") or revision)
            return hub.download_snapshot(repo, folder, _hub_options(context, asked.variable, asked.files))
        shutil.rmtree(folder, ignore_errors=True)
        with _named(asked.variable, SettingsError):
            source = transfer.fetch_uri(asked.uri, folder, _options(context), allow=asked.files)
        snapshot.check_usable("model", [path.name for path in folder.iterdir()], asked.files, asked.variable)
        return source

    if place.scheme != "hub":
        _marker(folder).unlink(missing_ok=True)
        return get()
    return _once(Wanted(digest([asked.uri, revision, asked.files]), asked.pinned.get("revision", ""), folder), get)


def _move(folder: Path, to: Path) -> None:
    """Give a fetched folder its place, with the mark of what it is a snapshot of."""
    if folder == to:
        return
    shutil.rmtree(to, ignore_errors=True)
    _marker(to).unlink(missing_ok=True)
    folder.rename(to)
    if _marker(folder).exists():
        _marker(folder).rename(_marker(to))


def _data(context: RunContext, split: str, uris: Sequence[str], pinned: Mapping[str, Any]) -> InputSource:
    folder = context.run_dir.input_data(split)
    places = [uri.parse(text) for text in uris]
    from_hub = [place.scheme == "hub" for place in places]
    variable = f"JOB_DATA__{split.upper()}_URI"
    if any(from_hub) and len(uris) > 1:
        raise SettingsError(
            f"{variable} names a Hub data set beside other sources.", "Give one Hub data set, or files and folders only."
        )

    def get() -> InputSource:
        if from_hub[0]:
            repo = hub.HubRepo("dataset", places[0].path, pinned.get("revision") or places[0].revision or None)
            source = hub.download_snapshot(repo, folder, _hub_options(context, variable, snapshot.DATA_FILES))
        else:
            with _named(variable, DataError):
                source = _files(context, uris, folder)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        listing = {"kind": "hub" if from_hub[0] else "files", "files": files, "uri": list(uris)}
        run_dirs.write_json(folder.with_suffix(".json"), listing)
        return source

    if not from_hub[0]:
        _marker(folder).unlink(missing_ok=True)
        return get()
    return _once(Wanted(digest(list(uris)), pinned.get("revision", ""), folder), get)


def _files(context: RunContext, uris: Sequence[str], folder: Path) -> InputSource:
    """Files and folders from disk or store; of several sources each gets a folder of its own, so that equal names do not meet."""
    shutil.rmtree(folder, ignore_errors=True)
    if len(uris) == 1:
        return transfer.fetch_uri(uris[0], folder, _options(context))
    entries = []
    for number, text in enumerate(uris):
        part = f"source-{number:04d}"
        found = transfer.fetch_tree(text, folder / part, _options(context))
        entries += [dataclasses.replace(entry, path=f"{part}/{entry.path}") for entry in found]
    return transfer.describe(",".join(uris), entries)


@contextlib.contextmanager
def _named(variable: str, unusable: type[JobError]) -> Iterator[None]:
    """Errors about a place say which setting named it; what is not there, or cannot be used, becomes ``unusable``."""
    try:
        yield
    except DataError as error:
        raise unusable(f"{variable}: {error.message}", error.hint) from error
    except (SettingsError, DeniedError) as error:
        raise type(error)(f"{variable}: {error.message}", error.hint) from error


@dataclass(frozen=True)
class Wanted:
    """An input from the Hub: what was asked for, the commit the run is pinned to (empty: none yet), where it lies."""

    request: str
    revision: str
    folder: Path


def _once(wanted: Wanted, get: Callable[[], InputSource]) -> InputSource:
    """Fetch from the Hub unless a former start on this node did, for the same request and at the pinned commit."""
    marker = _marker(wanted.folder)
    if marker.exists() and wanted.folder.is_dir():
        record = run_dirs.read_json(marker)
        if record["request"] == wanted.request and wanted.revision in ("", record["source"]["revision"]):
            return InputSource(**record["source"])
    marker.unlink(missing_ok=True)
    source = get()
    run_dirs.write_json(marker, {"request": wanted.request, "source": source.as_dict()})
    return source


def _marker(folder: Path) -> Path:
    """What says that a folder is a snapshot of the Hub, and which."""
    return folder.with_name(f"{folder.name}.hub.json")


def _options(context: RunContext) -> StoreOptions:
    return StoreOptions(timeout_s=context.settings.limits.store_timeout_s)


def _hub_options(context: RunContext, variable: str, allow: tuple[str, ...]) -> hub.HubOptions:
    token = context.settings.model.hub_token
    return hub.HubOptions(
        token=token.get_secret_value() if token else None,
        timeout_s=context.settings.limits.store_timeout_s,
        allow=allow,
        variable=variable,
    )
