"""The pages about running the job elsewhere: what can be tried without a cluster is tried as it is written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml

from job.errors import ERRORS
from tests.support import house, manifests, troubleshooting

DOCS = house.ROOT / "docs"
KUBERNETES = (DOCS / "kubernetes.md").read_text(encoding="utf-8")
OFFLINE = ("kubectl kustomize ", "cat > run.env")
NEEDS_A_CLUSTER = (
    "kubectl apply -k k8s/overlays/",
    "kubectl create secret generic ",
    "kubectl delete job ",
    "kubectl get ",
    "kubectl logs ",
)
POLICY_FOR = {
    "list_objects_v2": "s3:ListBucket", "list_multipart_uploads": "s3:ListBucketMultipartUploads", "get_object": "s3:GetObject",
    "head_object": "s3:GetObject", "put_object": "s3:PutObject", "create_multipart_upload": "s3:PutObject", "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject", "delete_object": "s3:DeleteObject", "abort_multipart_upload": "s3:AbortMultipartUpload",
}  # fmt: skip


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def checkout(tmp_path):
    """What the page's reader has before them: the folder, and the command on their path."""
    shutil.copytree(manifests.K8S, tmp_path / "k8s")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "job").write_text(f'#!/bin/sh\nexec {sys.executable} -m job "$@"\n')
    (programs / "job").chmod(0o755)
    return tmp_path


def shell(block: str, folder: Path) -> str:
    environ = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": str(house.ROOT)}
    done = subprocess.run(["bash", "-ec", block], cwd=folder, capture_output=True, text=True, check=False, timeout=60, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_render_what_a_job_needs(checkout):
    manifests.need_kubectl()
    tried = [block for block in blocks(KUBERNETES, "sh") if block.startswith(OFFLINE)]
    assert len(tried) == 2
    for block in tried:
        kinds = {manifest["kind"] for manifest in yaml.safe_load_all(shell(block, checkout))}
        assert kinds == {"ServiceAccount", "ConfigMap", "Job"}


def test_every_other_command_needs_a_cluster_and_names_what_there_is():
    for block in blocks(KUBERNETES, "sh"):
        if not block.startswith(OFFLINE):
            assert all(line.startswith(NEEDS_A_CLUSTER) for line in block.splitlines()), block
    for overlay in re.findall(r"k8s/overlays/([\w-]+)", KUBERNETES):
        assert overlay in manifests.OVERLAYS
    named = set(re.findall(r"^\| (`.*?`) \|", KUBERNETES.partition("## Components")[2].partition("##")[0], re.MULTILINE))
    assert {name for cell in named for name in re.findall(r"`([\w-]+)`", cell)} == set(manifests.COMPONENTS)


def test_the_table_of_what_happens_next_has_the_codes_of_the_table():
    table = KUBERNETES.partition("## What happens next")[2]
    for retry, row in {"not retry": r"64[\d, ]*", "retry, free": "75", "retry, counted": r"69[\d, ]*"}.items():
        (found,) = re.findall(rf"^\| ({row})(?:,| \|)", table, re.MULTILINE)
        assert [int(code) for code in re.findall(r"\d+", found)] == sorted(c for c, e in ERRORS.items() if e.retry.value == retry)


def test_the_policy_allows_just_what_the_code_calls():
    (policy,) = (json.loads(block) for block in blocks((DOCS / "s3.md").read_text(), "json"))
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    source = "\n".join(path.read_text() for path in (house.ROOT / "job/storage").glob("s3*.py"))
    requests = boto3.client("s3", region_name="us-east-1").meta.method_to_api_mapping  # all that there are
    called = {name for name in requests if re.search(rf"""(?:\bclient\.{name}\b|"{name}")""", source)}
    assert called == set(POLICY_FOR)
    assert allowed == set(POLICY_FOR.values())


def test_the_variables_for_another_store_are_the_ones_that_boto3_reads(tmp_path):
    (block,) = blocks((DOCS / "s3.md").read_text(), "sh")
    look = "import boto3; client = boto3.client('s3'); print(client.meta.endpoint_url, client.meta.region_name)"
    values = dict(re.findall(r"export (\w+)=(\S+)", block))
    assert shell(f'{block}{sys.executable} -c "{look}"', tmp_path).split() == [values["AWS_ENDPOINT_URL_S3"], values["AWS_REGION"]]


def test_troubleshooting_has_a_text_for_each_code_and_no_other():
    assert troubleshooting.TEXTS.keys() == ERRORS.keys()
