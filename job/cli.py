"""The commands.  Parsing and one call each; whatever is heavy is imported by the command that needs it.

``run`` is the container's default.  No command imports torch or transformers in this process, so a wrong setting is answered
in under a second.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from job.cluster import alive, nodes
from job.errors import COMPLETE, JobError, SettingsError
from job.run_dir import RunDir, path_of
from job.settings import describe, resolved, root

NOT_ALIVE = 1
"""What `job alive` answers to a probe; no outcome of a run."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is an outcome of the job: code 64 instead of argparse's 2, which no scheduler rule knows."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"The command line is wrong: {message}.", f"`{self.prog} --help` shows what is possible.")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Carry out one command.

    Args:
        argv: the arguments after the program's name.
        environ: the environment, handed down to where it is read.

    Returns:
        The exit code of the process, one of `job.errors`.
    """
    try:
        arguments = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace, Mapping[str, str]], int] = arguments.command
        return command(arguments, environ)
    except JobError as error:
        print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
        return error.exit_code


def _parser() -> _Parser:
    parser = _Parser(prog="job", description="Fine-tune a model as one batch job. Its settings are environment variables.")
    parser.set_defaults(command=_run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("run", help="fetch, prepare, train, evaluate, publish (the default)").set_defaults(command=_run)
    commands.add_parser("demo", help="the whole job on a small model and a corpus of its own").set_defaults(command=_demo)
    commands.add_parser("alive", help="whether the run's node process on this machine works: 0 or 1, for a probe").set_defaults(
        command=_alive
    )
    commands.add_parser("check", help="check the settings and do nothing else").set_defaults(command=_check)
    runs = commands.add_parser("runs", help="the runs at a place: attempts, steps, states, reasons")
    runs.add_argument("uri", help="what JOB_OUTPUT__URI says, or that with a run's name behind it")
    runs.set_defaults(command=_runs)
    compare = commands.add_parser("compare", help="runs side by side: settings that differ, scores with intervals, the best")
    compare.add_argument("uri", help="what JOB_OUTPUT__URI says")
    compare.add_argument("--runs", default="*", metavar="PATTERN", help="names of the runs, such as 'reviews-*'")
    compare.add_argument("--page", type=Path, metavar="FILE", help="write the comparison as an HTML page, too")
    compare.set_defaults(command=_compare)
    _add_suggest(
        commands.add_parser("suggest", help="the next variants of a sweep, chosen by an Optuna study from what others scored")
    )
    verify = commands.add_parser("verify", help="what of a run is committed, what is whole, what is orphaned")
    verify.add_argument("uri", help="what JOB_OUTPUT__URI says, or that with a run's name behind it")
    verify.add_argument("--sizes-only", action="store_true", help="compare names and sizes, do not read the files")
    verify.add_argument("--repair", action="store_true", help="delete what no log entry ever listed, and nothing else")
    verify.set_defaults(command=_verify)
    _add_submit(commands.add_parser("submit", help="hand the job to Kubernetes, Slurm or Docker; prints what it would send"))
    settings = commands.add_parser("settings", help="print every setting, or those in force")
    settings.add_argument(
        "--format",
        choices=_FORMATS,
        default="table",
        help="table (Markdown), schema (JSON schema of the YAML file), env (environment file), resolved (values in force, secrets masked)",
    )
    settings.set_defaults(command=_settings)
    return parser


def _add_suggest(suggest: argparse.ArgumentParser) -> None:
    suggest.add_argument("--settings", type=Path, required=True, metavar="FILE", help="lines NAME=value that all variants share")
    suggest.add_argument("--space", type=Path, required=True, metavar="FILE", help="YAML: variables with ranges or choices")
    suggest.add_argument("--study", type=Path, required=True, metavar="FILE", help="Optuna's journal; made by the first call")
    suggest.add_argument("--count", type=int, default=4, metavar="N", help="how many variants")
    suggest.add_argument("--minimize", action="store_true", help="less of the main metric is better")
    suggest.add_argument("--output", type=Path, metavar="FILE", help="a new variants file; default: standard output")
    suggest.set_defaults(command=_suggest)


def _add_submit(submit: argparse.ArgumentParser) -> None:
    submit.add_argument("target", choices=("kubernetes", "slurm", "docker"), help="where the job shall run")
    submit.add_argument(
        "--settings", type=Path, required=True, metavar="FILE", help="lines NAME=value: JOB_* for the job, SUBMIT_* for this"
    )
    action = submit.add_mutually_exclusive_group()
    action.add_argument("--apply", action="store_true", help="send it, through kubectl, sbatch, docker or podman")
    action.add_argument("--diff", action="store_true", help="show what differs from what runs")
    action.add_argument("--output", type=Path, metavar="FOLDER", help="kubernetes: write the filled-in k8s/ there")
    submit.set_defaults(command=_submit)


def _run(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The settings are read before the pipeline is imported: its storage clients alone take longer than the answer may."""
    try:
        root.load(environ)
    except JobError as error:
        from job.stages import ending

        return ending.report(error, ending.Scene("settings"))
    from job import pipeline

    return pipeline.main(environ)


def _demo(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from job.demo import run

    return run.main(environ)


def _alive(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    settings = root.load(environ)
    place = nodes.resolve(settings.parallel, settings.run.name, environ)
    age_s = alive.age_s(RunDir(path_of(settings.run.dir, settings.run.name, place.node_rank)).alive)
    limit_s = settings.limits.alive_timeout_s
    if age_s is None:
        print(f"No node process of the run {settings.run.name} is at work here.")
        return NOT_ALIVE
    print(f"The last sign of life of the run {settings.run.name} is {age_s:.0f} s old; {limit_s:.0f} s are allowed.")
    return NOT_ALIVE if age_s > limit_s else COMPLETE


def _submit(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from job.submit import request, send

    asked = request.read(arguments.settings)
    if arguments.output is not None and arguments.target == "kubernetes":
        answer = send.export(asked, arguments.output)
    elif arguments.apply:
        answer = send.apply(asked, arguments.target, environ)
    else:
        answer = (send.diff if arguments.diff else send.show)(asked, arguments.target)
    print(answer.text.rstrip())
    return answer.exit_code


def _check(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    settings = root.load(environ)
    print(f"The settings are right. Run {settings.run.name}, fingerprint {resolved.fingerprint(settings)}.")
    return COMPLETE


def _runs(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    from job.inspection import runs

    text, code = runs.show(arguments.uri)
    print(text)
    return code


def _compare(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    from job.inspection import compare

    text, code = compare.show(arguments.uri, arguments.runs, arguments.page)
    print(text)
    return code


def _suggest(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    from job.inspection import suggest
    from job.submit import request

    wish = suggest.Wish(arguments.space, arguments.study, arguments.count, arguments.minimize, arguments.output)
    lines, said = suggest.suggest(request.shared_settings(arguments.settings), wish)
    if arguments.output is None:
        print(lines, end="")
    print(said, file=sys.stderr)
    return COMPLETE


def _verify(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    from job.inspection import verify

    text, code = verify.show(arguments.uri, contents=not arguments.sizes_only, repair=arguments.repair)
    print(text)
    return code


def _settings(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    print(_FORMATS[arguments.format](environ).rstrip())
    return COMPLETE


_FORMATS: dict[str, Callable[[Mapping[str, str]], str]] = {
    "table": lambda _: describe.table(),
    "schema": lambda _: json.dumps(describe.json_schema(), indent=2),
    "env": lambda _: describe.env_file(),
    "resolved": lambda environ: describe.resolved_table(root.load(environ)),
}
"""Only the last reads the environment: whoever has a setting wrong must still be able to read about all of them."""
