import json
import os
import sys
import time
import types

import pytest

from job import cli
from job.errors import StopRequested
from job.run_dir import RunDir, path_of
from job.settings import root
from tests.support.environments import MINIMAL


@pytest.fixture
def commands(monkeypatch):
    """The pipeline and the demo, replaced by something that remembers the call."""
    calls = []
    pipeline, demo = types.ModuleType("job.pipeline"), types.ModuleType("job.demo.run")
    pipeline.main = lambda environ: calls.append(("run", environ)) or 75
    demo.main = lambda environ: calls.append(("demo", environ)) or 0
    monkeypatch.setitem(sys.modules, "job.pipeline", pipeline)
    monkeypatch.setattr("job.pipeline", pipeline, raising=False)
    monkeypatch.setitem(sys.modules, "job.demo.run", demo)
    monkeypatch.setattr("job.demo.run", demo, raising=False)
    return calls


@pytest.mark.parametrize(("argv", "code", "called"), [([], 75, "run"), (["run"], 75, "run"), (["demo"], 0, "demo")])
def test_run_is_the_default_and_exit_codes_come_through(argv, code, called, commands):
    assert cli.main(argv, MINIMAL) == code
    assert commands == [(called, MINIMAL)]


def test_run_does_not_get_as_far_as_the_pipeline_with_a_wrong_setting(commands, capsys):
    assert cli.main(["run"], MINIMAL | {"JOB_TRAIN__EPOCHS": "many"}) == 64
    assert not commands
    record = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (record["code"], record["name"], record["stage"]) == (64, "settings", "settings")


def test_an_error_is_said_in_words_and_becomes_its_code(commands, monkeypatch, capsys):
    def stopped(environ):
        raise StopRequested("Stopped as asked.", "Start it again.")

    monkeypatch.setattr("job.pipeline.main", stopped)
    assert cli.main(["run"], MINIMAL) == 75
    assert capsys.readouterr().err == "Stopped as asked.\nStart it again.\n"


@pytest.mark.parametrize("argv", [["train"], ["settings", "--format", "toml"], ["run", "--fast"]])
def test_a_wrong_command_line_is_a_wrong_setting(argv, capsys):
    assert cli.main(argv, MINIMAL) == 64
    assert "--help` shows what is possible" in capsys.readouterr().err


def test_alive(tmp_path, capsys):
    environ = MINIMAL | {"JOB_RUN__DIR": str(tmp_path), "JOB_LIMITS__ALIVE_TIMEOUT_S": "60"}
    assert cli.main(["alive"], environ) == 1
    assert "No node process of the run first" in capsys.readouterr().out
    sign = tmp_path / "first" / "alive"
    sign.parent.mkdir()
    sign.touch()
    assert cli.main(["alive"], environ) == 0
    os.utime(sign, (0, time.time() - 100))
    assert cli.main(["alive"], environ) == 1
    assert "100 s old; 60 s are allowed" in capsys.readouterr().out
    assert cli.main(["alive"], {}) == 64


def test_each_node_has_a_sign_of_life_of_its_own(tmp_path):
    """As a pod of a JobSet is asked, whose probe knows the node by the container's variables alone."""
    environ = MINIMAL | {
        "JOB_RUN__DIR": str(tmp_path),
        "PET_NNODES": "2",
        "PET_MASTER_ADDR": "first-0.nodes",
        "PET_MASTER_PORT": "29500",
    }
    sign = RunDir(path_of(tmp_path, "first", 1)).alive
    sign.parent.mkdir()
    sign.touch()
    assert cli.main(["alive"], environ | {"PET_NODE_RANK": "1"}) == 0
    assert cli.main(["alive"], environ | {"PET_NODE_RANK": "0"}) == 1


def test_check(capsys):
    assert cli.main(["check"], MINIMAL) == 0
    assert capsys.readouterr().out.startswith("The settings are right. Run first, fingerprint ")
    assert cli.main(["check"], {}) == 64
    assert "JOB_RUN__NAME is missing" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "schema", "env", "resolved"])
def test_settings_in_every_form(form, capsys):
    assert cli.main(["settings", "--format", form], MINIMAL | {"JOB_MODEL__HUB_TOKEN": "hf_sesame"}) == 0
    out = capsys.readouterr().out
    assert "sesame" not in out
    assert set(json.loads(out)["properties"]) == set(root.Settings.model_fields) if form == "schema" else "JOB_TRAIN__EPOCHS" in out


def test_settings_can_be_read_about_while_one_is_wrong():
    assert cli.main(["settings"], {"JOB_TYPO": "1"}) == 0
    assert cli.main(["settings", "--format", "resolved"], {"JOB_TYPO": "1"}) == 64
