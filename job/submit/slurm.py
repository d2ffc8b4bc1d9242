"""The command that submits to Slurm: the shipped script, with options from one settings file."""

from __future__ import annotations

import math
from pathlib import Path

from job.submit.request import Request

VARIABLE = "JOB_SETTINGS_FILE"
"""Where the script looks for the settings file, which it reads by itself on each start."""
VARIANTS = "JOB_SWEEP__VARIANTS_PATH"
GRACE = "JOB_RUN__GRACE_S"


def command(request: Request, folder: Path) -> list[str]:
    """The command line of ``sbatch``; of an array, where each element finds its variant by its index.

    Args:
        request: what was asked for.
        folder: the shipped folder ``slurm``.
    """
    asked = request.options
    options = {
        "job-name": f"finetune-{request.name}",
        "nodes": str(asked.nodes),
        "cpus-per-task": str(asked.cpus),
        "mem": f"{asked.memory_gib}G",
        "time": _duration(asked.time_limit_s),
        "signal": _signal(request),
        "gpus-per-node": str(asked.gpus) if asked.gpus else None,
        "array": f"0-{len(request.runs) - 1}%{asked.variants_at_once}" if request.is_sweep else None,
        "export": ",".join(environment(request)),
        "partition": asked.partition,
        "account": asked.account,
    }
    chosen = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return ["sbatch", *chosen, str(folder / "job.sbatch")]


def environment(request: Request) -> dict[str, str]:
    """The variables beside the command; the settings themselves stay in their file."""
    variants = request.options.variants_path
    return {VARIABLE: str(request.path)} | ({VARIANTS: str(variants.resolve())} if variants is not None else {})


def running(request: Request) -> list[str]:
    """The command that lists what of this run is in the queue, one job a line, as `sbatch` options."""
    shown = "--nodes=%D --time=%l --partition=%P --account=%a job %i, %T"
    return ["squeue", "--noheader", "--me", f"--name=finetune-{request.name}", f"--format={shown}"]


def _signal(request: Request) -> str | None:
    """The warning as early as the settings' grace says; where they say nothing, the script's own numbers belong together."""
    if not any(GRACE in variables for variables in (request.variables, *request.variants)):
        return None
    return f"B:USR2@{math.ceil(max(run.run.grace_s for run in request.runs))}"


def _duration(seconds: int) -> str:
    """``days-hours:minutes:seconds``, the one form that says what it means."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
