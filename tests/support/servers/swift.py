"""A real OpenStack Swift with its S3 interface on loopback: account, container, object server and proxy, from PyPI.

It stands for the stores that understand ``If-None-Match: *`` and do not keep its promise: of several writers at once, two to
four are told that theirs is the object.  Its file system needs extended attributes.
"""

import contextlib
import getpass
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.servers.processes import Endpoint, answers, free_ports, running, wait_until

USER, SECRET = "test:tester", "testing"
KINDS = ("account", "container", "object")

_RINGS = """
import sys
from swift.common.ring import RingBuilder
for kind, port in zip(("account", "container", "object"), map(int, sys.argv[1:])):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1",
                     "replication_port": port, "device": "d1", "weight": 1.0, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(f"{kind}.ring.gz")
"""
_SHARED = """
[swift-hash]
swift_hash_path_suffix = tests
swift_hash_path_prefix = tests
[storage-policy:0]
name = p0
default = yes
"""
_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/dev
mount_check = false
workers = 0
user = {user}
log_name = {kind}
log_address = /nonexistent
fallocate_reserve = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_FILTERS = ("catch_errors", "gatekeeper", "cache", "listing_formats", "bulk", "s3api", "tempauth", "copy", "slo", "dlo", "symlink")
_OPTIONS = {
    "cache": "memcache_servers =",
    "s3api": "s3_acl = false\nlocation = us-east-1\ncheck_bucket_owner = false\ndns_compliant_bucket_names = false\nmin_segment_size = 5242880",
    "tempauth": f"user_{USER.replace(':', '_')} = {SECRET} .admin\nallow_overrides = true",
    "slo": "rate_limit_after_segment = 1000",
}
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
workers = 0
user = {user}
log_name = proxy
log_address = /nonexistent
[pipeline:main]
pipeline = {pipeline} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
"""


def is_installed(venv: Path) -> bool:
    return (venv / "bin" / "swift-proxy-server").exists()


@contextlib.contextmanager
def swift(venv: Path) -> Iterator[Endpoint]:
    """A service with one user, for as long as the block runs.

    Args:
        venv: virtual environment with swift and anycrc.
    """
    with tempfile.TemporaryDirectory(prefix="swift-", ignore_cleanup_errors=True) as name, contextlib.ExitStack() as stack:
        folder, proxy_port = Path(name), free_ports(4)
        storage_ports = {kind: proxy_port + 1 + index for index, kind in enumerate(KINDS)}
        _configure(folder, proxy_port, storage_ports)
        rings = [str(venv / "bin" / "python"), "-c", _RINGS, *map(str, storage_ports.values())]
        subprocess.run(rings, cwd=folder, check=True, capture_output=True)
        environment = {**os.environ, "SWIFT_CONF": str(folder / "swift.conf")}
        for kind, port in {**storage_ports, "proxy": proxy_port}.items():
            log = folder / f"{kind}.out"
            command = [str(venv / "bin" / f"swift-{kind}-server"), str(folder / f"{kind}.conf")]
            process = stack.enter_context(running(command, log, environment))
            wait_until(lambda port=port: answers(port), process, log)
        yield Endpoint("swift", f"http://127.0.0.1:{proxy_port}", USER, SECRET)


def _configure(folder: Path, proxy_port: int, storage_ports: dict[str, int]) -> None:
    (folder / "dev" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(_SHARED)
    values = {"folder": folder, "user": getpass.getuser()}
    for kind, port in storage_ports.items():
        (folder / f"{kind}.conf").write_text(_STORAGE.format(kind=kind, port=port, **values))
    filters = "\n".join(
        f"[filter:{name}]\nuse = egg:swift#{'memcache' if name == 'cache' else name}\n{_OPTIONS.get(name, '')}" for name in _FILTERS
    )
    (folder / "proxy.conf").write_text(_PROXY.format(port=proxy_port, pipeline=" ".join(_FILTERS), **values) + filters)
