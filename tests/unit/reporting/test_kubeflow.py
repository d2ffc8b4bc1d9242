"""Against a small server of our own that keeps what it is told."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from job.reporting import kubeflow
from job.reporting.kubeflow import Trainer
from job.reporting.status import Status


@pytest.fixture
def controller():
    """(URL, what it was told): pairs of Authorization header and message; ``told.code`` is what it answers, None no HTTP at all."""

    class Told(list):
        code = 200

    told = Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.headers["Authorization"], json.loads(body)))
            if told.code is None:
                self.wfile.write(b"SSH-2.0-OpenSSH\r\n")
                return
            self.send_response(told.code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/status", told
        server.shutdown()
        thread.join()


def test_outside_of_kubeflow_there_is_nobody_to_tell():
    assert Trainer.of({"JOB_RUN__NAME": "x"}) is None
    with kubeflow.told(None, Status(), "x"):
        assert not [thread for thread in threading.enumerate() if thread.name == "x"]


@pytest.mark.parametrize("prefix", ["KUBEFLOW_TRAINER_SERVER_", "KUBEFLOW_TRAINER_STATUS_"])
def test_both_names_are_known(prefix):
    environ = {f"{prefix}URL": "https://x", f"{prefix}CA_CERT": "/ca", f"{prefix}TOKEN": "/token"}
    assert Trainer.of(environ) == Trainer("https://x", Path("/ca"), Path("/token"))
    assert Trainer.of({f"{prefix}URL": "https://x"}) == Trainer("https://x", None, None)


def test_the_message():
    status = Status()
    assert kubeflow.message(status)["trainerStatus"].keys() == {"lastUpdatedTime"}
    status.update({"step": 0, "num_steps": 200, "train/loss": 0.25}, time.monotonic() - 10)
    status.update({"step": 50}, time.monotonic())
    said = kubeflow.message(status)["trainerStatus"]
    assert said["progressPercentage"] == 25
    assert 25 <= said["estimatedRemainingSeconds"] <= 35
    assert {"name": "train_loss", "value": "0.25"} in said["metrics"]
    status.update({"step": 200}, time.monotonic())
    assert kubeflow.message(status)["trainerStatus"]["progressPercentage"] == 99, "trained is not yet published"
    status.exit_code = 0
    said = kubeflow.message(status)["trainerStatus"]
    assert (said["progressPercentage"], said["estimatedRemainingSeconds"]) == (100, 0)


def test_it_is_told_again_and_again_with_the_token_of_the_day(controller, tmp_path):
    url, told = controller
    token = tmp_path / "token"
    token.write_text("monday\n")
    status = Status()
    with kubeflow.told(Trainer(url, None, token), status, "service-kubeflow", every_s=0.02):
        wait_for(told, 1)
        token.write_text("tuesday")
        wait_for(told, len(told) + 2)
        status.exit_code = 0
    assert told[0][0] == "Bearer monday"
    assert told[-1][0] == "Bearer tuesday"
    assert told[-1][1]["trainerStatus"]["progressPercentage"] == 100


def test_a_server_that_speaks_something_else_is_told_again(controller, caplog):
    url, told = controller
    told.code = None
    status = Status()
    with kubeflow.told(Trainer(url, None, None), status, "x", every_s=0.02):
        wait_for(told, 3)
        status.exit_code = 0
    assert told[-1][1]["trainerStatus"]["progressPercentage"] == 100
    assert len([message for message in caplog.messages if "does not take this job's progress" in message]) == 1


def test_errors_are_said_once_and_end_nothing(controller, tmp_path, caplog):
    url, told = controller
    told.code = 503
    with kubeflow.told(Trainer(url, None, None), Status(), "x", every_s=0.02):
        wait_for(told, 3)
    with kubeflow.told(Trainer("http://127.0.0.1:9/", None, None), Status(), "x", every_s=0.02):
        pass
    with kubeflow.told(Trainer(url, None, tmp_path / "none"), Status(), "x", every_s=0.02):
        pass
    assert len([message for message in caplog.messages if "does not take this job's progress" in message]) == 3


def test_a_token_that_cannot_be_sent_is_in_no_log(controller, tmp_path, caplog):
    token = tmp_path / "token"
    token.write_text("first line\nsecond line\n")
    with kubeflow.told(Trainer(controller[0], None, token), Status(), "x", every_s=0.02):
        pass
    assert "does not take this job's progress: ValueError" in caplog.text
    assert "line" not in caplog.text.replace("lineno", "")


def wait_for(told, count):
    end = time.monotonic() + 60
    while len(told) < count:
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)
