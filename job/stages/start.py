"""Start: see that nothing of the user's lies in the way, try the store, read the run's history, and take the run over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from job.cluster.group import NodeGroup
from job.cluster.meeting import Patience, meet
from job.cluster.nodes import NodePlace
from job.cluster.supervise import Crew
from job.errors import HopelessError, SettingsError, UnusableError
from job.settings import resolved, root
from job.settings.root import Settings
from job.stages.agreement import agree_on_start
from job.stages.share import check_access
from job.storage import uri
from job.storage.commit import Attempt, RunLog
from job.storage.log import LogEntry
from job.storage.options import StoreOptions
from job.storage.probe import probe
from job.storage.retention import fruitless_attempts, fruitless_stops, live_commits
from job.storage.stores import open_store

logger = logging.getLogger(__name__)
_SHOWN = 8
SCORING = ("evaluate", "publish")
"""The stages after training, as a stop's record names them."""


def gather(settings: Settings, crew: Crew, place: NodePlace) -> NodeGroup | None:
    """Meet the other nodes and see that all were started alike; None when the run is complete already, and nobody may come any more.

    Raises:
        SettingsError: the nodes were started with different settings, code or shape.
        UnavailableError: they did not all come.
    """
    if place.num_nodes == 1:
        return NodeGroup()
    _check_places(settings)
    log = _run_log(settings)
    if _is_complete(settings, log.read()):
        return None
    patience = Patience(settings.parallel.rendezvous_timeout_s, settings.parallel.node_timeout_s)
    return meet(settings.run.name, place, patience, crew.stop)


def start_attempt(settings: Settings, crew: Crew, begun: Callable[[Attempt], None] | None = None) -> Attempt | None:
    """Begin an attempt, together with the other nodes; None when the run is complete already.

    The main node appends ``started`` to the run's history, the others join in what it has begun.  ``begun`` is told of it at once: what
    goes wrong before this returns is an end of the attempt already, and the history has to say how it ended.

    Raises:
        SettingsError: the store cannot keep the protocol's promises, a place lies within the run directory, or the finished run was
            made with other settings.
        HopelessError: attempt after attempt ended without a commit.
        UnusableError: there are checkpoints, and none was made with these settings.
        DeniedError, UnavailableError: as met.
    """
    _check_places(settings)
    agree_on_start(settings, crew)
    log = _run_log(settings)
    probe(log.store, settings.run.name).require(fenced=log.fenced)
    group = crew.group
    own = _begin(settings, log, begun) if group.is_main else None
    nonce = group.exchange("attempt", own.nonce if own else "", crew.stop.check)[0]
    return own if group.is_main or not nonce else log.join(nonce)


def _run_log(settings: Settings) -> RunLog:
    store = open_store(settings.output.uri, StoreOptions(timeout_s=settings.limits.store_timeout_s))
    return RunLog(store, settings.run.name, settings.output.fence == "required")


def _is_complete(settings: Settings, entries: Sequence[LogEntry]) -> bool:
    # Before the run is taken over: a start with a wrong setting must not fence off an attempt that is well under way.
    _check_same_settings(settings, entries)
    return any(entry.kind == "complete" for entry in entries)


def _begin(settings: Settings, log: RunLog, begun: Callable[[Attempt], None] | None) -> Attempt | None:
    """Append ``started``, unless the run is complete or nothing can come of another attempt; None when there is nothing left to do."""
    entries = log.read()
    if _is_complete(settings, entries):
        return None
    _check_hope(settings, entries)
    check_access(settings)
    if entries:
        logger.info("run %s has %d log entries; taking it over", settings.run.name, len(entries))
    own = log.start(
        resolved.fingerprint(settings),
        {"task": settings.task, "settings": resolved.result_settings(settings), "places": resolved.places(settings)},
        begun,
    )
    published = next((entry for entry in reversed(own.entries) if entry.kind == "published"), None)
    if published is None:
        return own
    # An attempt ended between the last two entries.  What it published is the result: once more would leave two models.
    if not any(entry.kind == "complete" for entry in own.entries):
        own.complete(published.fields.get("result"))
    return None


def _check_hope(settings: Settings, entries: Sequence[LogEntry]) -> None:
    """Attempts that lead nowhere are not made for ever: a scheduler that retries a stop for free knows no end of its own."""
    name, limits = settings.run.name, settings.limits
    failed, stopped = fruitless_attempts(entries), fruitless_stops(entries)
    if 0 < limits.max_fruitless_attempts <= failed:
        raise HopelessError(
            f"The last {failed} attempts at the run {name} ended without a new commit; another would end the same way.",
            "Read their failure records below attempts/ in the store. Once the cause is gone, JOB_LIMITS__MAX_FRUITLESS_ATTEMPTS=0 goes on.",
        )
    if 0 < limits.max_fruitless_stops <= stopped:
        raise HopelessError(*_never_enough_time(name, stopped, entries))


def _never_enough_time(name: str, stopped: int, entries: Sequence[LogEntry]) -> tuple[str, str]:
    """Message and hint for a run that is stopped again and again; an evaluation is not saved half-way, as training is."""
    last = next(entry for entry in reversed(entries) if entry.kind == "stopped")
    go_on = "then JOB_LIMITS__MAX_FRUITLESS_STOPS=0 goes on."
    if last.fields.get("stage") in SCORING:
        return (
            f"The run {name} is trained, and was stopped {stopped} times in a row before the model was scored; one attempt must do that.",
            f"Give an attempt more time, or score with more workers (JOB_PARALLEL__WORKERS_PER_NODE); {go_on}",
        )
    return (
        f"The run {name} was stopped {stopped} times in a row before anything was committed: it never gets the time it needs.",
        f"Give an attempt more time, or save more often (JOB_CHECKPOINT__EVERY_MINUTES); {go_on}",
    )


def _check_places(settings: Settings) -> None:
    """The run directory is the job's own, parts of it are emptied at every start: nothing of the user's may lie there."""
    run_dir = settings.run.dir.resolve() / settings.run.name
    hint = "Choose another JOB_RUN__DIR, or put it elsewhere."
    for variable, path in _local_inputs(settings):
        if path.is_relative_to(run_dir):
            raise SettingsError(f"{variable} lies within the run directory {run_dir}, which is emptied at every start.", hint)
        if variable.startswith("JOB_DATA__") and run_dir.is_relative_to(path) and path.is_dir():
            raise SettingsError(
                f"{variable} is a folder with the run directory {run_dir} in it, which would be read as data.", hint
            )
    output = uri.parse(settings.output.uri)
    if output.scheme == "file":
        store = Path(output.path).resolve() / settings.run.name
        if store.is_relative_to(run_dir) or run_dir.is_relative_to(store):
            raise SettingsError(
                f"JOB_OUTPUT__URI and JOB_RUN__DIR lead to the same folder {run_dir}: the one is kept, the other is scratch.",
                "Choose another JOB_RUN__DIR or JOB_OUTPUT__URI.",
            )


def _local_inputs(settings: Settings) -> Iterator[tuple[str, Path]]:
    """(variable, path) of every input on this machine's disk; a pattern counts as if it were a path."""
    data = settings.data
    given: dict[str, tuple[str, ...]] = {
        "JOB_MODEL__URI": (settings.model.uri,),
        "JOB_MODEL__BASE_URI": (settings.model.base_uri,) if settings.model.base_uri else (),
        "JOB_DATA__TRAIN_URI": data.train_uri,
        "JOB_DATA__EVAL_URI": data.eval_uri,
        "JOB_DATA__TEST_URI": data.test_uri,
    }
    for variable, uris in given.items():
        for place in map(uri.parse, uris):
            if place.scheme == "file":
                yield variable, Path(place.path).resolve()


def _check_same_settings(settings: Settings, entries: Sequence[LogEntry]) -> None:
    """What was trained, or finished, with other settings is not continued; which ones differ is said by name."""
    made_by = {entry.nonce: entry for entry in entries if entry.kind == "started"}
    complete = [entry for entry in entries if entry.kind in ("published", "complete")][-1:]
    kept = [made_by[entry.nonce] for entry in complete or live_commits(entries) if entry.nonce in made_by]
    if not kept:
        return
    these, those = resolved.result_settings(settings), kept[-1].fields.get("settings", {})
    if complete:
        # A finished run is not prepared again, which would notice other inputs: here their places stand for them.
        these, those = {**these, **resolved.places(settings)}, {**those, **kept[-1].fields.get("places", {})}
    same = these == those if complete else any(entry["settings_fingerprint"] == resolved.fingerprint(settings) for entry in kept)
    if same:
        return
    names = differing(these, those)
    named = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    hint = f"Restore the former value of {named}, or start a new run under another JOB_RUN__NAME."
    if complete:
        raise SettingsError(f"The run {settings.run.name} is complete, and was made with another {named}.", hint)
    raise UnusableError(
        f"The run {settings.run.name} has checkpoints ({len(kept)}), and none can be continued: they were made with another {named}.",
        hint,
    )


def differing(these: dict[str, Any], those: dict[str, Any]) -> list[str]:
    """The variables of the settings whose values are not the same."""
    return [root.variable(*name.split(".")) for name in sorted(these.keys() | those.keys()) if these.get(name) != those.get(name)]
