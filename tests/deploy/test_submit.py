"""What ``job submit`` prints is what is shipped, with a settings file's values in it, and keeps every policy."""

import os
import subprocess
import sys

import pytest
import yaml

from job.submit import send
from tests.support import house, kube_policy, kube_schemas, manifests, parts
from tests.support.submissions import asked, variants, written

EVERYTHING = {
    "SUBMIT_QUEUE": "team-a", "SUBMIT_SPOT": "true", "SUBMIT_S3_SECRET": "keys", "SUBMIT_HUB_TOKEN_SECRET": "hub",
    "SUBMIT_CACHE_CLAIM": "claim", "SUBMIT_METRICS": "true", "SUBMIT_GPUS": "0", "SUBMIT_MEMORY_GIB": "12", "SUBMIT_DISK_GIB": "40",
    "SUBMIT_NAMESPACE": "team", "SUBMIT_TIME_LIMIT_S": "172800", "JOB_RUN__NAME": "A_long.name-of-a-run-that-is-not-plain",
}  # fmt: skip
SHAPES = {"single": {}, "multi-node": {"SUBMIT_NODES": "5"}, "sweep": {"SUBMIT_VARIANTS_PATH": "variants"}}


def shaped(folder, overlay, **changes):
    given = {name: variants(folder, 5) if value == "variants" else value for name, value in SHAPES[overlay].items()}
    return asked(folder, **given, **changes)


def job(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "job", "submit", *map(str, arguments)],
        cwd=house.ROOT, capture_output=True, text=True, check=False, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


@pytest.fixture
def kubectl():
    manifests.need_kubectl()


@pytest.mark.parametrize("overlay", SHAPES)
def test_what_is_printed_keeps_schemas_and_policies(kubectl, tmp_path, overlay):
    rendered = list(yaml.safe_load_all(send.render(shaped(tmp_path, overlay, **EVERYTHING))))
    assert not {rule: found for rule in kube_policy.POLICIES if (found := list(rule(rendered)))}
    assert not [found for manifest in rendered for found in kube_schemas.findings(manifest, kube_schemas.VERSIONS[-1])]
    assert kube_policy.overlay_of(rendered) == overlay
    assert all(manifest["metadata"]["namespace"] == "team" for manifest in rendered)


def test_with_the_shipped_values_it_is_the_shipped_overlay(kubectl, tmp_path):
    """No second template: the same settings, image and sizes give the same manifests to the last field."""
    shipped = (manifests.K8S / "base/settings.env").read_text()
    path = tmp_path / "run.env"
    path.write_text(shipped + "SUBMIT_IMAGE=registry.example/finetune-job:0.1.0\n")
    done = job("kubernetes", "--settings", path)
    assert done.returncode == 0, done.stderr
    assert list(yaml.safe_load_all(done.stdout)) == manifests.rendered("single")


def test_a_wrong_file_is_refused_whole(tmp_path):
    done = job("kubernetes", "--settings", written(tmp_path, JOB_TRAIN__EPOCH="1", SUBMIT_NODES="0"))
    assert done.returncode == 64
    assert "JOB_TRAIN__EPOCH is no setting. Nearest: JOB_TRAIN__EPOCHS" in done.stderr
    assert "SUBMIT_NODES: " in done.stderr
    assert not done.stdout


def test_a_folder_for_a_repository_renders_the_same(kubectl, tmp_path):
    path = written(tmp_path, SUBMIT_NODES="3")
    done = job("kubernetes", "--settings", path, "--output", tmp_path / "out")
    assert done.stdout.split() == ["kubectl", "apply", "-k", f"{tmp_path}/out/overlays/multi-node"]
    printed = list(yaml.safe_load_all(job("kubernetes", "--settings", path).stdout))
    assert manifests.kustomize(tmp_path / "out/overlays/multi-node") == printed


def test_no_cluster_is_said_in_kubectls_words(kubectl, tmp_path):
    done = job("kubernetes", "--settings", written(tmp_path), "--apply")
    assert done.returncode == 69
    assert "`kubectl apply` ended with code 1" in done.stderr


def test_docker_and_slurm_are_one_line(tmp_path):
    path = written(tmp_path, SUBMIT_GPUS="0")
    done = job("docker", "--settings", path)
    assert done.returncode == 0
    assert f"--env-file={path}" in done.stdout
    parts.need("the folder slurm/", there=(house.ROOT / "slurm/job.sbatch").is_file())
    done = job("slurm", "--settings", path)
    assert done.stdout.startswith(f"JOB_SETTINGS_FILE={path} sbatch ")
    assert done.stdout.strip().endswith("slurm/job.sbatch")
