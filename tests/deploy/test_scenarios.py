"""The page of what was seen: every cell is there, ends as that situation may end, and all that completed has the same weights."""

import re

import pytest

from tests.support import scenarios

TEXT = scenarios.PAGE.read_text(encoding="utf-8")
ROWS = {name: cells for name, *cells in (re.split(r" *\| *", line)[1:-1] for line in TEXT.splitlines() if line.startswith("| "))}


def test_every_situation_was_seen_everywhere():
    assert ROWS.keys() == {"", *scenarios.CODES}
    assert ROWS[""] == list(scenarios.PLACES)


@pytest.mark.parametrize("situation", scenarios.CODES)
def test_each_cell_is_an_end_that_the_situation_may_have(situation):
    codes = {None if cell.startswith("no code") else int(cell.partition(";")[0]) for cell in ROWS[situation]}
    assert len(ROWS[situation]) == len(scenarios.PLACES)
    assert codes <= scenarios.CODES[situation]


def test_what_completed_has_the_same_weights_everywhere():
    found = {situation: [re.findall(r"`(\w{12})`$", cell) for cell in cells] for situation, cells in ROWS.items() if situation}
    digests = [digest for situation in scenarios.COMPLETES for cell in found[situation] for digest in cell]
    assert len(digests) == len(scenarios.COMPLETES) * len(scenarios.PLACES)
    assert len(set(digests)) == 1


def test_a_situation_may_not_end_otherwise(monkeypatch, tmp_path):
    monkeypatch.setattr(scenarios, "NOTES", tmp_path)
    with pytest.raises(AssertionError, match="docker, stop: 0"):
        scenarios.note("docker", "stop", scenarios.Seen(0, scenarios.BY_HAND, b"weights"))


def test_a_page_is_made_of_all_cells_or_not_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(scenarios, "NOTES", tmp_path)
    for place in scenarios.PLACES:
        for situation, codes in scenarios.CODES.items():
            weights = b"weights" if situation in scenarios.COMPLETES else b""
            scenarios.note(place, situation, scenarios.Seen(next(iter(codes)), scenarios.BY_HAND, weights))
    assert all(f"| {situation} | " in scenarios.page(scenarios.collect()) for situation in scenarios.CODES)
    scenarios.note("pod", "stop", scenarios.Seen(75, scenarios.BY_HAND, b"others"))
    with pytest.raises(SystemExit, match="the weights differ"):
        scenarios.collect()
    (tmp_path / "Slurm-fenced.json").unlink()
    with pytest.raises(SystemExit, match="no test has noted Slurm-fenced"):
        scenarios.collect()
