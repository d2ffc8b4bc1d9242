"""Object names that are safe to turn into file names.

A store may hold any name at all, ``../../etc/passwd`` included, and a folder may hold symbolic links that lead out of it.
"""

from __future__ import annotations

from pathlib import Path

from job.errors import DataError

_HINT = "Rename or remove the object: names need plain parts separated by single slashes."


def check_key(key: str) -> str:
    """Return ``key`` as it is.

    Raises:
        DataError: when it is absolute, has an empty part, ``.`` or ``..``, a backslash, or NUL.
    """
    parts = key.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\\" in key or "\0" in key:
        raise DataError(f"The object name {key!r} cannot be a file name below a folder.", _HINT)
    return key


def path_below(folder: Path, key: str) -> Path:
    """The path of ``key`` below ``folder``, which itself may be a link; no folder on the way from it may be one.

    Raises:
        DataError: when the key is unsafe (`check_key`) or a parent is a symbolic link.
    """
    path = folder
    *parents, name = check_key(key).split("/")
    for parent in parents:
        path = path / parent
        if path.is_symlink():
            raise DataError(
                f"{path} is a symbolic link to a folder.", "Replace it by the folder, or name the folder itself in the setting."
            )
    return path / name
