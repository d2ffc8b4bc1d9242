"""The attempt's status in Prometheus' text format: on a port, or as a file for node_exporter."""

from __future__ import annotations

import logging
import math
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from job.reporting.status import Status
from job.settings.metrics import MetricsSettings

logger = logging.getLogger(__name__)
PREFIX = "finetune_job_"
WRITE_EVERY_S = 15.0
CLIENT_TIMEOUT_S = 5
STAGES = ("start", "fetch", "prepare", "train", "evaluate", "publish")


class StatusCollector(Collector):
    """Makes the metrics of a status whenever they are asked for.

    Args:
        status: read, never written.
        labels: on every metric: run, node.
    """

    def __init__(self, status: Status, labels: Mapping[str, str]) -> None:
        self._status = status
        self._names, self._labels = list(labels), list(labels.values())

    def collect(self) -> Iterator[Metric]:
        """Stage, the newest metrics, commits, uploads, and once there is one, the exit code."""
        status = self._status
        stage = GaugeMetricFamily(f"{PREFIX}stage", "1 for the stage the attempt is in.", labels=[*self._names, "stage"])
        for name in STAGES:
            stage.add_metric([*self._labels, name], float(name == status.stage))
        yield stage
        for name, value in sorted(status.values.items()):
            yield self._gauge(_spelled(name), f"The newest {name}.", value)
        yield self._gauge("last_commit_step", "Step of the newest committed checkpoint.", status.committed_step)
        yield self._gauge("last_commit_timestamp_seconds", "When it was committed.", status.committed_at)
        yield self._gauge("upload_seconds", "Duration of the newest upload of a checkpoint.", status.upload_s)
        yield self._counter("uploads", "Checkpoints uploaded and committed by this attempt.", status.num_uploads)
        yield self._counter("upload_failures", "Uploads of checkpoints that failed.", status.num_failed_uploads)
        yield self._gauge("exit_code", "How the attempt ended; absent while it runs.", status.exit_code)

    def _gauge(self, name: str, text: str, value: float | None) -> Metric:
        metric = GaugeMetricFamily(PREFIX + name, text, labels=self._names)
        if value is not None:
            metric.add_metric(self._labels, value if math.isfinite(value) else math.nan)
        return metric

    def _counter(self, name: str, text: str, value: int) -> Metric:
        metric = CounterMetricFamily(PREFIX + name, text, labels=self._names)
        metric.add_metric(self._labels, value)
        return metric


@contextmanager
def exported(settings: MetricsSettings, status: Status, labels: Mapping[str, str], thread_prefix: str) -> Iterator[None]:
    """Serve and write the metrics while inside, as the settings say.  That it cannot be done is a warning and ends nothing.

    Args:
        settings: port and file.
        status: what is told.
        labels: on every metric.
        thread_prefix: beginning of the names of the threads that do it.
    """
    registry = CollectorRegistry()
    registry.register(StatusCollector(status, labels))
    over = threading.Event()
    threads = []
    if settings.port is not None:
        threads += _serving(settings.port, registry, over, thread_prefix)
    if settings.textfile is not None:
        threads.append(_thread(f"{thread_prefix}textfile", _write_until, settings.textfile, registry, over))
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


class _DualStack(WSGIServer):
    """Listens on IPv6 and IPv4: in a cluster of one family, a pod has addresses of that one only.

    Not `prometheus_client.start_http_server`: both families are heard there only where that is the machine's default, and its threads
    have names of their own, by which each scrape would count as a sign of life of the job (`job.cluster.alive`).
    """

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        """Bind; IPv4 comes in, too, whatever the machine's default is."""
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Quiet(WSGIRequestHandler):
    """Answers and says nothing; a client that says nothing either is not waited for long."""

    timeout = CLIENT_TIMEOUT_S

    def log_message(self, *_: object) -> None:
        """A scrape is no event."""


def _serving(port: int, registry: CollectorRegistry, over: threading.Event, prefix: str) -> list[threading.Thread]:
    family = _DualStack if socket.has_dualstack_ipv6() else WSGIServer
    try:
        server = make_server("", port, make_wsgi_app(registry), family, _Quiet)
    except OSError as error:
        logger.warning("metrics are not served: port %d cannot be taken (%s)", port, error.strerror)
        return []
    server.timeout = 0.5

    def serve() -> None:
        with server:
            while not over.is_set():
                server.handle_request()

    return [_thread(f"{prefix}metrics", serve)]


def _write_until(path: Path, registry: CollectorRegistry, over: threading.Event) -> None:
    failed = last = False
    while True:
        try:
            write_to_textfile(str(path), registry)
        except OSError as error:
            if not failed:
                logger.warning("metrics are not written: %s", error)
            failed = True
        if last:
            return
        last = over.wait(WRITE_EVERY_S)


def _thread(name: str, target: object, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def _spelled(name: str) -> str:
    """``train/loss`` → ``train_loss``."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
