import pytest

from job.cluster import kubernetes
from job.cluster.claims import Claim
from job.errors import SettingsError

PET = {
    "PET_NNODES": "2",
    "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "job-node-0-0.job",
    "PET_MASTER_PORT": "29500",
    "PET_NPROC_PER_NODE": "8",
}


def test_elsewhere_nothing_is_claimed():
    assert kubernetes.claims({}, None) == []
    assert kubernetes.launch_id({}) == ""


def test_kubeflow():
    assert kubernetes.claims(PET, None) == [
        Claim("num_nodes", 2, "PET_NNODES"),
        Claim("node_rank", 1, "PET_NODE_RANK"),
        Claim("main_address", "job-node-0-0.job", "PET_MASTER_ADDR"),
        Claim("main_port", 29500, "PET_MASTER_PORT"),
    ]
    assert kubernetes.claims({"PET_NNODES": "3:3"}, None) == [Claim("num_nodes", 3, "PET_NNODES")]


def test_an_elastic_job_is_refused():
    with pytest.raises(SettingsError, match="PET_NNODES asks for an elastic"):
        kubernetes.claims({"PET_NNODES": "1:4"}, None)


@pytest.mark.parametrize(
    ("hostname", "index", "main"),
    [
        ("train-3", "3", "train-0.svc"),
        ("set-node-0-3", "3", "set-node-0-0.svc"),
        ("train-0", "0", "train-0.svc"),
        ("a-11", "11", "a-0.svc"),
    ],
)
def test_an_indexed_job_and_a_jobset(hostname, index, main):
    environ = {"JOB_COMPLETION_INDEX": index, "HOSTNAME": hostname}
    assert kubernetes.claims(environ, "svc") == [
        Claim("node_rank", int(index), "JOB_COMPLETION_INDEX"),
        Claim("main_address", main, "JOB_PARALLEL__HEADLESS_SERVICE"),
    ]
    assert kubernetes.claims(environ, None) == [Claim("node_rank", int(index), "JOB_COMPLETION_INDEX")]


@pytest.mark.parametrize("hostname", ["", "train", "train-13", "3"])
def test_a_pod_whose_name_is_another(hostname):
    with pytest.raises(SettingsError, match="does not end in JOB_COMPLETION_INDEX"):
        kubernetes.claims({"JOB_COMPLETION_INDEX": "3", "HOSTNAME": hostname}, "svc")


def test_a_restarted_jobset_is_another_launch():
    assert kubernetes.launch_id({"JOBSET_RESTART_ATTEMPT": "2"}) == "jobset-2"
