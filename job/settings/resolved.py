"""Settings as a file: how the node process hands them to its workers, and what of them decides the result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from job.settings.root import Settings

_RESULT_GROUPS = ("task", "model", "data", "tuning", "train", "eval", "tagging", "preference", "embedding")
_NO_EFFECT = {
    "model": {"hub_token"},
    "train": {"log_every_steps", "data_workers", "micro_batch_size", "micro_batch_tokens"},
    "eval": {"bootstrap_samples", "confidence", "micro_batch_tokens"},
}
_PLACES = {"model": {"uri", "revision", "base_uri"}, "data": {"train_uri", "eval_uri", "test_uri"}}
"""Where the inputs lie does not decide the result; what they hold does, which the prepared data's own hash covers."""


def dump(settings: Settings) -> dict[str, Any]:
    """The resolved settings as plain JSON values; secrets are masked."""
    return settings.model_dump(mode="json")


def read(path: Path) -> Settings:
    """Read what `dump` wrote; the masks stay in place of secrets."""
    return Settings(**json.loads(path.read_text(encoding="utf-8")))


def result_settings(settings: Settings) -> dict[str, Any]:
    """The part of the settings that changes the trained weights: what must be the same for a run to be continued."""
    values = dump(settings)
    chosen: dict[str, Any] = {"run.seed": settings.run.seed}
    for group in _RESULT_GROUPS:
        if not isinstance(values[group], dict):
            chosen[group] = values[group]
            continue
        left_out = _NO_EFFECT.get(group, set()) | _PLACES.get(group, set())
        chosen |= {f"{group}.{name}": value for name, value in values[group].items() if name not in left_out}
    return chosen


def places(settings: Settings) -> dict[str, Any]:
    """Where the inputs lie, by the setting that says so."""
    values = dump(settings)
    return {f"{group}.{name}": values[group][name] for group, names in _PLACES.items() for name in sorted(names)}


def fingerprint(settings: Settings) -> str:
    """sha256 over `result_settings`."""
    return hashlib.sha256(json.dumps(result_settings(settings), sort_keys=True).encode()).hexdigest()
