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


def inspected(program, tmp_path, config, *image):
    """A docker that knows one container and its image."""
    (tmp_path / "container").write_text(f"sha256:1 {json.dumps(config)}\n")
    (tmp_path / "image").write_text(json.dumps(image) + "\n")
    show = 'while read -r line; do echo "$line"; done <'
    program("docker", f"case $1 in image) {show} {tmp_path / 'image'};; *) {show} {tmp_path / 'container'};; esac; echo")


def test_dockers_difference_is_image_and_variables(tmp_path, program):
    env = ["PATH=/bin", "JOB_RUN__NAME=first", "JOB_TRAIN__EPOCHS=1", "JOB_TRAIN__LEARNING_RATE=1", "JOB_OUTPUT__HUB_TOKEN=sesame"]
    inspected(program, tmp_path, {"Image": "old:1", "Env": env}, "PATH=/bin")
    text = send.diff(asked(tmp_path, JOB_TRAIN__EPOCHS="2", HF_TOKEN="open it"), "docker").text
    lines = text.splitlines()
    assert {"-image old:1", "-JOB_TRAIN__EPOCHS=1", "+JOB_TRAIN__EPOCHS=2", "-JOB_TRAIN__LEARNING_RATE=1"} <= set(lines)
    assert {"-JOB_OUTPUT__HUB_TOKEN=**********", "+HF_TOKEN=**********"} <= set(lines)
    assert not [word for word in ("sesame", "open it", "-JOB_RUN__NAME", "PATH=/bin") if word in text]
    program("docker", "exit 1")
    assert "Nothing of this name runs" in send.diff(asked(tmp_path), "docker").text


def test_kubectls_difference_is_no_failure_and_a_refusal_is_one(tmp_path, program):
    program("kubectl", 'case $1 in kustomize) echo "kind: Job";; diff) read -r line; echo "-$line"; exit 1;; esac')
    assert send.diff(asked(tmp_path), "kubernetes").text == "-kind: Job\n"
    program("kubectl", 'case $1 in kustomize) echo "kind: Job";; diff) echo "the server is busy" >&2; exit 2;; esac')
    with pytest.raises(UnavailableError, match="the server is busy"):
        send.diff(asked(tmp_path), "kubernetes")


def test_a_pod_that_cannot_be_changed_is_compared_all_the_same(tmp_path, program):
    def job(settings):
        pod = {"containers": [{"envFrom": [{"configMapRef": {"name": settings}}]}]}
        metadata = {"name": "finetune-first", "namespace": "team"}
        return {"kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}

    def settings(name, epochs):
        return {"kind": "ConfigMap", "metadata": {"name": name}, "data": {"JOB_TRAIN__EPOCHS": epochs}}

    (tmp_path / "rendered").write_text(json.dumps(job("new")) + "\n---\n" + json.dumps(settings("new", "2")) + "\n")
    (tmp_path / "job").write_text(json.dumps(job("old")) + "\n")
    (tmp_path / "settings").write_text(json.dumps({"items": [settings("old", "1")]}) + "\n")
    show = 'while read -r line; do echo "$line"; done <'
    program("kubectl", f"""case "$*" in
        kustomize*) {show} {tmp_path / "rendered"};;
        diff*) echo 'The Job "finetune-first" is invalid: spec.template: Invalid value: field is immutable' >&2; exit 2;;
        "get --filename=- --ignore-not-found --output=json") {show} {tmp_path / "job"};;
        "get configmap old --namespace=team --ignore-not-found --output=json") {show} {tmp_path / "settings"};;
        *) exit 1;;
        esac""")  # fmt: skip
    text = send.diff(asked(tmp_path), "kubernetes").text
    assert "`kubectl delete job finetune-first --namespace=team`" in text
    assert "continues it from its last commit" in text
    assert {"-  JOB_TRAIN__EPOCHS: '1'", "+  JOB_TRAIN__EPOCHS: '2'"} <= set(text.splitlines())


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
    with pytest.raises(SettingsError, match="docker is not on the path"):
        send.apply(asked(tmp_path), "docker", {})


def test_a_refusal_is_told_in_its_own_words(tmp_path, program, slurm):
    program("sbatch", "echo 'invalid partition' >&2; exit 1")
    with pytest.raises(UnavailableError, match="invalid partition"):
        send.apply(asked(tmp_path, SUBMIT_PARTITION="x"), "slurm", {"PATH": str(tmp_path / "bin")})
