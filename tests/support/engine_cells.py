"""The cells of ``tests/integration/test_engines.py``: which engine, on how many processes, does what.  Tests and docs/engines.md read them here."""

from __future__ import annotations

ZERO = {f"zero{stage}": {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": str(stage)} for stage in (1, 2, 3)}
OFFLOADED = {
    "zero2-offloaded": {**ZERO["zero2"], "PARALLEL__OFFLOAD_OPTIMIZER": "true"},
    "zero3-offloaded": {**ZERO["zero3"], "PARALLEL__OFFLOAD_OPTIMIZER": "true", "PARALLEL__OFFLOAD_PARAMETERS": "true"},
}
SETTINGS: dict[int, dict[str, dict[str, str]]] = {
    1: {"single": {}, **ZERO},
    2: {"ddp": {}, **ZERO, **OFFLOADED},
    4: {"ddp": {}, **ZERO},
}
"""By number of processes and engine."""
CHAIN = [
    (2, "zero3"),
    (1, "zero2"),
    (2, "ddp"),
    (4, "zero1"),
    (2, "zero2-offloaded"),
    (4, "zero3"),
    (2, "zero3-offloaded"),
    (1, "single"),
]
"""From the middle of the first one's run on: so many processes and this engine, a few steps each before the next one takes over."""
Cell = tuple[int, str]
ALL: list[Cell] = [(world, engine) for world, engines in SETTINGS.items() for engine in engines]
BIT_EXACT = [cell for cell in ALL if cell[0] <= 2]
"""With more processes gloo may add up in another order after a start."""
LINKS = CHAIN[1:]
COLUMNS: dict[str, tuple[str, list[Cell]]] = {
    "train": ("test_train", ALL),
    "checkpoint": ("test_checkpoint", ALL),
    "resume, same number": ("test_resume_on_as_many_processes_is_bit_exact", BIT_EXACT),
    "resume, another number": ("test_resume_on_another_number_of_processes_or_with_another_engine", LINKS),
    "publish": ("test_publish", ALL),
    "evaluate": ("test_evaluate", ALL),
}
"""Column of the table: the test whose cases are its cells, and these."""
NAMES = {
    "single": "one process",
    "ddp": "replicas (DDP)",
    "zero1": "ZeRO-1",
    "zero2": "ZeRO-2",
    "zero3": "ZeRO-3",
    "zero2-offloaded": "ZeRO-2, optimizer offloaded",
    "zero3-offloaded": "ZeRO-3, optimizer and weights offloaded",
}


def name_of(test: str, cell: Cell) -> str:
    """A case's name as pytest shows it."""
    return f"{test}[{cell[0]}-{cell[1]}]"


def tests() -> set[str]:
    """The names of all cells' cases."""
    return {name_of(test, cell) for test, cells in COLUMNS.values() for cell in cells}


def table() -> str:
    """Engines in rows; in each cell the numbers of processes with which that case is tested."""
    lines = ["| engine | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for engine, name in NAMES.items():
        worlds = [sorted(world for world, each in cells if each == engine) for _, cells in COLUMNS.values()]
        lines.append(f"| {name} | " + " | ".join(", ".join(map(str, found)) or "-" for found in worlds) + " |")
    return "\n".join(lines) + "\n"
