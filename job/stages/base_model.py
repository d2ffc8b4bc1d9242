"""An adapter as the model to start from: what its folder says of the base that it belongs to.  No library is needed for that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job.errors import SettingsError
from job.storage.snapshot import ADAPTER_CONFIG

_VARIABLE = "JOB_MODEL__BASE_URI"


def is_adapter(folder: Path) -> bool:
    """Whether a fetched folder is an adapter, and not a model of its own."""
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file()


def recorded_base(folder: Path) -> tuple[str, str | None]:
    """Place and revision of the base that an adapter names.

    Raises:
        SettingsError: when it names none.
    """
    content = _read(folder)
    name, revision = content.get("base_model_name_or_path"), content.get("revision")
    if not isinstance(name, str) or not name:
        raise SettingsError(
            f"The adapter in JOB_MODEL__URI names no base model in its {ADAPTER_CONFIG}.", f"Give the base's place in {_VARIABLE}."
        )
    # Old names on the Hub have no namespace, and look like a folder here.
    is_bare = "/" not in name and not Path(name).exists()
    return (f"hf://{name}" if is_bare else name), revision if isinstance(revision, str) and revision else None


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / ADAPTER_CONFIG).read_bytes())
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"The {ADAPTER_CONFIG} of the adapter in JOB_MODEL__URI is not valid JSON.", "Fetch the adapter anew."
        ) from error
    return content if isinstance(content, dict) else {}
