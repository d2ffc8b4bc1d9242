"""``python -m tests.support.documents``: write the documents that are generated from the code.  A house test keeps them equal."""

from pathlib import Path

from job import errors
from job.settings import describe

DOCS = Path(__file__).parents[2] / "docs"
EXIT_CODES = """\
# Exit codes

What the process's exit code tells a scheduler. With every code but 0 go a few plain sentences on standard error (what happened,
why, what to do) and one JSON object in `failure.json`, in the run directory and in the store.

| code | name | when | the scheduler should |
|---|---|---|---|
"""


def exit_codes() -> str:
    """The table of docs/exit_codes.md, from the error classes."""
    rows = [(errors.COMPLETE, "complete", "Published, and evaluated from the published bytes.", errors.Retry.STOP)]
    rows += [
        (code, error.name, (error.__doc__ or "").splitlines()[0], error.retry) for code, error in sorted(errors.ERRORS.items())
    ]
    return EXIT_CODES + "".join(f"| {code} | {name} | {when} | {retry.value} |\n" for code, name, when, retry in rows)


def all_documents() -> dict[Path, str]:
    return {DOCS / "settings.md": describe.table(), DOCS / "exit_codes.md": exit_codes()}


def main() -> None:
    for path, text in all_documents().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
