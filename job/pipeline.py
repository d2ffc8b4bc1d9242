"""The whole job on one screen: settings → store → fetch → prepare → train → evaluate → publish → exit code."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from job import run_dir as run_dirs
from job.cluster import alive, launch, nodes, topology
from job.cluster.nodes import NodePlace
from job.cluster.stop import StopRequest, deadline_of
from job.cluster.supervise import Crew
from job.errors import COMPLETE, JobError, as_job_error
from job.records import PublishedRun
from job.reporting import kubeflow, logs, prometheus, summary
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
from job.stages.logs import AttemptLogs, Shipping
from job.stages.prepare import prepare
from job.stages.publish import publish
from job.stages.share import share, share_again
from job.stages.start import gather, start_attempt
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
        place = nodes.resolve(settings.parallel, settings.run.name, environ)
    except JobError as error:
        return ending.report(error, ending.Scene("settings"))
    about = {"node": place.node_rank} if place.num_nodes > 1 else {}
    secrets = secret_values(settings, environ)
    logs.setup(settings.run.log_format, sys.stderr, {"run": settings.run.name, **about}, secrets)
    scene = ending.Scene(
        "start", masker=Masker.of(secrets), termination_log=settings.run.termination_log, grace_s=settings.run.grace_s
    )

    def start() -> int:
        run_dir = RunDir(run_dirs.path_of(settings.run.dir, settings.run.name, place.node_rank))
        stop = StopRequest(run_dir.stop, deadline_of(settings, started, time.time() - time.monotonic()), settings.run.stop_file)
        with run_dirs.exclusive(run_dir), stop.listening(), alive.beating(run_dir.alive):
            scene.run_dir, scene.stop = run_dir, stop
            # Reported while signals are still heard: a second SIGTERM must not end the process without its exit code.
            return _reported(scene, lambda: _run(settings, Start(run_dir, stop, place, environ), scene))

    return _reported(scene, start)


@dataclass(frozen=True)
class Start:
    """What a start is given besides the settings."""

    run_dir: RunDir
    stop: StopRequest
    place: NodePlace
    environ: Mapping[str, str]


def _reported(scene: ending.Scene, action: Callable[[], int]) -> int:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - whatever ends the job is turned into its exit code, here and only here
        if scene.stop is not None:
            scene.stop.armed = False
        return ending.report(as_job_error(error), scene)


def _run(settings: Settings, start: Start, scene: ending.Scene) -> int:
    """The stages, in the order the data flows."""
    run_dir = start.run_dir
    run_dir.failure.unlink(missing_ok=True)
    launch.end_leftovers(run_dir.root)  # first: as long as one lives, it writes here
    run_dir.clear_temporary()
    run_dirs.require_room(run_dir.root, settings.limits.min_free_bytes)
    shape = topology.resolve(settings.parallel, topology.available_cores(), topology.visible_gpus(start.environ), start.place)
    check_method(settings, shape.device)
    crew = Crew(run_dir, shape, start.stop, start.environ, settings.limits.stall_timeout_s, settings.run.grace_s)
    run_dirs.write_json(run_dir.settings, resolved.dump(settings))
    attempt = None
    with start.stop.interruptible():
        group = gather(settings, crew, start.place)
        if group is not None:
            scene.group, crew = group, replace(crew, group=group)
            attempt = start_attempt(settings, crew, scene.begun)
    scene.attempt = attempt
    if attempt is None:
        ending.finish(scene)
        if start.place.node_rank > 0 or not share_again(settings, run_dir, start.stop):
            logger.info("run %s is complete already; nothing to do", settings.run.name)
        return COMPLETE
    scene.logs = AttemptLogs(run_dir)
    logs.add_context(attempt=attempt.number, node=shape.node_rank)
    run_dirs.write_json(run_dir.attempt, {"number": attempt.number, "nonce": attempt.nonce})
    shipping = Shipping(partial(ending.upload_logs, scene))
    context = RunContext(settings, run_dir, attempt, crew, Progress(sys.stderr, settings.run.log_format), shipping.ask)
    with _watched(context, start.environ), shipping.running():
        published = _stages(context, scene)
    ending.finish(scene)
    if published is not None:
        share(context)
        with contextlib.suppress(OSError):  # nobody may be listening any more; the run is complete all the same
            sys.stdout.write(summary.render(published, run_dir.report))
            sys.stdout.flush()
    return COMPLETE


@contextlib.contextmanager
def _watched(context: RunContext, environ: Mapping[str, str]) -> Iterator[None]:
    """Whoever wants to know where the attempt stands is told while inside."""
    settings, status = context.settings, context.progress.status
    node_rank, service = context.crew.topology.node_rank, alive.SERVICE
    labels = {"run": settings.run.name, "node": str(node_rank)}
    # The metrics are the main node's, and the TrainJob has one status: another node would overwrite it with nothing.
    trainer = kubeflow.Trainer.of(environ) if node_rank == 0 else None
    with (
        prometheus.exported(settings.metrics, status, labels, service),
        kubeflow.told(trainer, status, f"{service}kubeflow"),
        status.noting_the_end(),
    ):
        yield


def _stages(context: RunContext, scene: ending.Scene) -> PublishedRun | None:
    """The run as published; None on the nodes that were there for training, once the main node has published it."""
    with scene.stage(context, "fetch"):
        fetched = fetch(context)
    with scene.stage(context, "prepare"):
        prepared = prepare(context, fetched)
    with scene.stage(context, "train"):
        trained = train(context, prepared)
    if trained is None:
        with scene.stage(context, "wait for the main node"):
            context.group.wait_for_main(context.stop.check)
        return None
    with scene.stage(context, "evaluate"):
        scored = evaluate(context, trained)
    with scene.stage(context, "publish"):
        return publish(context, fetched, scored, scene.timings)
