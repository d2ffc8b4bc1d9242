from pathlib import Path

from job.demo.settings import RUN_NAME, demo_environ
from job.settings import root


def test_the_demo_is_a_valid_run(tmp_path):
    settings = root.load(demo_environ(tmp_path))
    assert settings.run.name == RUN_NAME
    assert settings.parallel.workers_per_node == 2
    assert settings.output.uri == f"file://{tmp_path}/store"


def test_everything_lies_below_the_folder():
    paths = [value.removeprefix("file://") for name, value in demo_environ(Path("/x")).items() if name.endswith(("URI", "DIR"))]
    assert len(paths) == 5
    assert all(path == "/x" or path.startswith("/x/") for path in paths)
