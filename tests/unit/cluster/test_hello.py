import dataclasses

import pytest

from job.cluster import hello
from job.cluster.hello import Hello
from job.cluster.nodes import NodePlace

HELLO = Hello("my-run", "slurm-7-0", 4, 2, "n3")


def test_there_and_back():
    assert hello.read(HELLO.message()) == HELLO
    assert Hello.of("my-run", NodePlace(4, 2, "m", 4711, "slurm-7-0")).node_rank == 2


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"kind": "pulse"},
        {**HELLO.message(), "protocol": 0},
        {**HELLO.message(), "node_rank": 0},
        {**HELLO.message(), "num_nodes": "x"},
    ],
)
def test_what_is_no_node_of_ours(message):
    assert hello.read(message) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [({}, ""), ({"host": "other"}, ""), ({"run": "x"}, "another run"), ({"launch": "slurm-7-1"}, "another start")],
)
def test_whether_it_is_of_this_launch(change, said):
    difference = HELLO.differs(dataclasses.replace(HELLO, **change))
    assert said in difference
    assert bool(difference) == bool(said)


def test_different_counts_name_both_nodes():
    error = hello.counts_differ(dataclasses.replace(HELLO, node_rank=0, host="n1"), dataclasses.replace(HELLO, num_nodes=3))
    assert error.message == "Node 0 (n1) was told of 4 nodes, node 2 (n3) of 3."
