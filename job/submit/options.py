"""What a scheduler has to know and the job does not: the ``SUBMIT_*`` lines of a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from job.settings.group import CommaList, Group

PREFIX = "SUBMIT_"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
Image = Annotated[str, StringConstraints(pattern=r"^[\w./:@-]+$")]
Word = Annotated[str, StringConstraints(pattern=r"^[\w.,:@-]+$")]


class SubmitOptions(Group):
    """How the job is submitted: image, size, names of secrets."""

    image: Image | None = None
    """Image of the job, with its tag or digest. Slurm runs without one unless `BATCH_CONTAINER` says otherwise."""

    nodes: int = Field(default=1, ge=1, le=999)
    """Number of nodes. More than one is a JobSet on Kubernetes."""

    gpus: int = Field(default=1, ge=0, le=64)
    """GPUs on each node; 0 trains on processors."""

    cpus: int = Field(default=8, ge=1, le=1024)
    """Processors on each node."""

    memory_gib: int = Field(default=64, ge=2)
    """Memory on each node in GiB."""

    disk_gib: int = Field(default=100, ge=1)
    """Local disk of each node in GiB, for inputs, prepared data and two checkpoints. Kubernetes only."""

    time_limit_s: int = Field(default=604800, ge=600)
    """Seconds after which the scheduler stops an attempt, which then saves. Slurm starts the next one by itself, and so does Kubernetes for a variant of a sweep; another Job or JobSet of Kubernetes fails there, and continues its run when it is deleted and applied again. Not for Docker."""

    variants_path: Path | None = None
    """File of a sweep, one variant in a line (`JOB_SWEEP__VARIANTS_PATH`): as many runs as it has lines. Kubernetes and Slurm."""

    variants_at_once: int = Field(default=2, ge=1)
    """Variants of a sweep that run at the same time."""

    namespace: Name | None = None
    """Kubernetes: the namespace. Default: that of kubectl's context."""

    queue: Name | None = None
    """Kubernetes: Kueue's queue (component `kueue`)."""

    spot: bool = False
    """Kubernetes: run on machines that may be taken away (component `spot`)."""

    s3_secret: Name | None = None
    """Kubernetes: the secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (component `s3-secret`)."""

    s3_role: Annotated[str, StringConstraints(pattern=r"^arn:[\w:/+=,.@-]+$")] | None = None
    """Kubernetes: the role for the bucket (component `s3-irsa`)."""

    hub_token_secret: Name | None = None
    """Kubernetes: the secret whose key `token` is a token for the Hub (component `hub-token`)."""

    cache_claim: Name | None = None
    """Kubernetes: the volume claim on which inputs and prepared data survive the pod (component `pvc-cache`). Its access mode has to be ReadWriteMany for several nodes, and for variants that run at the same time."""

    metrics: bool = False
    """Kubernetes: metrics for Prometheus (component `prometheus`)."""

    partition: Word | None = None
    """Slurm: the partition."""

    account: Word | None = None
    """Slurm: the account."""

    mounts: CommaList = ()
    """Docker: folders to mount, `/data:/data:ro`, by comma."""

    pass_env: CommaList = ()
    """Docker: variables handed on from the caller's environment by name, such as `AWS_SECRET_ACCESS_KEY`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.variants_path is not None and self.nodes > 1:
            raise ValueError("SUBMIT_VARIANTS_PATH runs each variant on one node: leave out SUBMIT_NODES")
        if self.s3_secret is not None and self.s3_role is not None:
            raise ValueError("SUBMIT_S3_SECRET and SUBMIT_S3_ROLE are two ways to the same bucket: give one of them")
        return self


def read(variables: Mapping[str, str]) -> tuple[SubmitOptions | None, list[str]]:
    """The options among some variables, and what is wrong with them, without values."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in variables.items() if name.startswith(PREFIX) and value}
    try:
        return SubmitOptions.model_validate(given), []
    except ValidationError as error:
        return None, [
            _sentence(str(detail["loc"][0]) if detail["loc"] else "", str(detail["type"]), str(detail["msg"]))
            for detail in error.errors()
        ]


def _sentence(field: str, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"{PREFIX}{field.upper()} is no option of `job submit`; there are {', '.join(f'{PREFIX}{n.upper()}' for n in SubmitOptions.model_fields)}."
    message = message.removeprefix("Value error, ")
    return f"{PREFIX}{field.upper()}: {message}." if field else f"{message}."
