"""Labels of words as labels of the pieces that the tokenizer makes of them, and predictions for pieces as predictions for words.

Shapes: W words of a sentence, T tokens of it, special tokens included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

IGNORED = -100
"""The label of a token that is not trained on; the number that torch's cross entropy leaves out."""
UNSEEN = -1
"""The prediction for a word of which the model saw no piece, because the sentence was cut."""

Pieces = Literal["first", "all"]
WordIds = Sequence[int | None]
"""The word of each token, None for a special token."""


def first_pieces(word_ids: WordIds) -> list[int]:
    """Positions of the tokens that begin a word."""
    return [at for at, word in enumerate(word_ids) if word is not None and (at == 0 or word_ids[at - 1] != word)]


def label_pieces(word_ids: WordIds, labels: Sequence[int], inside: Sequence[int] | None = None) -> list[int]:
    """Labels of the tokens [T].

    Args:
        word_ids: [T].
        labels: [W] class ids.
        inside: class id that the second and further pieces of a word have, by the word's own class id; without it only a word's
            first piece has a label.
    """
    found: list[int] = []
    before: int | None = None
    for word in word_ids:
        if word is None:
            found.append(IGNORED)
        elif word != before:
            found.append(labels[word])
        else:
            found.append(IGNORED if inside is None else inside[labels[word]])
        before = word
    return found


def inside_labels(names: Sequence[str]) -> list[int]:
    """For each class the one of a word's further pieces: ``I-X`` for ``B-X``, where there is such a class, else the same."""
    index = {name: at for at, name in enumerate(names)}
    return [index.get(f"I{name[1:]}", at) if name.startswith("B-") or name == "B" else at for at, name in enumerate(names)]


def word_predictions(word_ids: WordIds, predicted: Sequence[int], num_words: int) -> list[int]:
    """What was predicted for each word [W]: the class at its first piece, `UNSEEN` for a word without one."""
    found = [UNSEEN] * num_words
    for at in first_pieces(word_ids):
        word = word_ids[at]
        if word is not None:
            found[word] = int(predicted[at])
    return found
