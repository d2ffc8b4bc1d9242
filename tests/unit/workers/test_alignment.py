"""Words and pieces, both ways."""

import pytest

from job.workers.alignment import IGNORED, UNSEEN, first_pieces, inside_labels, label_pieces, word_predictions

WORD_IDS = [None, 0, 0, 1, 2, 2, 2, None]
NAMES = ["O", "B-PER", "I-PER", "B-LOC"]


def test_only_the_first_piece_has_a_label():
    assert label_pieces(WORD_IDS, [1, 0, 2]) == [IGNORED, 1, IGNORED, 0, 2, IGNORED, IGNORED, IGNORED]


def test_all_pieces_have_one_and_only_the_first_begins():
    assert inside_labels(NAMES) == [0, 2, 2, 3]
    assert label_pieces(WORD_IDS, [1, 0, 3], inside_labels(NAMES)) == [IGNORED, 1, 2, 0, 3, 3, 3, IGNORED]


def test_the_prediction_of_a_word_is_that_of_its_first_piece():
    assert first_pieces(WORD_IDS) == [1, 3, 4]
    assert word_predictions(WORD_IDS, [9, 1, 8, 0, 2, 8, 8, 9], 3) == [1, 0, 2]


def test_words_that_were_cut_off_have_none():
    assert word_predictions([None, 0, None], [0, 1, 0], 3) == [1, UNSEEN, UNSEEN]


def test_the_same_word_number_after_another_word_begins_anew():
    assert first_pieces([0, 0, 1, None, 0]) == [0, 2, 4]


@pytest.mark.parametrize("names", [["B", "I", "O"], ["B-X", "I-X"]])
def test_inside_labels_with_and_without_types(names):
    assert inside_labels(names)[0] == 1
