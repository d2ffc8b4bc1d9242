import pytest

from job.errors import SettingsError
from job.submit import docker
from tests.support.submissions import asked, variants


def test_the_container_is_hardened_and_bounded(tmp_path):
    request = asked(tmp_path, SUBMIT_MOUNTS="/data:/data:ro", SUBMIT_PASS_ENV="AWS_SECRET_ACCESS_KEY", SUBMIT_MEMORY_GIB="8")
    assert docker.command(request, "docker") == [
        "docker", "run", "--rm", "--name=finetune-first", "--user=10001:10001", "--read-only", "--cap-drop=ALL",
        "--security-opt=no-new-privileges", "--stop-timeout=600", "--cpus=8", "--memory=8g", "--shm-size=4g", "--tmpfs=/tmp:rw,size=10g",
        "--volume=finetune-first:/work", "--volume=/data:/data:ro", "--gpus=1", f"--env-file={tmp_path / 'run.env'}",
        "--env=JOB_RUN__DIR=/work/runs", "--env=JOB_RUN__GRACE_S=600", "--env=AWS_SECRET_ACCESS_KEY",
        "registry.example:5000/team/finetune-job:1.2", "run",
    ]  # fmt: skip


def test_gpus(tmp_path):
    assert "--device=nvidia.com/gpu=all" in docker.command(asked(tmp_path), "podman")
    assert not [
        option for option in docker.command(asked(tmp_path, SUBMIT_GPUS="0"), "docker") if option.startswith(("--gpus", "--device"))
    ]


@pytest.mark.parametrize("changes", [{"SUBMIT_NODES": "2"}, {"SUBMIT_IMAGE": ""}, {"SUBMIT_VARIANTS_PATH": "yes"}])
def test_one_container_of_one_image(tmp_path, changes):
    changes = {name: variants(tmp_path) if value == "yes" else value for name, value in changes.items()}
    with pytest.raises(SettingsError, match="one container of one image"):
        docker.command(asked(tmp_path, **changes), "docker")


def test_what_runs_is_found_by_its_name(tmp_path):
    assert docker.running(asked(tmp_path), "podman")[-1] == "finetune-first"
    assert docker.of_the_image("sha256:1", "podman") == ["podman", "image", "inspect", "--format={{json .Config.Env}}", "sha256:1"]
