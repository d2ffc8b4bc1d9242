import pytest

from tests.support.environments import load, refusal


def test_nothing_is_fixed_by_default():
    parallel = load().parallel
    assert (parallel.engine, parallel.device, parallel.workers_per_node, parallel.threads_per_worker) == (
        "auto",
        "auto",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENGINE", "horovod"),
        ("DEVICE", "tpu"),
        ("WORKERS_PER_NODE", "0"),
        ("WORKERS_PER_NODE", "257"),
        ("THREADS_PER_WORKER", "0"),
        ("NUM_NODES", "0"),
        ("NODE_RANK", "-1"),
        ("MAIN_PORT", "80"),
        ("MAIN_PORT", "65536"),
        ("RENDEZVOUS_TIMEOUT_S", "0"),
        ("NODE_TIMEOUT_S", "2"),
    ],
)
def test_bounds(name, value):
    assert f"JOB_PARALLEL__{name}: " in refusal(**{f"PARALLEL__{name}": value})
