"""The command that runs the job in one container on this machine, hardened as the pod is."""

from __future__ import annotations

from job.errors import SettingsError
from job.submit.request import Request

USER = "10001:10001"
GRACE_S = 600
TMP_GIB = 10


def command(request: Request, program: str) -> list[str]:
    """The command line.

    Args:
        request: what was asked for.
        program: ``docker`` or ``podman``, which take the same options but for GPUs.

    Raises:
        SettingsError: when it asks for what one container is not.
    """
    asked = request.options
    if asked.image is None or asked.nodes > 1 or asked.variants_path is not None:
        raise SettingsError(
            "Docker runs one container of one image on this machine.",
            "Set SUBMIT_IMAGE, and leave out SUBMIT_NODES and SUBMIT_VARIANTS_PATH.",
        )
    name = f"finetune-{request.name}"
    gpus = ["--device=nvidia.com/gpu=all"] if program == "podman" else [f"--gpus={asked.gpus}"]
    return [
        program,
        "run",
        "--rm",
        f"--name={name}",
        f"--user={USER}",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--stop-timeout={GRACE_S}",
        f"--cpus={asked.cpus}",
        f"--memory={asked.memory_gib}g",
        f"--shm-size={min(8, asked.memory_gib // 2)}g",
        f"--tmpfs=/tmp:rw,size={TMP_GIB}g",
        f"--volume={name}:/work",
        *(f"--volume={mount}" for mount in asked.mounts),
        *(gpus if asked.gpus else ()),
        f"--env-file={request.path}",
        "--env=JOB_RUN__DIR=/work/runs",
        f"--env=JOB_RUN__GRACE_S={GRACE_S}",
        *(f"--env={variable}" for variable in asked.pass_env),
        asked.image,
        "run",
    ]


def running(request: Request, program: str) -> list[str]:
    """The command that tells the id of the image of the run's container, and behind it what the container was started with, as JSON."""
    return [program, "inspect", "--type=container", "--format={{.Image}} {{json .Config}}", f"finetune-{request.name}"]


def of_the_image(image: str, program: str) -> list[str]:
    """The command that tells which variables an image brings."""
    return [program, "image", "inspect", "--format={{json .Config.Env}}", image]
