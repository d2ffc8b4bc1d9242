"""The image: its size and build time, and how long a container takes to its first line and to its first training step.

    python -m benchmarks.container_start [--rounds 5] [--build]

Beside it, the same recipe as one would start it otherwise, in the same image: ``accelerate launch`` of a script like transformers'
`run_glue` (`benchmarks/glue_like.py`).  Needs podman, as the tests of the container do.  ``--build`` builds everything anew and times it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import machine
from tests.support import tiny
from tests.support.containers import image as images
from tests.support.containers.podman import environ, podman, variables

RESULTS = Path(__file__).parent / "results" / "container_start.md"
GLUE = Path(__file__).parent / "glue_like.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", action="store_true")
    asked = parser.parse_args()
    base = images.base_image()
    busy, began = machine.busy_seconds(), time.monotonic()
    if asked.build:
        podman("rmi", "--force", images.IMAGE, check=False)
        podman("image", "prune", "--force")
    image = images.build()
    build_s = time.monotonic() - began
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny.write_model(folder / "model")
        tiny.write_csv(folder / "train.csv", tiny.sentences(300))
        # In turns: how busy the machine is changes, and is then the same for both.
        rounds = [(_ours(image, folder, number), _theirs(image, folder), os.getloadavg()[0]) for number in range(asked.rounds)]
    ours, theirs, loads = zip(*rounds, strict=True)
    elapsed = time.monotonic() - began
    about = json.loads(podman("image", "inspect", image).stdout)[0]
    base_size = json.loads(podman("image", "inspect", base).stdout)[0]["Size"]
    load = (machine.busy_seconds() - busy) / elapsed
    rows = [
        ("image (processors alone), MB", f"{about['Size'] / 1e6:,.0f}"),
        ("of which base image, MB", f"{base_size / 1e6:,.0f}"),
        ("build on top of the base image, s", f"{build_s:.0f}" if asked.build else "not measured"),
        ("start to first log line, ours, s", _spread([first for first, _ in ours])),
        ("start to first training step, ours, s", _spread([step for _, step in ours])),
        ("start to first output, accelerate launch, s", _spread([first for first, _ in theirs])),
        ("start to first training step, accelerate launch, s", _spread([step for _, step in theirs])),
    ]
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    RESULTS.write_text(
        "# The container\n\n"
        f"Median (smallest to largest) of {asked.rounds} starts each; `python -m benchmarks.container_start`. "
        f"{machine.sentence({**machine.describe(), 'versions': _versions(image)})} All of the machine's cores together were busy with {load:.1f} seconds a second; its load was {_spread(loads)}.\n\n"
        f"| | |\n|---|---|\n{table}\n"
        "Ours takes over the run, fetches, verifies and prepares before it trains, in processes of their own.\n"
    )
    print(table)


def _versions(image: str) -> dict[str, str]:
    """Of the libraries in the image."""
    program = (
        f"import json; from importlib import metadata; print(json.dumps({{n: metadata.version(n) for n in {machine.LIBRARIES}}}))"
    )
    return dict(
        json.loads(podman("run", "--rm", "--pull=never", "--network=none", "--entrypoint=python", image, "-c", program).stdout)
    )


def _ours(image: str, folder: Path, number: int) -> tuple[float, float]:
    """Seconds to the first line of the log and to the record of the first step."""
    run = folder / f"runs-{number}"
    places = {"RUN__DIR": str(run), "OUTPUT__URI": str(folder / f"store-{number}"), "PARALLEL__DEVICE": "cpu"}
    given = tiny.environ(folder, **places, TRAIN__MAX_STEPS="20", TRAIN__LOG_EVERY_STEPS="1")
    metrics = run / "tiny" / "metrics.jsonl"
    return _timed([*_options(folder), *variables(given), image], metrics.exists)


def _theirs(image: str, folder: Path) -> tuple[float, float]:
    """Seconds to the first output and to the end of the first step."""
    options = [*_options(folder), f"--volume={GLUE}:/glue_like.py:ro", "--entrypoint=accelerate"]
    command = ["launch", "--cpu", "--num_processes=1", "/glue_like.py", str(folder)]
    return _timed([*options, image, *command], None)


def _options(folder: Path) -> list[str]:
    return ["--rm", "--pull=never", "--network=none", "--user=0:0", f"--volume={folder}:{folder}"]


def _timed(arguments: Sequence[str], stepped: Callable[[], bool] | None) -> tuple[float, float]:
    """Run a container; when its first line came and when its first step was done, by a file or by a line that says so."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["podman", "run", *arguments], env=dict(environ()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    first = step = 0.0
    lines = []
    assert process.stdout is not None
    if stepped is not None:
        lines.append(process.stdout.readline())
        first = time.monotonic() - began
        while not stepped():
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.01)
        step = time.monotonic() - began
    for line in process.stdout:
        lines.append(line)
        first = first or time.monotonic() - began
        if stepped is None and "first step" in line:  # behind a progress bar, which ends no line
            step = time.monotonic() - began
    assert process.wait() == 0, "".join(lines)[-3000:]
    assert step > 0, "no line says that a step was done"
    return first, step


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
