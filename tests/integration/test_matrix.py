"""Task × method × engine, every cell of the job's own table: trained, continued to the bit, published, held against one process.

A cell that the table refuses is refused by the settings (``tests/unit/settings/test_combinations.py``); all of both stand in
``docs/matrix.md``.  Each engine trains all of its cells in one process group.
"""

import functools

import pytest

from job import run_dir as run_dirs
from job.settings.combinations import TESTED_ENGINES
from tests.support import cells, tiny
from tests.support.cells import Cell

CELLS = cells.trained_cells(*TESTED_ENGINES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    cells.write_models(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(folder):
    return {task: cells.prepare(folder, task) for task in cells.TRIED_TASKS}


@pytest.fixture(scope="module")
def runs(folder, prepared):
    """Of an engine's cells: the run to its end, and the one that continues from its middle; trained when they are first asked for."""

    def both(cell):
        return tuple(cells.place(folder, prepared[cell.task], cell, f"{name}-{cell}") for name in ("whole", "half"))

    @functools.cache
    def of(engine):
        found = {cell: both(cell) for cell in CELLS if cell.engine == engine}
        cells.train(list(found.values()), next(iter(found)).world_size)
        return found

    return of


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_cell(runs, cell):
    reference = runs("single")[Cell(cell.task, cell.method, "single")][0]
    assert list(cells.problems(cell, *runs(cell.engine)[cell], reference)) == []


SABOTAGED = {
    "thawed-freeze-ddp": (Cell("dpo", "freeze", "ddp"), "changed on rank 0, 1"),
    "thawed-freeze-zero3": (Cell("dpo", "freeze", "zero3"), "changed on rank 0, 1"),
    "thawed-lora-zero2": (Cell("embedding", "lora", "zero2"), "changed on rank 0, 1"),
    "bitflip-lora-zero2": (Cell("reward", "lora", "zero2"), "The weights on rank 1 differ"),
    "untrained-lora-zero3": (Cell("embedding", "lora", "zero3"), "was not trained"),
}


@pytest.fixture(scope="module")
def sabotaged(folder, prepared):
    found = {name: cells.place(folder, prepared[cell.task], cell, name) for name, (cell, _) in SABOTAGED.items()}
    tiny.train_all(list(found.values()), 2)
    return found


@pytest.mark.parametrize("name", SABOTAGED)
def test_what_goes_wrong_in_a_cell_is_noticed(runs, sabotaged, name):
    """By the run itself: frozen weights that move, copies that differ; by this test: a run that teaches nothing."""
    cell, says = SABOTAGED[name]
    outcomes = [run_dirs.read_json(sabotaged[name].root / f"sabotaged-{rank}.json") for rank in (0, 1)]
    if outcomes == [None, None]:
        reference = runs("single")[Cell(cell.task, cell.method, "single")][0]
        told = list(cells.problems(cell, sabotaged[name], sabotaged[name], reference))
        assert any(problem.startswith(says) for problem in told)
        assert any(problem.startswith("weights") for problem in told)
    else:
        assert [outcome["code"] for outcome in outcomes] == [70, 70]
        assert all(says in outcome["message"] for outcome in outcomes)
