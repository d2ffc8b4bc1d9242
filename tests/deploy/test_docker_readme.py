"""The README's lines for docker, as written: one shell, podman standing in for docker, once into folders and once into a bucket.

The stand-in adds what this machine needs to build without a registry, leaves out the GPUs that are not there, and leads to a stand-in of
the Hub and to a real Ceph on this machine, as `AWS_ENDPOINT_URL` would.
"""

import os
import re
import shlex
import subprocess
from types import SimpleNamespace

import boto3
import pytest

from tests.support import house, jobs, recipes
from tests.support.containers import image as images
from tests.support.containers.podman import environ
from tests.support.minihub import MiniHub

README = (house.ROOT / "README.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```sh\n(docker build .*?)^```", README, re.MULTILINE | re.DOTALL)
(BUCKET,) = set(re.findall(r"s3://([\w-]+)/", BLOCK))
DOCKER = """#!/bin/bash
set -e
command=$1; shift
case $command in
    build) cd {root}; exec podman build "${{@:1:$#-1}}" {build} "${{@: -1}}" ;;
    run)
        [[ $* = *'--gpus all '* ]]
        kept=()
        while [ $# -gt 0 ]; do case $1 in --gpus) shift 2 ;; *) kept+=("$1"); shift ;; esac; done
        exec podman run --pull=never --network=host {reach} "${{kept[@]}}" ;;
esac
"""


@pytest.fixture(scope="module")
def done(image, ceph, tmp_path_factory):
    """What the shell said, the folder it was in, and what lies in the bucket."""
    folder = tmp_path_factory.mktemp("readme")
    recipes.write_own_csv(folder, count=80)
    keys = {"aws_access_key_id": ceph.http.key, "aws_secret_access_key": ceph.http.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=ceph.http.url, **keys)
    client.create_bucket(Bucket=BUCKET)
    client.upload_file(str(folder / "data/train.csv"), BUCKET, "data/train.csv")
    with MiniHub() as hub, images.build_options() as options:
        recipes.add_models(hub, folder / "hub")
        places = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "AWS_ENDPOINT_URL": ceph.http.url}
        program = folder / "bin" / "docker"
        program.parent.mkdir()
        build = shlex.join([*options, f"--build-arg=BASE_IMAGE={images.base_image()}"])
        reach = shlex.join(f"--env={name}={value}" for name, value in places.items())
        program.write_text(DOCKER.format(root=house.ROOT, build=build, reach=reach))
        program.chmod(0o755)
        variables = {**environ(), **ceph.http.environment(), "PATH": f"{program.parent}:{os.environ['PATH']}"}
        command = ["bash", "-euo", "pipefail", "-c", BLOCK]
        said = subprocess.run(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
        )
    there = [found["Key"] for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    client.close()
    return SimpleNamespace(folder=folder, said=said, keys=there)


def test_the_lines_work_one_after_the_other(done):
    assert done.said.returncode == 0, done.said.stderr[-4000:]


def test_the_first_publishes_into_the_mounted_folder(done):
    assert (jobs.published(done.folder / "published", "first-run") / "model.safetensors").is_file()


def test_the_second_publishes_into_the_bucket(done):
    assert any(re.fullmatch(r"runs/first-run/attempts/\w+/model/model\.safetensors", key) for key in done.keys), done.keys
