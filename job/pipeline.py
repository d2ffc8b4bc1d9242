"""The whole job on one screen: settings → store → fetch → prepare → train → evaluate → publish → exit code."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping

from job import run_dir as run_dirs
from job.cluster import launch, topology
from job.cluster.stop import StopRequest
from job.cluster.supervise import Crew
from job.errors import COMPLETE, JobError, as_job_error
from job.records import PublishedRun
from job.reporting import logs, summary
from job.reporting.masking import Masker
from job.reporting.progress import Progress
from job.run_dir import RunDir
from job.settings import resolved, root
from job.settings.root import Settings
from job.settings.secret_values import secret_values
from job.stages import ending
from job.stages.context import RunContext
from job.stages.evaluate import evaluate
from job.stages.feasibility import check_method
from job.stages.fetch import fetch
from job.stages.prepare import prepare
from job.stages.publish import publish
from job.stages.share import share, share_again
from job.stages.start import start_attempt
from job.stages.train import train

logger = logging.getLogger(__name__)


def main(environ: Mapping[str, str]) -> int:
    """Run the job once and return its exit code (``docs/exit_codes.md``).

    Args:
        environ: the environment.
    """
    started = time.monotonic()
    try:
        settings = root.load(environ)
    except JobError as error:
        return ending.report(error, ending.Scene("settings"))
    secrets = secret_values(settings, environ)
    logs.setup(settings.run.log_format, sys.stderr, {"run": settings.run.name}, secrets)
    scene = ending.Scene("start", masker=Masker.of(secrets))
    deadline = None if settings.run.time_limit_s is None else started + settings.run.time_limit_s - settings.run.grace_s

    def start() -> int:
        run_dir = RunDir(settings.run.dir.resolve() / settings.run.name)
        stop = StopRequest(run_dir.stop, deadline)
        with run_dirs.exclusive(run_dir), stop.listening():
            scene.run_dir = run_dir
            # Reported while signals are still heard: a second SIGTERM must not end the process without its exit code.
            return _reported(scene, lambda: _run(settings, run_dir, stop, environ, scene))

    return _reported(scene, start)


def _reported(scene: ending.Scene, action: Callable[[], int]) -> int:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - whatever ends the job is turned into its exit code, here and only here
        return ending.report(as_job_error(error), scene)


def _run(settings: Settings, run_dir: RunDir, stop: StopRequest, environ: Mapping[str, str], scene: ending.Scene) -> int:
    """The stages, in the order the data flows."""
    run_dir.failure.unlink(missing_ok=True)
    launch.end_leftovers(run_dir.root)  # first: as long as one lives, it writes here
    run_dir.clear_temporary()
    run_dirs.require_room(run_dir.root, settings.limits.min_free_bytes)
    shape = topology.resolve(settings.parallel, topology.available_cores(), topology.visible_gpus(environ))
    check_method(settings, shape.device)
    crew = Crew(run_dir, shape, stop, environ, settings.limits.stall_timeout_s)
    run_dirs.write_json(run_dir.settings, resolved.dump(settings))
    with stop.interruptible():
        attempt = start_attempt(settings)
    if attempt is None:
        if not share_again(settings, run_dir, stop):
            logger.info("run %s is complete already; nothing to do", settings.run.name)
        return COMPLETE
    scene.attempt = attempt
    context = RunContext(settings, run_dir, attempt, crew, Progress(sys.stderr, settings.run.log_format))
    published = _stages(context, scene)
    share(context)
    with contextlib.suppress(OSError):  # nobody may be listening any more; the run is complete all the same
        sys.stdout.write(summary.render(published, run_dir.report))
        sys.stdout.flush()
    return COMPLETE


def _stages(context: RunContext, scene: ending.Scene) -> PublishedRun:
    with scene.stage(context, "fetch"):
        fetched = fetch(context)
    with scene.stage(context, "prepare"):
        prepared = prepare(context, fetched)
    with scene.stage(context, "train"):
        trained = train(context, prepared)
    with scene.stage(context, "evaluate"):
        scored = evaluate(context, trained)
    with scene.stage(context, "publish"):
        return publish(context, fetched, scored, scene.timings)
