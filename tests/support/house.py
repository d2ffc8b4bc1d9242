"""The house rules as functions over source files: each returns what breaks it, as ``path:line what``.

They are apart from the tests that apply them to the package so that each rule is also shown a text that breaks it.
"""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "job"

MAX_FILE_LINES = 250
MAX_MEDIAN_LINES = 10
MAX_P95_LINES = 40
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 5
MAX_METHODS = 10

PRINTS_ALLOWED = {"job/cli.py"}
ENVIRONMENT_ALLOWED = {"job/settings/root.py", "job/cluster/topology.py", "job/__main__.py"}
"""``__main__`` only hands the mapping down; the other two read it."""
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc"}
REGISTRIES = re.compile(
    r"\b(?:" + "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "download.pytorch" + r"\.org", "npmjs" + r"\.(?:org|com)"]) + "|"
    + "|".join(["docker" + r"\.io", "ghcr" + r"\.io", "quay" + r"\.io", "gcr" + r"\.io", "nvcr" + r"\.io", "deb.debian" + r"\.org"]) + r")\b"
)  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: its path relative to the repository, its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def num_lines(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def where(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{node.lineno} {what}"


def package_sources() -> list[Source]:
    """Every module of the package."""
    return [Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))]


def tracked_texts() -> list[Source]:
    """Every text file that git tracks."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    texts = []
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            texts.append(Source(name, data.decode("utf-8", errors="replace")))
    return texts


def length(function: Function) -> int:
    """Lines from ``def`` to the end, without decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def figures(sources: list[Source]) -> dict[str, float]:
    """What the house measures, by name."""
    lengths = sorted(length(function) for source in sources for function in source.functions()) or [0]
    parameters = [len(_parameters(function)) for source in sources for function in source.functions()]
    methods = [len(_methods(node)) for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    return {
        "files": len(sources),
        "lines": sum(source.num_lines for source in sources),
        "longest file": max((source.num_lines for source in sources), default=0),
        "functions": len(lengths),
        "median function": statistics.median(lengths),
        "95 % of functions": lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))],
        "longest function": lengths[-1],
        "most parameters": max(parameters, default=0),
        "most methods": max(methods, default=0),
    }


def long_files(sources: list[Source]) -> list[str]:
    return [f"{source.path} {source.num_lines} lines" for source in sources if source.num_lines > MAX_FILE_LINES]


def long_functions(sources: list[Source]) -> list[str]:
    return _functions_with(
        sources, lambda function: length(function) > MAX_FUNCTION_LINES, lambda function: f"{length(function)} lines"
    )


def many_parameters(sources: list[Source]) -> list[str]:
    return _functions_with(
        sources,
        lambda function: len(_parameters(function)) > MAX_PARAMETERS,
        lambda function: f"{len(_parameters(function))} parameters",
    )


def many_methods(sources: list[Source]) -> list[str]:
    classes = ((source, node) for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef))
    return [
        source.where(node, f"{node.name}: {len(_methods(node))} methods")
        for source, node in classes
        if len(_methods(node)) > MAX_METHODS
    ]


def unannotated(sources: list[Source]) -> list[str]:
    def lacks(function: Function) -> bool:
        return function.returns is None or any(parameter.annotation is None for parameter in _parameters(function))

    return _functions_with(sources, lacks, lambda _: "not fully annotated")


def without_docstring(sources: list[Source]) -> list[str]:
    return [source.path for source in sources if not ast.get_docstring(source.tree)]


def prints(sources: list[Source]) -> list[str]:
    return [
        source.where(node, "print")
        for source in sources
        if source.path not in PRINTS_ALLOWED
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def swallowed(sources: list[Source]) -> list[str]:
    """Bare ``except``, a handler that does nothing, or a broad one that neither raises nor looks at the error."""
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or _does_nothing(node) or (_broad(node.type) and not _uses_error(node))
            ):
                found.append(source.where(node, "swallowed exception"))
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("suppress")
                and any(_broad(given) for given in node.args)
            ):
                found.append(source.where(node, "suppresses everything"))
    return found


def environment_reads(sources: list[Source]) -> list[str]:
    def reads(node: ast.AST) -> bool:
        dotted = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        return (dotted and node.attr in {"environ", "environb", "getenv"}) or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(name.name in {"environ", "getenv"} for name in node.names)
        )

    outside = (source for source in sources if source.path not in ENVIRONMENT_ALLOWED)
    return [source.where(node, "reads the environment") for source in outside for node in ast.walk(source.tree) if reads(node)]


def forbidden_names(sources: list[Source]) -> list[str]:
    return [source.path for source in sources if FORBIDDEN_NAMES & set(Path(source.path).with_suffix("").parts)]


def registry_hosts(sources: list[Source]) -> list[str]:
    lines = ((source.path, number, line) for source in sources for number, line in enumerate(source.text.splitlines(), 1))
    return [f"{path}:{number} names a registry's host" for path, number, line in lines if REGISTRIES.search(line)]


def without_unit_test(sources: list[Source], tests: dict[str, str]) -> list[str]:
    """Modules without ``tests/unit/<same folders>/test_<same name>.py``, or whose namesake holds no test.

    Args:
        sources: the package's modules; packages' own ``__init__`` files count only if they define a function or a class.
        tests: text by path of the unit tests.
    """
    return [f"{source.path} has no test in {unit_test(source.path)}" for source in sources if _wants_test(source, tests)]


def unit_test(path: str) -> str:
    """The path of a module's unit test: ``job/a/b.py`` → ``tests/unit/a/test_b.py``, ``job/a/__init__.py`` → ``tests/unit/a/test_a.py``."""
    module = Path(path).relative_to("job")
    name = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    return str(Path("tests/unit") / module.parent / f"test_{name}.py")


def _wants_test(source: Source, tests: dict[str, str]) -> bool:
    empty = source.path.endswith("__init__.py") and not any(isinstance(node, Function | ast.ClassDef) for node in source.tree.body)
    return not empty and not re.search(r"^\s*(async )?def test_", tests.get(unit_test(source.path), ""), re.MULTILINE)


def _functions_with(sources: list[Source], breaks, what) -> list[str]:
    pairs = ((source, function) for source in sources for function in source.functions())
    return [source.where(function, f"{function.name}: {what(function)}") for source, function in pairs if breaks(function)]


def _parameters(function: Function) -> list[ast.arg]:
    given = function.args
    every = [
        *given.posonlyargs,
        *given.args,
        *([given.vararg] if given.vararg else []),
        *given.kwonlyargs,
        *([given.kwarg] if given.kwarg else []),
    ]
    return [parameter for position, parameter in enumerate(every) if not (position == 0 and parameter.arg in {"self", "cls"})]


def _methods(node: ast.ClassDef) -> list[Function]:
    return [member for member in node.body if isinstance(member, Function)]


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    return all(
        isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)) for line in handler.body
    )


def _broad(kind: ast.AST) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(each, ast.Name) and each.id in {"Exception", "BaseException"} for each in kinds)


def _uses_error(handler: ast.ExceptHandler) -> bool:
    inside = [node for line in handler.body for node in ast.walk(line)]
    logs = any(isinstance(node, ast.Attribute) and node.attr == "exception" for node in inside)
    named = handler.name is not None and any(isinstance(node, ast.Name) and node.id == handler.name for node in inside)
    return logs or named or any(isinstance(node, ast.Raise) for node in inside)
