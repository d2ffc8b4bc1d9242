"""The audit of the locked packages by the real pip-audit.

The service is a stand-in that speaks OSV's protocol: what the real one will say tomorrow is not for a test to know.
"""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.support.dependency_audit import ROOT

WEAK = "jinja2"
WEAKNESS = {
    "id": "PYSEC-0000-1",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": WEAK, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


@pytest.fixture
def service():
    """(weaknesses by package, and ``status``; packages that were asked for; the address)."""
    known, asked = {}, []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            asked.append(name)
            body = json.dumps({"vulns": known[name]} if name in known else {}).encode()
            self.send_response(known.get("status", 200))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    yield known, asked, f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(*options):
    command = [sys.executable, "-m", "tests.support.dependency_audit", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_every_locked_package_is_asked_for(service, tmp_path):
    _, asked, address = service
    code, said = audit("--require", "-s", "osv", "--osv-url", address, "--cache-dir", str(tmp_path))
    locked = {
        line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line and line[0] != "#"
    }
    assert set(asked) == locked
    assert (code, said) == (0, f"audit: no known weakness in {len(locked)} packages\n")


def test_a_weakness_is_named_and_turns_the_audit_red(service, tmp_path):
    known, _, address = service
    known[WEAK] = [WEAKNESS]
    code, said = audit("-s", "osv", "--osv-url", address, "--cache-dir", str(tmp_path))
    assert code == 1
    assert said.startswith(f"{WEAK} ")
    assert "PYSEC-0000-1, mended in 99.0" in said


@pytest.mark.parametrize(("options", "expected"), [((), 0), (("--require",), 1)])
def test_a_service_that_cannot_be_reached_is_no_clean_bill(tmp_path, options, expected):
    code, said = audit(*options, "-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query", "--cache-dir", str(tmp_path))
    assert (code, said) == (expected, "audit: NOT DONE, no data on weaknesses can be reached from here\n")


def test_a_service_in_trouble_is_no_clean_bill(service, tmp_path):
    known, _, address = service
    known["status"] = 503
    code, said = audit("--require", "-s", "osv", "--osv-url", address, "--cache-dir", str(tmp_path))
    assert (code, said) == (1, "audit: NOT DONE, no data on weaknesses can be reached from here\n")
