"""``python -m tests.support.documents``: write the documents that are generated from the code.  A house test keeps them equal."""

from pathlib import Path
from typing import get_args

from job import errors
from job.settings import combinations, describe
from job.settings.root import Task
from job.submit import options
from tests.support import engine_cells, troubleshooting

DOCS = Path(__file__).parents[2] / "docs"
EXIT_CODES = """\
# Exit codes

What the process's exit code tells a scheduler. With every code but 0 go a few plain sentences on standard error (what happened,
why, what to do) and one JSON object in `failure.json`, in the run directory and in the store.

| code | name | when | the scheduler should |
|---|---|---|---|
"""

SUBMIT = """\
# job submit

`job submit kubernetes|slurm|docker --settings run.env` checks a settings file as the job will check it (code 64 with everything that is
wrong, in under a second) and prints what it would send: the manifests of `k8s/`, or a command line.

| option | what it does |
|---|---|
| `--apply` | sends it, through `kubectl`, `sbatch`, or `docker` (else `podman`) |
| `--diff` | shows what differs from what runs: `kubectl diff`; for Docker image and variables; for Slurm the queued job beside the command |
| `--output FOLDER` | Kubernetes: writes the filled-in folder, for a repository from which the cluster takes its manifests |

There is no second template. For Kubernetes the command copies `k8s/`, writes the settings to `base/settings.env`, sets image, name,
components and sizes in the places where a person would, and lets `kubectl kustomize` render the overlay: `sweep` with
`SUBMIT_VARIANTS_PATH`, `multi-node` with more than one node, else `single`. For Slurm it is the command line of `slurm/job.sbatch`.

The file has one `NAME=value` in a line, as `docker run --env-file` reads it: no quotes, nothing is expanded, lines with `#` are comments.
`JOB_*`, `AWS_*`, `HF_*` and others are for the job, `BATCH_*` for the Slurm script, and `SUBMIT_*` for this command:

"""

MATRIX = """\
# Tasks, methods and engines

What goes with what. ✓: `tests/integration/test_matrix.py` trains it on a small model, continues it to the bit from a checkpoint, publishes it,
and compares losses and weights with the same run on one process; a run whose frozen weights move, whose copies differ or that learns
nothing is noticed. A number: it is refused at start (64), for the reason below. ZeRO-1 goes with what ZeRO-2 goes with, and is tried
with text classification, all weights (`tests/integration/test_engines.py`).

"""
MATRIX_NOTES = """
`freeze` without `JOB_TUNING__TRAIN_LAST_LAYERS` trains a task's head alone, so it is refused (64) where there is none: language models, `dpo` and
`embedding`. ZeRO trains in fp32 or bf16 here and fp16 on a GPU; the cells are fp32.
"""
ENGINES = """\
# Engines

`JOB_PARALLEL__ENGINE` and `JOB_PARALLEL__ZERO_STAGE` choose how a model is trained on several processes; `auto` takes the simplest engine
that fits and says why. The engine that was asked for is the one that runs, or the run ends with code 70 ([design.md](design.md)).

Every number in the table is a number of processes for which that case is a test in `tests/integration/test_engines.py`, with the real
libraries on CPUs: 50 steps without dropout on data that is mostly padding. The table is written from the tests' own list.

- **train**: losses, gradient norms and all weights are those of one process (no weight differs by more than 2e-6).
- **checkpoint**: whole, each rank's part a file of its own where the engine spreads; the optimizer's state is that of one process.
- **resume, same number**: stopped in the middle and continued: the same weights, bit for bit. With four processes gloo may add up in
  another order after a start, so bits are not promised there; a run that goes on with other numbers is held to 2e-6.
- **resume, another number**: the run goes on from a checkpoint that another number of processes wrote, under another engine; no example
  twice, none left out.
- **publish**: the published folder loads with transformers alone and holds the best weights, bit for bit.
- **evaluate**: every example once, the scores of one process.

"""


def exit_codes() -> str:
    """The table of docs/exit_codes.md, from the error classes."""
    rows = [(errors.COMPLETE, "complete", "Published, and evaluated from the published bytes.", errors.Retry.STOP)]
    rows += [
        (code, error.name, (error.__doc__ or "").splitlines()[0], error.retry) for code, error in sorted(errors.ERRORS.items())
    ]
    return EXIT_CODES + "".join(f"| {code} | {name} | {when} | {retry.value} |\n" for code, name, when, retry in rows)


def submit() -> str:
    """docs/submit.md: the options of `job submit`, from their model."""
    return SUBMIT + describe.options_table(options.SubmitOptions, options.PREFIX)


def engines() -> str:
    """docs/engines.md: what every engine is tested for, from the cells of its tests."""
    return ENGINES + engine_cells.table()


def trouble() -> str:
    """docs/troubleshooting.md: the table of exit codes, then a section for each."""
    table = exit_codes().partition("| code |")
    sections = [
        f"## {code} {error.name} ({error.retry.value})\n\n{troubleshooting.TEXTS[code]}\n"
        for code, error in sorted(errors.ERRORS.items())
    ]
    return "\n".join([troubleshooting.INTRODUCTION, table[1] + table[2], *sections, troubleshooting.ELSEWHERE])


def matrix() -> str:
    """docs/matrix.md: the table of combinations, and the reasons of what is refused."""
    reasons: list[str] = []

    def shown(task: str, method: str, engine: str) -> str:
        reason = combinations.refusal(task, method, engine) or (combinations.NEEDS_GPU if method == "qlora" else "")
        if not reason:
            return "✓"
        if reason not in reasons:
            reasons.append(reason)
        return str(1 + reasons.index(reason))

    head = "| task | method | " + " | ".join(combinations.ENGINES[engine] for engine in combinations.TESTED_ENGINES) + " |\n"
    rows = [
        f"| `{task}` | `{method}` | " + " | ".join(shown(task, method, engine) for engine in combinations.TESTED_ENGINES) + " |\n"
        for task in get_args(Task)
        for method in combinations.METHODS
    ]
    notes = [f"{number}. {reason}\n" for number, reason in enumerate(reasons, 1)]
    return "".join(
        [MATRIX, head, "|---|---|" + "---|" * len(combinations.TESTED_ENGINES) + "\n", *rows, "\n", *notes, MATRIX_NOTES]
    )


def all_documents() -> dict[Path, str]:
    return {
        DOCS / "settings.md": describe.table(),
        DOCS / "exit_codes.md": exit_codes(),
        DOCS / "matrix.md": matrix(),
        DOCS / "submit.md": submit(),
        DOCS / "troubleshooting.md": trouble(),
        DOCS / "engines.md": engines(),
    }


def main() -> None:
    for path, text in all_documents().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
