"""The files that hold a model's weights, looked at before a library reads them.

safetensors only: the pickle format runs code when it is read.  A damaged file is named here; the library would name an offset.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from job.errors import SettingsError
from job.workers.model import first_line, read_object

_INDEX = "model.safetensors.index.json"
_FETCH_ANEW = "Fetch the folder named by JOB_MODEL__URI anew, or point JOB_MODEL__URI at a complete model."


def check_weight_files(folder: Path) -> None:
    """Look at the weight files before a library does.

    Raises:
        SettingsError: when there are none, only pickled ones, a part is missing, or one is damaged.
    """
    files = _weight_files(folder)
    if not files:
        pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        raise SettingsError(
            f"The model's weights are pickled ({pickled[0]}), a format that can run code when it is read; this job reads safetensors only."
            if pickled
            else "The model's folder has no weights: no model.safetensors.",
            "Save the model with save_pretrained (transformers 4.35 or later writes safetensors) and point JOB_MODEL__URI at that folder."
            if pickled
            else "Point JOB_MODEL__URI at a folder with model.safetensors, or set JOB_MODEL__FROM_CONFIG=true to start from random weights.",
        )
    for path in files:
        if not path.is_file():
            raise SettingsError(f"The model's {_INDEX} lists {path.name}, which is not in the folder.", _FETCH_ANEW)
        try:
            with safe_open(path, framework="pt"):
                pass
        except SafetensorError as error:
            raise SettingsError(f"The model's {path.name} is damaged or cut short: {first_line(error)}.", _FETCH_ANEW) from error


def _weight_files(folder: Path) -> list[Path]:
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if (folder / _INDEX).is_file():
        return [folder / name for name in sorted(set(read_object(folder, _INDEX).get("weight_map", {}).values()))]
    return []
