import pytest

from tests.support.environments import load, refusal


def test_by_default_nobody_is_told():
    assert (load().metrics.port, load().metrics.textfile) == (None, None)


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_is_one(port):
    assert "JOB_METRICS__PORT: " in refusal(METRICS__PORT=port)


def test_the_file_is_one_that_is_collected():
    assert str(load(METRICS__TEXTFILE="/metrics/job.prom").metrics.textfile) == "/metrics/job.prom"
    assert "JOB_METRICS__TEXTFILE: node_exporter reads files whose name ends with .prom" in refusal(
        METRICS__TEXTFILE="/metrics/job.txt"
    )
