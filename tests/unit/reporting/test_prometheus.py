"""Read back with Prometheus' own parser; the port is a real one."""

import errno
import socket
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from job.reporting import prometheus
from job.reporting.status import Status
from job.settings.metrics import MetricsSettings
from tests.support import parts
from tests.support.servers.processes import free_ports

LABELS = {"run": "tiny", "node": "1"}


@pytest.fixture
def status():
    status = Status()
    status.begin("train")
    status.update({"step": 20, "num_steps": 100, "train/loss": float("inf"), "perf/tokens_per_second": 1234.5}, 0.0)
    status.committed(10, 1.5)
    status.upload_failed()
    return status


def samples(text):
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert all(LABELS.items() <= sample.labels.items() for sample in found)
    return {sample.name.removeprefix("finetune_job_"): sample.value for sample in found if "stage" not in sample.labels}, {
        sample.labels["stage"]: sample.value for sample in found if "stage" in sample.labels
    }


def scraped(port, host="127.0.0.1"):
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as reply:
        assert reply.headers["Content-Type"].startswith("text/plain")
        return samples(reply.read().decode())


def test_a_port_tells_how_it_stands_now(status):
    port = free_ports(1)
    with prometheus.exported(MetricsSettings(port=port), status, LABELS, "service-"):
        values, stages = scraped(port)
        assert (values["step"], values["perf_tokens_per_second"], values["last_commit_step"]) == (20, 1234.5, 10)
        assert (values["uploads_total"], values["upload_failures_total"], values["upload_seconds"]) == (1, 1, 1.5)
        assert values["train_loss"] != values["train_loss"], "what is no finite number is NaN"
        assert "exit_code" not in values
        assert [stage for stage, value in stages.items() if value] == ["train"]
        status.begin("evaluate")
        assert [stage for stage, value in scraped(port)[1].items() if value] == ["evaluate"]
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("service-")] == ["service-metrics"]
    with pytest.raises(OSError, match="refused"):
        scraped(port)


def test_a_cluster_may_have_addresses_of_either_family(status, monkeypatch):
    parts.need("IPv6", there=socket.has_dualstack_ipv6() and has_ipv6_address())

    class OneFamily(socket.socket):
        """As of a machine with net.ipv6.bindv6only=1."""

        def __init__(self, family=-1, kind=-1, proto=-1, fileno=None):
            super().__init__(family, kind, proto, fileno)
            if family == socket.AF_INET6 and fileno is None:
                self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

    monkeypatch.setattr(socket, "socket", OneFamily)
    port = free_ports(1)
    with prometheus.exported(MetricsSettings(port=port), status, LABELS, "service-"):
        assert [scraped(port, host)[0]["step"] for host in ("[::1]", "127.0.0.1")] == [20, 20]


def test_a_machine_without_ipv6_serves_all_the_same(status, monkeypatch, caplog):
    class WithoutIPv6(socket.socket):
        """As of a kernel that was started without it."""

        def __init__(self, family=-1, *rest, **more):
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest, **more)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    port = free_ports(1)
    with prometheus.exported(MetricsSettings(port=port), status, LABELS, "service-"):
        assert scraped(port)[0]["step"] == 20
    assert caplog.messages == []


def has_ipv6_address():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def test_a_file_holds_the_end_as_well(status, tmp_path):
    path = tmp_path / "job.prom"
    with prometheus.exported(MetricsSettings(textfile=path), status, LABELS, "service-"):
        status.exit_code = 75
    assert samples(path.read_text())[0]["exit_code"] == 75
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_done_is_a_warning(status, tmp_path, caplog):
    port = free_ports(1)
    with prometheus.exported(MetricsSettings(port=port), status, LABELS, "service-"):
        again = MetricsSettings(port=port, textfile=tmp_path / "none" / "job.prom")
        with prometheus.exported(again, status, LABELS, "other-"):
            assert scraped(port)
    assert sum("metrics are not served" in message for message in caplog.messages) == 1
    assert sum("metrics are not written" in message for message in caplog.messages) == 1
