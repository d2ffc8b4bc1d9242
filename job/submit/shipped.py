"""Where the folders that are shipped beside the code lie: links in the source tree, copies in an installed package."""

from __future__ import annotations

from pathlib import Path

from job.errors import SettingsError

HERE = Path(__file__).parent


def folder(name: str, here: Path = HERE) -> Path:
    """The folder ``k8s`` or ``slurm``.

    Raises:
        SettingsError: when this copy of the job came without it.
    """
    found = (here / name).resolve()
    if not found.is_dir():
        raise SettingsError(
            f"This copy of the job came without the folder {name}/.",
            f"Install the package as a whole, or submit from a checkout, where {name}/ lies at the top.",
        )
    return found
