import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from job.cluster import launch
from job.cluster.launch import Launch, Rendezvous
from job.cluster.topology import Topology

CPU = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OMP_NUM_THREADS": "3",
    "MKL_NUM_THREADS": "3",
    "PYTHONUNBUFFERED": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


def stand_in(run_dir: Path, seconds: float = 30) -> subprocess.Popen[bytes]:
    """A process whose command line is that of a worker; it sleeps."""
    script = f"import time; time.sleep({seconds})"
    return subprocess.Popen([sys.executable, "-ISc", script, "job.workers.train", str(run_dir)], start_new_session=True)


def until(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_one_worker_is_started_as_it_is():
    plan = launch.plan("prepare", Path("/work/r"), Topology(1, 0, 1, 3, "cpu"), {"PATH": "/bin"})
    assert plan == Launch((sys.executable, "-m", "job.workers.prepare", "/work/r"), {"PATH": "/bin", **CPU})


def test_several_workers_through_torchrun(monkeypatch):
    monkeypatch.setattr(launch, "free_port", lambda: 12345)
    shape = Topology(num_nodes=2, node_rank=1, workers_per_node=4, threads_per_worker=3, device="cuda")
    plan = launch.plan("train", Path("/work/r"), shape, {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, Rendezvous("10.0.0.1", 0, "ib0"))
    assert plan.argv == (
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--node-rank=1", "--nproc-per-node=4"),
        *("--rdzv-backend=static", "--master-addr=10.0.0.1", "--master-port=12345", "-m", "job.workers.train", "/work/r"),
    )
    recorder = {
        "TORCH_FR_BUFFER_SIZE": "2000",
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_FR_DUMP_TEMP_FILE": "/work/r/logs/nccl-trace-rank-",
    }
    assert plan.environ == {**CPU, **recorder, "CUDA_VISIBLE_DEVICES": "0,1,2,3", "GLOO_SOCKET_IFNAME": "ib0"}


def test_the_port_that_all_nodes_were_told_is_taken_and_the_users_interface_stays():
    shape = Topology(2, 0, 1, 1, "cpu")
    plan = launch.plan("train", Path("/work/r"), shape, {"GLOO_SOCKET_IFNAME": "theirs"}, Rendezvous("10.0.0.1", 4711, "eth1"))
    assert "--master-port=4711" in plan.argv
    assert plan.environ["GLOO_SOCKET_IFNAME"] == "theirs"


def test_what_is_recorded_of_collectives_is_the_users_choice_first_and_nccls_own_files_are_for_gpus():
    given = {"TORCH_FR_BUFFER_SIZE": "0"}
    plan = launch.plan("train", Path("/work/r"), Topology(1, 0, 2, 1, "cuda"), given, Rendezvous("", 4711))
    assert plan.environ["TORCH_FR_BUFFER_SIZE"] == "0"
    plan = launch.plan("train", Path("/work/r"), Topology(1, 0, 2, 1, "cpu"), {}, Rendezvous("", 4711))
    assert [name for name in plan.environ if name.startswith("TORCH_")] == ["TORCH_FR_BUFFER_SIZE"]


def test_workers_get_no_credentials_and_no_settings():
    secret = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_PROFILE": "b",
        "HF_TOKEN": "c",
        "HF_TOKEN_PATH": "d",
        "HUGGING_FACE_HUB_TOKEN": "e",
        "JOB_MODEL__HUB_TOKEN": "f",
        "JOB_RUN__NAME": "g",
    }
    assert launch.worker_environ({**secret, "LANG": "C.UTF-8"}, Topology(1, 0, 1, 3, "cpu")) == {"LANG": "C.UTF-8", **CPU}


def test_workers_do_not_take_an_outer_launcher_for_their_own():
    outer = {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "other",
        "PMI_SIZE": "2",
        "OMPI_COMM_WORLD_SIZE": "2",
        "PET_RDZV_BACKEND": "c10d",
        "TORCHELASTIC_RUN_ID": "x",
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_MIXED_PRECISION": "fp16",
    }
    kept = {"NCCL_DEBUG": "INFO", "SLURM_JOB_ID": "7"}
    assert launch.worker_environ({**outer, **kept}, Topology(1, 0, 1, 3, "cpu")) == {**kept, **CPU}


def test_offline_is_not_the_callers_choice():
    assert launch.worker_environ({"HF_HUB_OFFLINE": "0"}, Topology(1, 0, 1, 1, "cpu"))["HF_HUB_OFFLINE"] == "1"


def test_free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", launch.free_port()))


def test_start_writes_to_the_log_in_a_session_of_its_own(tmp_path):
    script = "import os, sys; print(os.getsid(0) == os.getpid(), dict(os.environ).get('A')); sys.stderr.write('err')"
    log = tmp_path / "logs/train.log"
    for _ in range(2):
        assert launch.start(Launch((sys.executable, "-ISc", script), {"A": "1"}), log).wait() == 0
    assert log.read_text() == "True 1\nerr" * 2


def test_a_program_that_is_still_starting_outlives_stop_signals(tmp_path):
    """As a signal to every process of a container finds it: before the program could say what it does with signals."""
    process = launch.start(Launch((sys.executable, "-ISc", "print('lived')"), {}), tmp_path / "log")
    for number in launch.STOP_SIGNALS:
        process.send_signal(number)
    assert process.wait(30) == 0
    assert (tmp_path / "log").read_text() == "lived\n"


def test_the_node_process_still_hears_stop_signals(tmp_path):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    launch.start(Launch((sys.executable, "-ISc", ""), {}), tmp_path / "log").wait()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_workers_are_found_by_their_run_directory(tmp_path):
    ours, other = stand_in(tmp_path / "run"), stand_in(tmp_path / "run-2")
    try:
        assert until(lambda: launch.workers_of(tmp_path / "run") == [ours.pid])
        assert launch.workers_of(tmp_path) == []
        assert launch.end_leftovers(tmp_path / "run") == 1
        assert ours.wait(5) == -9
        assert other.poll() is None
        assert launch.end_leftovers(tmp_path / "run") == 0
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_end_takes_launcher_and_workers(tmp_path):
    worker = stand_in(tmp_path)
    launcher = subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(30)"])
    assert until(lambda: launch.workers_of(tmp_path))
    launch.end(launcher, tmp_path)
    assert launcher.returncode == -9
    assert worker.wait(5) == -9


def test_a_process_that_ends_meanwhile_is_no_error(tmp_path, monkeypatch):
    gone = stand_in(tmp_path, 0)
    gone.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(gone.pid, 0)
    seen = iter([[gone.pid], []])
    monkeypatch.setattr(launch, "workers_of", lambda _: next(seen))
    assert launch.end_leftovers(tmp_path) == 1


def test_a_worker_that_appears_while_its_launcher_is_ended_is_ended_too(tmp_path, monkeypatch):
    launcher, late = stand_in(tmp_path), stand_in(tmp_path)
    seen = iter([[launcher.pid], [late.pid], []])
    monkeypatch.setattr(launch, "workers_of", lambda _: next(seen))
    assert launch.end_leftovers(tmp_path) == 2
    assert (launcher.wait(5), late.wait(5)) == (-9, -9)


def test_a_worker_that_cannot_be_ended_does_not_hold_the_job_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "workers_of", lambda _: [2**22])
    monkeypatch.setattr(launch, "GONE_TIMEOUT_S", 0.05)
    assert launch.end_leftovers(tmp_path) == 1
