import io
import json
import logging

import pytest

from job.reporting import logs
from job.reporting.masking import MASK


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _root():
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def fail(message):
    raise ValueError(message)


def test_auto_goes_by_the_stream():
    assert logs.resolve("auto", io.StringIO()) == "json"
    assert logs.resolve("auto", Terminal()) == "text"
    assert logs.resolve("json", Terminal()) == "json"


def test_json_line_holds_context_and_extra():
    stream = io.StringIO()
    logs.setup("auto", stream, {"run": "demo", "attempt": 2})
    logging.getLogger("job.x").warning("step %d", 3, extra={"step": 3})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "logger": "job.x", "message": "step 3", "run": "demo", "attempt": 2, "step": 3}


def test_traceback_is_one_line_of_json():
    stream = io.StringIO()
    logs.setup("json", stream, {})
    try:
        fail("bad\nthing")
    except ValueError:
        logging.getLogger().exception("failed")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError: bad\nthing" in json.loads(stream.getvalue())["stack"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_are_masked_by_whatever_way_they_come(log_format):
    stream, hidden = io.StringIO(), 'top"word'
    logs.setup(log_format, stream, {}, [hidden])
    try:
        fail(f"refused {hidden}")
    except ValueError as error:
        logging.getLogger().exception("with %s", hidden, extra={"token": hidden, "thing": error})
    assert hidden not in stream.getvalue()
    assert json.dumps(hidden)[1:-1] not in stream.getvalue()
    assert MASK in stream.getvalue()
    if log_format == "json":
        json.loads(stream.getvalue())


def test_text_names_level_and_other_ranks_only_where_they_matter():
    stream = io.StringIO()
    logs.setup("text", stream, {"rank": 1})
    logging.getLogger().info("plain")
    logging.getLogger().error("worse")
    plain, worse = stream.getvalue().splitlines()
    assert plain.endswith("  [rank 1] plain")
    assert worse.endswith("  [rank 1] error: worse")


def test_setup_again_replaces_the_handler():
    first, second = io.StringIO(), io.StringIO()
    logs.setup("text", first, {})
    logs.setup("text", second, {})
    logging.getLogger().info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_on_a_terminal_a_line_clears_the_progress_line():
    stream = Terminal()
    logs.setup("auto", stream, {})
    logging.getLogger().info("hello")
    assert stream.getvalue().startswith(logs.CLEAR_LINE)


def test_the_hubs_http_client_does_not_log_its_requests():
    """Their addresses may be signed. The logger is the library's own: under another name it would be heard."""
    from httpx2 import _client

    logs.setup("json", io.StringIO(), {})
    assert not _client.logger.isEnabledFor(logging.INFO)
