import itertools
import random

import pytest

from job.workers.packing import NUM_OPEN, Packer, Piece, windows


def pieces(count, longest, seed=0):
    draw = random.Random(seed)
    return [Piece(f"d{at}", [at] * draw.randint(1, longest), [1]) for at in range(count)]


@pytest.mark.parametrize(("count", "longest"), [(1, 10), (7, 10), (500, 10), (500, 3)])
def test_every_piece_comes_out_once_in_a_record_that_has_room_for_it(count, longest):
    packer = Packer(10)
    blocks = []
    for piece in pieces(count, longest):
        blocks += packer.add(piece)
        assert len(packer._open) <= NUM_OPEN
    blocks += packer.rest()
    assert sorted(piece.id for block in blocks for piece in block) == sorted(f"d{at}" for at in range(count))
    assert max(sum(map(len, block)) for block in blocks) <= 10
    assert list(packer.rest()) == []
    if count == 500:
        full = sum(sum(map(len, block)) for block in blocks) / (10 * len(blocks))
        assert full > 0.95


def test_the_same_pieces_make_the_same_records():
    def packed():
        packer = Packer(10)
        return [*(block for piece in pieces(100, 10) for block in packer.add(piece)), *packer.rest()]

    assert packed() == packed()


@pytest.mark.parametrize(("length", "longest", "overlap"), [(1, 4, 1), (4, 4, 1), (5, 4, 1), (23, 4, 1), (23, 4, 0), (8, 4, 0)])
def test_windows_cover_everything(length, longest, overlap):
    found = windows(length, longest, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(0 < last - first <= longest for first, last in found)
    assert all(after[0] == before[1] - overlap for before, after in itertools.pairwise(found))
