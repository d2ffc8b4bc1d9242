"""``job demo``: make the corpus and the model, then run the real pipeline on them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from job.cluster import launch, topology
from job.demo.corpus import write_data
from job.demo.settings import demo_environ
from job.errors import CrashError
from job.settings import root


def main(environ: Mapping[str, str]) -> int:
    """Run the demo in ``runs/demo`` below the current folder, always from the beginning; ``JOB_*`` variables change its settings.

    Returns:
        The pipeline's exit code.
    """
    folder = Path("runs").resolve() / "demo"
    chosen = {**demo_environ(folder), **environ}
    root.load(chosen)
    shutil.rmtree(folder, ignore_errors=True)
    write_data(folder / "data")
    cores = topology.available_cores()
    command = launch.Launch(
        (sys.executable, "-m", "job.workers.demo", str(folder)),
        launch.worker_environ(environ, topology.Topology(1, 0, 1, cores, "cpu")),
    )
    log = folder / "demo.log"
    process = launch.start(command, log)
    if process.wait() != 0:
        raise CrashError(f"The demo's model and corpus could not be made; {log} says why.")
    from job import pipeline  # late: a wrong setting is answered before

    return pipeline.main(chosen)
