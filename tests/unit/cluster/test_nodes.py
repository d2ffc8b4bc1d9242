"""Environments and settings → the node's place: the table of what people start the job with."""

import pytest

from job.cluster import nodes
from job.cluster.nodes import NodePlace
from job.errors import SettingsError
from job.settings.parallel import ParallelSettings

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NUM_NODES": "4",
    "SLURM_JOB_NODELIST": "n[1-4]",
    "SLURM_STEP_NUM_NODES": "4",
    "SLURM_STEP_NODELIST": "n[1-4]",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NODEID": "2",
}
BATCH = {name: value for name, value in SLURM.items() if "STEP" not in name} | {"SLURM_NODEID": "0"}
PET = {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "m", "PET_MASTER_PORT": "29500", "JOB_COMPLETION_INDEX": "1"}
INDEXED = {"JOB_COMPLETION_INDEX": "1", "HOSTNAME": "train-1"}
EXPLICIT = {"num_nodes": 2, "node_rank": 1, "main_address": "m", "main_port": 4711}


def place(given, environ):
    return nodes.resolve(ParallelSettings(**given), "my-run", environ)


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ({}, {}, NodePlace()),
        ({"num_nodes": 1}, {}, NodePlace()),
        ({}, {"JOB_COMPLETION_INDEX": "5", "HOSTNAME": "sweep-5"}, NodePlace()),
        ({}, {**PET, "PET_NNODES": "1", "PET_NODE_RANK": "0", "JOB_COMPLETION_INDEX": "0"}, NodePlace()),
        ({"num_nodes": 1}, BATCH, NodePlace()),
        (EXPLICIT, {}, NodePlace(2, 1, "m", 4711)),
        ({}, PET, NodePlace(2, 1, "m", 29500)),
        ({"main_port": 4711}, PET, NodePlace(2, 1, "m", 4711)),
        ({"num_nodes": 2, "headless_service": "svc", "main_port": 4711}, INDEXED, NodePlace(2, 1, "train-0.svc", 4711)),
        ({"main_port": 4711}, SLURM, NodePlace(4, 2, "n1", 4711, "slurm-7-0")),
        ({"main_port": 4711, "main_address": "10.0.0.1"}, SLURM, NodePlace(4, 2, "10.0.0.1", 4711, "slurm-7-0")),
        ({"main_port": 4711, "num_nodes": 4, "node_rank": 2}, SLURM, NodePlace(4, 2, "n1", 4711, "slurm-7-0")),
        ({"main_port": 4711}, BATCH, NodePlace(4, 0, "n1", 4711, "slurm-7-0")),
    ],
)
def test_place(given, environ, expected):
    assert place(given, environ) == expected


def test_every_fact_has_a_source():
    assert place({"main_address": "other"}, SLURM).sources == {
        "num_nodes": "SLURM_STEP_NUM_NODES",
        "node_rank": "SLURM_NODEID",
        "main_address": "JOB_PARALLEL__MAIN_ADDRESS",
        "main_port": "JOB_RUN__NAME",
    }


@pytest.mark.parametrize(
    ("given", "environ", "named"),
    [
        ({"num_nodes": 3}, PET, ["JOB_PARALLEL__NUM_NODES", "PET_NNODES"]),
        ({"num_nodes": 1}, SLURM, ["JOB_PARALLEL__NUM_NODES", "SLURM_STEP_NUM_NODES"]),
        ({"node_rank": 0}, PET, ["JOB_PARALLEL__NODE_RANK", "PET_NODE_RANK"]),
        ({}, {**PET, "JOB_COMPLETION_INDEX": "0"}, ["PET_NODE_RANK", "JOB_COMPLETION_INDEX"]),
        ({"headless_service": "svc"}, {**PET, "HOSTNAME": "x-1"}, ["PET_MASTER_ADDR", "JOB_PARALLEL__HEADLESS_SERVICE"]),
        (
            {"num_nodes": 2, "node_rank": 2, "main_address": "m"},
            {},
            ["JOB_PARALLEL__NODE_RANK must be less than JOB_PARALLEL__NUM_NODES"],
        ),
        ({"node_rank": 1}, {}, ["JOB_PARALLEL__NODE_RANK is more than 0", "JOB_PARALLEL__NUM_NODES"]),
        ({"num_nodes": 1, "node_rank": 1}, {}, ["one node only (JOB_PARALLEL__NUM_NODES)"]),
        ({"num_nodes": 2}, {}, ["the rank of this node"]),
        ({"num_nodes": 2}, INDEXED, ["the main node's address"]),
    ],
)
def test_contradictions_and_gaps(given, environ, named):
    with pytest.raises(SettingsError) as caught:
        place(given, environ)
    assert all(name in str(caught.value) for name in named)


def test_the_port_follows_from_run_and_job():
    def port(run, environ):
        return nodes.resolve(ParallelSettings(num_nodes=2, node_rank=0, main_address="m"), run, environ).main_port

    assert port("a", {}) == port("a", {})
    assert len({port("a", {}), port("b", {}), port("a", {"SLURM_JOB_ID": "8"})}) == 3
    assert all(20000 <= port(f"run-{number}", {}) <= 32767 for number in range(200))
