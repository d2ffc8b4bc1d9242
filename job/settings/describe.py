"""Settings for readers: one table, one schema, one environment file, all drawn from the same JSON schema as the checks.

Nothing here reads a value except `resolved_table`, whose values come masked from `job.settings.resolved`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from job.settings import resolved
from job.settings.config_file import CONFIG_VARIABLE
from job.settings.root import FILE_SUFFIX, Settings, variable

_KINDS = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text", "array": "list, by comma"}
_FORMATS = {"path": "path", "password": "secret"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_INTRODUCTION = f"""\
# Settings

Every setting is an environment variable. Sources, strongest first: the variable; the file that `<variable>{FILE_SUFFIX}` names
(for secrets); the YAML file that `{CONFIG_VARIABLE}` names, with the groups as keys; the default. An empty variable counts as not
set. A `JOB_` variable that is no setting is an error, and everything wrong is reported at once (exit code 64), without values.
Rules between the settings of one group are checked once each of them is right by itself.

`AWS_*` variables belong to boto3, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HOME` to huggingface_hub; they are used as they are.

This page is generated (`make docs`) from `job/settings/`.
"""


@dataclass(frozen=True)
class Entry:
    """One setting as its group declares it.  ``default`` is the text a variable would hold, None for a required setting."""

    variable: str
    kind: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Section:
    """One group: its key in the YAML file (empty for settings outside of groups), its docstring, its settings."""

    name: str
    purpose: str
    entries: list[Entry]


def json_schema() -> dict[str, Any]:
    """The JSON schema of the YAML file; an editor can check against it."""
    return Settings.model_json_schema()


def sections() -> Iterator[Section]:
    """Every setting, by group, in the order of the code."""
    schema = json_schema()
    loose = {name: field for name, field in schema["properties"].items() if _group(schema, field) is None}
    yield Section("", "What is asked for.", _entries((), loose, set(schema["required"])))
    for name, field in schema["properties"].items():
        group = _group(schema, field)
        if group is not None:
            yield Section(name, group["description"], _entries((name,), group["properties"], set(group.get("required", ()))))


def table() -> str:
    """Markdown: for each group a table of variable, type with bounds, default, meaning with unit."""
    return _INTRODUCTION + "".join(_section_table(section) for section in sections())


def options_table(model: type[BaseModel], prefix: str) -> str:
    """Markdown: the same table for a group that is no part of the job's settings, such as the options of ``job submit``."""
    fields = model.model_json_schema()["properties"]
    entries = [
        Entry(f"{prefix}{name.upper()}", _kind(field), _as_text(field["default"]), field["description"])
        for name, field in fields.items()
    ]
    return _section_table(Section("", (model.__doc__ or "").strip(), entries)).lstrip()


def env_file() -> str:
    """An environment file (``docker run --env-file``) that lists every variable: required ones empty, the others commented out."""
    lines = ["# Every setting of the job. Lines that begin with # hold the defaults; remove the # to change one.", ""]
    for section in sections():
        lines += [f"# --- {section.purpose}", ""]
        for entry in section.entries:
            lines.append(f"# {entry.kind}{', required' if entry.default is None else ''}. {entry.meaning}")
            lines += [f"{entry.variable}=" if entry.default is None else f"#{entry.variable}={entry.default}", ""]
    return "\n".join(lines)


def resolved_table(settings: Settings) -> str:
    """``VARIABLE=value`` for every setting in force, secrets masked, with the fingerprint of those that decide the result."""
    lines = []
    for name, value in resolved.dump(settings).items():
        fields = {(name, inner): found for inner, found in value.items()} if isinstance(value, dict) else {(name,): value}
        lines += [f"{variable(*path)}={_as_text(found)}" for path, found in fields.items()]
    return "\n".join([*lines, f"# fingerprint of the settings that decide the result: {resolved.fingerprint(settings)}", ""])


def _group(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    reference = field.get("$ref")
    group: dict[str, Any] | None = schema["$defs"][reference.rpartition("/")[2]] if reference else None
    return group


def _entries(path: tuple[str, ...], fields: dict[str, Any], required: set[str]) -> list[Entry]:
    defaults = {name: None if name in required else _as_text(field.get("default")) for name, field in fields.items()}
    return [Entry(variable(*path, name), _kind(field), defaults[name], field["description"]) for name, field in fields.items()]


def _kind(field: dict[str, Any]) -> str:
    """The type in words, with its bounds: ``number > 0 ≤ 1``, ``one of linear, cosine``."""
    shape = next((choice for choice in field.get("anyOf", ()) if choice["type"] != "null"), field)
    if "const" in shape or "enum" in shape:
        return " | ".join(f"`{choice}`" for choice in shape.get("enum") or [shape["const"]])
    kind = _FORMATS.get(shape.get("format", ""), _KINDS[shape["type"]])
    return " ".join([kind, *(f"{sign} {_as_text(shape[bound])}" for bound, sign in _BOUNDS.items() if bound in shape)])


def _as_text(value: Any) -> str:
    """A value as its variable would hold it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_as_text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _section_table(section: Section) -> str:
    title = f"`{section.name}`: {section.purpose}" if section.name else section.purpose
    rows = [" | ".join(["", f"`{entry.variable}`", *_cells(entry), ""]).strip() for entry in section.entries]
    return "\n".join(["", f"## {title.rstrip('.')}", "", "| variable | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _cells(entry: Entry) -> list[str]:
    default = "**required**" if entry.default is None else f"`{entry.default}`" if entry.default else ""
    return [cell.replace("|", "\\|") for cell in (entry.kind, default, entry.meaning)]
