"""What is printed, compared and sent, with programs that say what they were given in the place of the schedulers' own."""

import json
import stat

import pytest

from job.errors import SettingsError, UnavailableError
from job.submit import send
from tests.support.submissions import asked


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes programs that the tests' path finds first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, text):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    (tmp_path / "slurm").mkdir()
    monkeypatch.setattr(send.shipped, "folder", lambda name: tmp_path / name)


def test_docker_is_shown_as_a_line_for_a_shell(tmp_path, program):
    assert send.show(asked(tmp_path), "docker").text.startswith("docker run --rm ")
    program("podman", "true")
    assert send.show(asked(tmp_path), "docker").text.startswith("podman run --rm ")


def test_a_containers_exit_code_is_the_answer(tmp_path, program):
    program("docker", "exit 75")
    assert send.apply(asked(tmp_path), "docker", {}).exit_code == 75


def test_slurm_gets_the_file_in_its_environment(tmp_path, program, slurm):
    program("sbatch", 'echo "$JOB_SETTINGS_FILE $OTHER $*"')
    shown = send.show(asked(tmp_path), "slurm").text
    sent = send.apply(asked(tmp_path), "slurm", {"OTHER": "other", "PATH": str(tmp_path / "bin")}).text
    assert shown.startswith(f"JOB_SETTINGS_FILE={tmp_path / 'run.env'} sbatch --job-name=finetune-first ")
    assert sent.split()[:2] == [str(tmp_path / "run.env"), "other"]
    assert sent.split()[2:] == shown.split()[2:]


def test_slurms_difference(tmp_path, program, slurm):
    program("squeue", "echo '--nodes=9'")
    lines = send.diff(asked(tmp_path), "slurm").text.splitlines()
    assert lines[0] == "runs: --nodes=9"
    assert "--nodes=1" in lines[1]


def test_dockers_difference_is_image_and_variables(tmp_path, program):
    config = {"Image": "old:1", "Env": ["PATH=/bin", "JOB_RUN__NAME=first", "JOB_TRAIN__EPOCHS=1"]}
    (tmp_path / "config").write_text(json.dumps(config) + "\n")
    program("docker", f'while read -r line; do echo "$line"; done < {tmp_path / "config"}; echo')
    text = send.diff(asked(tmp_path, JOB_TRAIN__EPOCHS="2"), "docker").text
    assert "-image old:1" in text
    assert "-JOB_TRAIN__EPOCHS=1\n" in text
    assert "+JOB_TRAIN__EPOCHS=2\n" in text
    assert "-JOB_RUN__NAME" not in text
    program("docker", "exit 1")
    assert "Nothing of this name runs" in send.diff(asked(tmp_path), "docker").text


def test_kubectls_difference_is_no_failure_and_a_refusal_is_one(tmp_path, program):
    program("kubectl", 'case $1 in kustomize) echo "kind: Job";; diff) read -r line; echo "-$line"; exit 1;; esac')
    assert send.diff(asked(tmp_path), "kubernetes").text == "-kind: Job\n"
    program("kubectl", 'case $1 in kustomize) echo "kind: Job";; diff) echo "field is immutable" >&2; exit 2;; esac')
    with pytest.raises(UnavailableError, match="field is immutable"):
        send.diff(asked(tmp_path), "kubernetes")


def test_kubectl_applies_what_is_rendered(tmp_path, program):
    program("kubectl", 'case $1 in kustomize) echo "kind: Job";; apply) read -r line; echo "$line applied";; esac')
    assert send.apply(asked(tmp_path), "kubernetes", {}).text == "kind: Job applied\n"


def test_a_folder_for_a_repository(tmp_path):
    answer = send.export(asked(tmp_path, SUBMIT_NODES="2"), tmp_path / "out")
    assert answer.text == f"kubectl apply -k {tmp_path}/out/overlays/multi-node"
    assert (tmp_path / "out/base/settings.env").read_text().startswith("JOB_RUN__NAME=first\n")
    with pytest.raises(SettingsError, match="not empty"):
        send.export(asked(tmp_path), tmp_path / "out")


def test_without_the_schedulers_program(tmp_path, program, slurm):
    with pytest.raises(SettingsError, match="sbatch is not on the path"):
        send.apply(asked(tmp_path), "slurm", {})


def test_a_refusal_is_told_in_its_own_words(tmp_path, program, slurm):
    program("sbatch", "echo 'invalid partition' >&2; exit 1")
    with pytest.raises(UnavailableError, match="invalid partition"):
        send.apply(asked(tmp_path, SUBMIT_PARTITION="x"), "slurm", {"PATH": str(tmp_path / "bin")})
