import pytest

from job.cluster import topology
from job.cluster.nodes import NodePlace
from job.cluster.topology import Topology, WorkerPlace
from job.errors import SettingsError
from job.settings.parallel import ParallelSettings


@pytest.mark.parametrize(
    ("given", "cores", "gpus", "expected"),
    [
        ({}, 1, 0, Topology(1, 0, 1, 1, "cpu")),
        ({}, 8, 0, Topology(1, 0, 2, 4, "cpu")),
        ({}, 16, 4, Topology(1, 0, 4, 4, "cuda")),
        ({"engine": "single"}, 8, 0, Topology(1, 0, 1, 8, "cpu")),
        ({"engine": "single"}, 8, 2, Topology(1, 0, 1, 8, "cuda")),
        ({"device": "cpu"}, 8, 4, Topology(1, 0, 2, 4, "cpu")),
        ({"workers_per_node": 4}, 2, 0, Topology(1, 0, 4, 1, "cpu")),
        ({"workers_per_node": 2, "threads_per_worker": 3}, 8, 0, Topology(1, 0, 2, 3, "cpu")),
        ({"engine": "ddp", "device": "cuda"}, 8, 2, Topology(1, 0, 2, 4, "cuda")),
    ],
)
def test_shape(given, cores, gpus, expected):
    shape = topology.resolve(ParallelSettings(**given), cores, gpus)
    assert shape == expected
    assert shape.world_size == shape.workers_per_node


@pytest.mark.parametrize(
    ("given", "cores", "gpus", "named"),
    [
        ({"device": "cuda"}, 8, 0, "JOB_PARALLEL__DEVICE"),
        ({"engine": "single", "workers_per_node": 2}, 8, 0, "JOB_PARALLEL__WORKERS_PER_NODE asks for 2"),
        ({"engine": "ddp"}, 1, 0, "at least two workers"),
        ({"engine": "ddp"}, 8, 1, "at least two workers"),
        ({"workers_per_node": 3}, 8, 2, "shows 2 GPUs"),
    ],
)
def test_more_than_there_is(given, cores, gpus, named):
    with pytest.raises(SettingsError, match=named) as caught:
        topology.resolve(ParallelSettings(**given), cores, gpus)
    assert caught.value.hint


def test_several_nodes():
    place = NodePlace(4, 2, "main", 4711)
    assert topology.resolve(ParallelSettings(), 8, 0, place) == Topology(4, 2, 2, 4, "cpu")
    assert topology.resolve(ParallelSettings(engine="ddp", workers_per_node=1), 8, 0, place).world_size == 4
    with pytest.raises(SettingsError, match=r"JOB_PARALLEL__ENGINE=single .* several nodes"):
        topology.resolve(ParallelSettings(engine="single"), 8, 0, place)


def test_cgroup_2(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert topology._cgroup_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert topology._cgroup_quota(tmp_path) is None


def test_cgroup_1(tmp_path):
    assert topology._cgroup_quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("400000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert topology._cgroup_quota(tmp_path) == 4.0
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert topology._cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (0.5, 1), (2.5, 2), (64.0, 8)])
def test_cores_are_what_both_limits_allow(monkeypatch, quota, cores):
    monkeypatch.setattr(topology.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(topology, "_cgroup_quota", lambda _: quota)
    assert topology.available_cores() == cores


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        (None, 4),
        ("", 0),
        ("-1", 0),
        ("2", 1),
        ("0,3", 2),
        ("0, 1", 2),
        ("0,9,1", 1),
        ("0,-1,1", 1),
        ("GPU-8f2a,GPU-11c0", 2),
        ("0,1,", 2),
    ],
)
def test_gpus(tmp_path, chosen, count):
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert topology.visible_gpus({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}, tmp_path) == count


def test_no_device_files_no_gpus(tmp_path):
    assert topology.visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1"}, tmp_path) == 0


def test_place():
    assert topology.worker_place({}) == WorkerPlace(0, 0, 1)
    environ = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "GROUP_RANK": "2"}
    assert topology.worker_place(environ) == WorkerPlace(5, 1, 8, 2)


def test_place_from_the_process_environment(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert topology.worker_place().rank == 3


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"memory.max": "max"}, None),
        ({"memory.max": "1000"}, 1000),
        ({"memory/memory.limit_in_bytes": "2000"}, 2000),
        ({"memory.max": str(2**62)}, None),
    ],
)
def test_host_memory(tmp_path, files, limit):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    total = topology.host_memory(tmp_path / "none")
    assert total > 10**8
    assert topology.host_memory(tmp_path) == (limit or total)


def test_workers_on_this_node():
    assert topology.local_world_size({}) == 1
    assert topology.local_world_size({"LOCAL_WORLD_SIZE": "4"}) == 4


@pytest.mark.parametrize(("before", "after"), [(None, "0"), ("3", "3")])
def test_a_local_rank_is_named_where_no_launcher_did(monkeypatch, before, after):
    with monkeypatch.context() as patch:
        patch.setenv("LOCAL_RANK", before or "")
        if before is None:
            patch.delenv("LOCAL_RANK")
        topology.name_local_rank(0)
        assert topology.worker_place().local_rank == int(after)
