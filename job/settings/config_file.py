"""The YAML file that ``JOB_CONFIG`` names: groups of settings as mappings, the weakest source after the defaults."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

CONFIG_VARIABLE = "JOB_CONFIG"


def read(path: str | None, groups: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The file's groups, and what is wrong with it, in sentences without values.

    Args:
        path: the file; None for no file, which is no setting at all.
        groups: the names that may stand at its top.  What stands inside them is checked with the settings of all sources.
    """
    if path is None:
        return {}, []
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{CONFIG_VARIABLE} names a file that cannot be read: {reason(error)}."]
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        return {}, [f"{CONFIG_VARIABLE} names a file that is not valid YAML{where}."]
    if content is None:
        return {}, []
    if not isinstance(content, dict):
        return {}, [f"{CONFIG_VARIABLE} must hold a mapping of groups, such as `train:` with `epochs: 3` below it."]
    found = {str(name): _without_empty(group) for name, group in content.items()}
    problems = [_unknown_group(name, groups) for name in found if name not in groups]
    return {name: group for name, group in found.items() if name in groups and group is not None}, problems


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Why a file of settings cannot be read."""
    return str(error.strerror) if isinstance(error, OSError) else "it is not UTF-8 text"


def _unknown_group(name: str, groups: Collection[str]) -> str:
    near = difflib.get_close_matches(name, groups, n=1)
    return f"`{name}` (from {CONFIG_VARIABLE}) is no group of settings.{f' Nearest: `{near[0]}`.' if near else ''}"


def _without_empty(group: Any) -> Any:
    """A YAML entry with nothing after its colon is not set, as an empty variable is not."""
    if isinstance(group, dict):
        return {str(name): value for name, value in group.items() if value is not None}
    return group
