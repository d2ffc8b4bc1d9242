"""The page about docker, as written: every command in its order, in one folder, with podman standing in for docker.

The stand-in adds what this machine needs to build without a registry, and puts containers on a network with the bucket.
"""

import contextlib
import os
import re
import shlex
import subprocess
from types import SimpleNamespace

import boto3
import pytest

from tests.support import house, jobs, recipes, tiny
from tests.support.containers import image as images
from tests.support.containers import network as networks
from tests.support.containers.podman import environ, podman

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (house.ROOT / "docs/docker.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
BUCKET = "page-bucket"
DOCKER = """#!/bin/bash
set -e
command=$1; shift
case $command in
    build) exec podman build "${{@:1:$#-1}}" {build} "${{@: -1}}" ;;
    run) exec podman run --pull=never --network={network} --volume={certificate}:/etc/door.crt:ro --env=AWS_CA_BUNDLE=/etc/door.crt "$@" ;;
    *) exec podman "$command" "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def page(image, network, ceph, tmp_path_factory):
    """What each block said and ended with."""
    folder = tmp_path_factory.mktemp("page")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "data/train.csv", tiny.sentences(300))
    with _bucket(ceph, folder) as client, networks.door(network, ceph.http) as endpoint, images.build_options() as options:
        program = folder / "bin" / "docker"
        program.parent.mkdir()
        build = shlex.join([*options, "--build-arg=TORCH_INDEX=", f"--build-arg=BASE_IMAGE={images.base_image()}"])
        program.write_text(DOCKER.format(build=build, network=network.name, certificate=endpoint.ca_bundle))
        program.chmod(0o755)
        variables = {**environ(), **endpoint.environment(), "BUCKET": BUCKET, "PATH": f"{program.parent}:{os.environ['PATH']}"}
        try:
            done = [_run(block, house.ROOT if "docker build" in block else folder, variables) for block in BLOCKS]
        finally:
            podman("rm", "--force", "--ignore", "--time=0", "second-run")
        pages = client.list_objects_v2(Bucket=BUCKET, Prefix="runs/second-run/log/")["Contents"]
        log = [client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read().decode() for found in pages]
        return SimpleNamespace(folder=folder, done=done, log=log)


@contextlib.contextmanager
def _bucket(ceph, folder):
    """A bucket with the inputs, and the client that made it."""
    options = {"aws_access_key_id": ceph.http.key, "aws_secret_access_key": ceph.http.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=ceph.http.url, **options)
    client.create_bucket(Bucket=BUCKET)
    for path, content in recipes.contents(folder).items():
        client.put_object(Bucket=BUCKET, Key=path, Body=content)
    yield client
    client.close()


def _run(block, folder, variables):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_every_command_does_what_the_page_says(page):
    for block, done in zip(BLOCKS, page.done, strict=True):
        assert done.returncode == 0, f"{block}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


def test_the_run_in_folders_is_published_there(page):
    assert (jobs.published(page.folder / "published", "first-run") / "README.md").is_file()


def test_the_run_with_a_bucket_was_stopped_and_finished_by_the_next_start(page):
    """On a fast machine the stop comes before the run was taken over; then there is no attempt that the log could call stopped."""
    waited = next(done for block, done in zip(BLOCKS, page.done, strict=True) if "docker wait" in block)
    assert waited.stdout.split()[-1] == "75"
    kinds = [re.search(r'"kind": ?"(\w+)"', entry)[1] for entry in page.log]
    assert kinds[0] == "started"
    assert kinds.count("started") in (1, 2)
    assert kinds.count("stopped") == kinds.count("started") - 1
    assert kinds[-1] == "complete"


def test_the_files_it_writes_are_there(page):
    assert "CycloneDX" in (page.folder / "sbom.json").read_text()
    assert "JOB_RUN__NAME" in (page.folder / "all-settings.env").read_text()
