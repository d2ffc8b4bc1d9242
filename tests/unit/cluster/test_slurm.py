import pytest

from job.cluster import slurm
from job.cluster.claims import Claim
from job.errors import SettingsError

STEP = {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "n[3-4]", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODEID": "1"}
JOB = {"SLURM_JOB_NUM_NODES": "4", "SLURM_JOB_NODELIST": "n[1-4]", "SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("n1", ["n1"]),
        ("n1,n2", ["n1", "n2"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("n[1,4-5,9]", ["n1", "n4", "n5", "n9"]),
        ("gpu-a[1-2]-ib,login", ["gpu-a1-ib", "gpu-a2-ib", "login"]),
        ("r[1-2]c[01-02]", ["r1c01", "r1c02", "r2c01", "r2c02"]),
        ("a[1-2],b[7]", ["a1", "a2", "b7"]),
        ("n1.site.example", ["n1.site.example"]),
    ],
)
def test_hosts(text, hosts):
    assert list(slurm.expand(text)) == hosts


@pytest.mark.parametrize("text", ["n[1-", "n[a-b]", "n[1-2", "n]1[", "n[1;2]"])
def test_what_is_no_list_of_hosts(text):
    with pytest.raises(ValueError, match=r".+"):
        list(slurm.expand(text))
    with pytest.raises(SettingsError, match="SLURM_JOB_NODELIST is no list"):
        slurm.claims({"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": text})


def test_outside_slurm_nothing_is_claimed():
    assert slurm.claims({}) == []
    assert slurm.launch_id({}) == ""


def test_a_step_describes_itself():
    assert slurm.claims({**JOB, **STEP}) == [
        Claim("num_nodes", 2, "SLURM_STEP_NUM_NODES"),
        Claim("node_rank", 1, "SLURM_NODEID"),
        Claim("main_address", "n3", "SLURM_STEP_NODELIST"),
    ]


@pytest.mark.parametrize(("num", "nodes"), [("SLURM_JOB_NUM_NODES", "SLURM_JOB_NODELIST"), ("SLURM_NNODES", "SLURM_NODELIST")])
def test_without_a_step_the_allocation_counts(num, nodes):
    assert slurm.claims({num: "4", nodes: "n[1-4]", "SLURM_NODEID": "3"}) == [
        Claim("num_nodes", 4, num),
        Claim("node_rank", 3, "SLURM_NODEID"),
        Claim("main_address", "n1", nodes),
    ]


def test_more_tasks_than_nodes():
    with pytest.raises(SettingsError, match="SLURM_STEP_NUM_TASKS against SLURM_STEP_NUM_NODES") as caught:
        slurm.claims({**STEP, "SLURM_STEP_NUM_TASKS": "8"})
    assert "--ntasks-per-node=1" in caught.value.hint


def test_a_requeued_job_is_another_launch():
    assert slurm.launch_id(JOB) == "slurm-7-0"
    assert slurm.launch_id({**JOB, "SLURM_RESTART_COUNT": "2"}) == "slurm-7-2"
