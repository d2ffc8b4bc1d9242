import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from job import __main__, cli


@pytest.fixture(autouse=True)
def _handlers():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_arguments_environment_and_exit_code_are_handed_through(monkeypatch):
    seen = {}
    monkeypatch.setattr(cli, "main", lambda argv, environ: seen.update(argv=argv, path=environ.get("PATH")) or 75)
    monkeypatch.setattr(sys, "argv", ["job", "settings"])
    monkeypatch.setenv("PATH", "somewhere")
    assert __main__.main() == 75
    assert seen == {"argv": ["settings"], "path": "somewhere"}


def test_a_stop_before_anything_is_imported_is_a_stop(tmp_path):
    """Of what the commands import, the first thing is replaced by something that waits for the signal."""
    (tmp_path / "argparse.py").write_text("import os, time; os.write(1, b'.')\nwhile True: time.sleep(0.01)\n")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__main__.__file__).parents[1]}"}
    command = [sys.executable, "-m", "job"]
    process = subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1) == b"."
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 75, told
    assert told.startswith(b"Stopped on request (SIGTERM) before anything was begun.")
