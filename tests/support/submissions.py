"""Settings files for tests of ``job submit``."""

from pathlib import Path

from job.submit import request
from job.submit.request import Request

LINES = {
    "JOB_RUN__NAME": "first",
    "JOB_MODEL__URI": "hf://org/name",
    "JOB_DATA__TRAIN_URI": "s3://bucket/train.csv",
    "JOB_OUTPUT__URI": "s3://bucket/runs",
    "SUBMIT_IMAGE": "registry.example:5000/team/finetune-job:1.2",
}


def written(folder: Path, **changes: str) -> Path:
    """A settings file; an empty value leaves a line out."""
    path = folder / "run.env"
    lines = {name: value for name, value in (LINES | changes).items() if value}
    path.write_text("# a run\n\n" + "".join(f"{name}={value}\n" for name, value in lines.items()))
    return path


def asked(folder: Path, **changes: str) -> Request:
    return request.read(written(folder, **changes))


def variants(folder: Path, number: int = 3) -> str:
    """The path of a file of variants."""
    path = folder / "variants.txt"
    path.write_text("# seeds\n" + "".join(f"JOB_RUN__SEED={seed}\n" for seed in range(number)))
    return str(path)
