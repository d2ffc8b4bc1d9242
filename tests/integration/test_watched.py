"""A running job as those see it who watch it: Prometheus, which scrapes a port, and Kubeflow's controller, which is told."""

import json
import ssl
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from job import pipeline
from job.cluster.topology import Topology
from job.reporting.status import Status
from tests.support import jobs, tiny
from tests.support.servers.processes import certificate, free_ports


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    """Kubeflow's side, over https: the variables that it sets, and what it was told, as (Authorization, message)."""
    folder, told = tmp_path_factory.mktemp("controller"), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.headers["Authorization"], json.loads(body)["trainerStatus"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    crt, key = certificate(folder)
    (folder / "token").write_text("of the pod\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        about = {"URL": f"https://127.0.0.1:{server.server_port}/status", "CA_CERT": str(crt), "TOKEN": str(folder / "token")}
        yield SimpleNamespace(variables={f"KUBEFLOW_TRAINER_SERVER_{name}": value for name, value in about.items()}, told=told)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def watched(controller, tmp_path_factory):
    """A whole run: what was scraped while it trained, and what the controller was told."""
    folder, port = tmp_path_factory.mktemp("watched"), free_ports(1)
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "train.csv", tiny.sentences(200))
    small = {"TRAIN__MAX_STEPS": "40", "TRAIN__LOG_EVERY_STEPS": "1", "PARALLEL__THREADS_PER_WORKER": "1"}
    process = jobs.start(tiny.environ(folder, METRICS__PORT=str(port), **small) | controller.variables, folder / "log")
    try:
        scraped = _scraped_in_training(port, process)
        assert process.wait(240) == 0, (folder / "log").read_text(errors="replace")
    finally:
        process.kill()
    return SimpleNamespace(scraped=scraped, told=list(controller.told))


def test_prometheus_finds_the_metrics_while_the_job_trains(watched):
    assert {(sample.labels["run"], sample.labels["node"]) for sample in watched.scraped} == {("tiny", "0")}
    values = {sample.name.removeprefix("finetune_job_"): sample.value for sample in watched.scraped}
    assert 1 <= values["step"] <= values["num_steps"] == 40
    assert values["train_loss"] > 0
    assert "exit_code" not in values


def test_kubeflow_is_told_to_the_end(watched):
    assert {authorization for authorization, _ in watched.told} == {"Bearer of the pod"}
    status = watched.told[-1][-1]
    assert (status["progressPercentage"], status["estimatedRemainingSeconds"]) == (100, 0)
    metrics = {metric["name"]: float(metric["value"]) for metric in status["metrics"]}
    assert metrics["step"] == 40
    assert metrics["train_loss"] > 0


@pytest.mark.parametrize(("rank", "num_told"), [(0, 1), (1, 0)])
def test_kubeflow_is_told_by_the_main_node_alone(controller, tmp_path, rank, num_told):
    """The others have no metrics, and what they told would replace what the main node has."""
    controller.told.clear()
    crew = SimpleNamespace(topology=Topology(2, rank, 1, 1, "cpu"))
    context = SimpleNamespace(settings=tiny.settings(tmp_path), progress=SimpleNamespace(status=Status()), crew=crew)
    with pipeline._watched(context, controller.variables):
        pass
    assert len(controller.told) == num_told


def _scraped_in_training(port: int, process: subprocess.Popen[bytes]):
    """The samples of the first scrape that has a loss."""
    found = []

    def trains():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
                families = text_string_to_metric_families(reply.read().decode())
        except OSError:  # it does not listen yet
            return False
        found[:] = [sample for family in families for sample in family.samples]
        return any(sample.name == "finetune_job_train_loss" for sample in found)

    jobs.wait_for(trains, process)
    return found
