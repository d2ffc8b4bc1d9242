"""A real Ceph object gateway on loopback: one monitor, one OSD in memory, radosgw with http and https.  No systemd, no disk.

Two settings do most of it: ``paxos_propose_interval`` (a second per step otherwise), and ``ms_mon_client_mode = crc``, without
which radosgw waits for a secure connection that a cluster without keys cannot give.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.processes import Endpoint, answers, certificate, free_ports, running, wait_until

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "openssl")
KEY, SECRET = "testaccesskey", "testsecretkey"
_PORTS = 64
_MEMORY_BYTES = 4 << 30

_CONFIG = """
[global]
fsid = {fsid}
mon_host = {monitors}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
run_dir = {folder}
log_file = {folder}/$name.log
crash_dir = {folder}
admin_socket = {folder}/$name.asok
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}/rgw
osd_objectstore = memstore
memstore_device_bytes = {memory}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
ms_bind_port_min = {first_bound}
ms_bind_port_max = {last_bound}
rgw_frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{https} ssl_certificate={folder}/tls.pem
rgw_thread_pool_size = 32
rgw_gc_obj_min_wait = 2
rgw_gc_processor_period = 2
rgw_gc_processor_max_time = 2
rgw_enable_ops_log = false
"""


@dataclass(frozen=True)
class Ceph:
    """A running gateway."""

    http: Endpoint
    https: Endpoint


def is_installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


@contextlib.contextmanager
def ceph() -> Iterator[Ceph]:
    """A gateway with one user, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="ceph-", ignore_cleanup_errors=True) as name, contextlib.ExitStack() as stack:
        folder, base = Path(name), free_ports(_PORTS)
        environment = _configure(folder, base)
        _start(stack, folder, environment, base)
        yield Ceph(
            Endpoint("ceph http", f"http://127.0.0.1:{base}", KEY, SECRET),
            Endpoint("ceph https", f"https://127.0.0.1:{base + 3}", KEY, SECRET, str(folder / "tls.crt")),
        )


def _configure(folder: Path, base: int) -> dict[str, str]:
    """Write configuration, certificate and monitor map; the environment of all programs."""
    fsid, monitors = str(uuid.uuid4()), f"[v2:127.0.0.1:{base + 1},v1:127.0.0.1:{base + 2}]"
    values = {"fsid": fsid, "monitors": monitors, "folder": folder, "memory": _MEMORY_BYTES, "http": base, "https": base + 3}
    config = folder / "ceph.conf"
    config.write_text(_CONFIG.format(**values, first_bound=base + 10, last_bound=base + _PORTS - 1))
    crt, key = certificate(folder)
    (folder / "tls.pem").write_text(key.read_text() + crt.read_text())
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    environment = {**os.environ, "CEPH_CONF": str(config)}
    _call(["monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", monitors, str(folder / "monmap")], environment)
    _call(["ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap")], environment)
    return environment


def _start(stack: contextlib.ExitStack, folder: Path, environment: dict[str, str], base: int) -> None:
    def start(name: str, *command: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = folder / f"{name}.out"
        return stack.enter_context(running(command, log, environment)), log

    def says(words: str, *command: str) -> bool:
        done = subprocess.run(
            ["ceph", "--connect-timeout", "2", *command], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode == 0 and words in done.stdout

    monitor = start("mon", "ceph-mon", "-f", "-i", "a")
    wait_until(lambda: answers(base + 1), *monitor)
    wait_until(lambda: says("", "mon", "stat"), *monitor)
    osd_id = str(uuid.uuid4())
    _call(["ceph", "osd", "new", osd_id], environment)
    _call(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id], environment)
    osd = start("osd", "ceph-osd", "-f", "-i", "0")
    wait_until(lambda: says("1 up", "osd", "stat"), *osd)
    gateway = start("rgw", "radosgw", "-f", "-n", "client.admin")
    wait_until(lambda: answers(base) and answers(base + 3), *gateway)
    _call(
        ["radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test", "--access-key", KEY, "--secret", SECRET],
        environment,
    )


def _call(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    began = time.monotonic()
    with ceph() as server:
        print(json.dumps({"ready_s": round(time.monotonic() - began, 1), "http": server.http.url, "https": server.https.url}))
        input("Enter ends it. ")
