"""Reviews with a sentiment, made from a grammar, so that the demo needs nothing from outside and is the same everywhere.

The grammar holds what makes sentiment more than counting words: negation ("far from dull"), contrast ("the soup was bland, but
the service was superb"), intensifiers, neutral filler of long-tailed length, a rare vocabulary, typing errors.  Opposite
remarks stand in many reviews, and a share of the labels is wrong: counting words is not all there is to it, and nothing reaches
100 %.  How much of each there is was chosen so that two small layers learn it from nothing within a minute.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.demo import words

LABELS = ("negative", "positive")
NUM_TRAIN, NUM_TEST = 6000, 1000
SEED = 7
POSITIVE_SHARE = 0.56
WRONG_LABEL_SHARE = 0.03
NEGATED_SHARE = 0.05
TYPO_SHARE = 0.012
"""Share of the words with a typing error."""


@dataclass(frozen=True)
class Review:
    """One example: a text, and the label as it is written in the data, which is wrong now and then."""

    text: str
    label: str


def make_reviews(num_reviews: int, seed: int) -> list[Review]:
    """``num_reviews`` different reviews; the same ones for the same seed, on every machine."""
    generator = random.Random(seed)
    reviews: dict[str, Review] = {}
    while len(reviews) < num_reviews:
        review = _Writer(generator).review()
        reviews.setdefault(review.text, review)
    return list(reviews.values())


def write_data(folder: Path, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST) -> None:
    """Write ``train.csv`` and ``test.csv``; no text stands in both."""
    reviews = make_reviews(num_train + num_test, SEED)
    write_csv(folder / "train.csv", reviews[:num_train])
    write_csv(folder / "test.csv", reviews[num_train:])


def write_csv(path: Path, reviews: Iterable[Review]) -> None:
    """Write the reviews with the header ``text,label``, creating the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((review.text, review.label) for review in reviews)


def _common_first(generator: random.Random, choices: Sequence[str]) -> str:
    """One of ``choices``, about as often as words are in a language: the n-th one in proportion to 1 / n."""
    return generator.choices(choices, [1 / (rank + 1) for rank in range(len(choices))])[0]


class _Writer:
    """Writes one review about one thing, for or against it."""

    def __init__(self, generator: random.Random) -> None:
        self.generator = generator
        self.thing = generator.choice(sorted(words.ASPECTS))
        self.aspects = words.ASPECTS[self.thing].split("|")
        self.liked = generator.random() < POSITIVE_SHARE

    def review(self) -> Review:
        opinions = 1 + min(int(self.generator.expovariate(0.25)), 7)
        sentences = [self._opinion_sentence() for _ in range(opinions)]
        filler = min(int(self.generator.lognormvariate(0.2, 1.1)) - 1, 18)
        for _ in range(filler):
            sentences.insert(self.generator.randrange(len(sentences) + 1), self._neutral_sentence())
        text = " ".join(self._punctuate(sentence) for sentence in sentences)
        wrong = self.generator.random() < WRONG_LABEL_SHARE
        return Review(_mistype(text, self.generator), LABELS[self.liked != wrong])

    def _opinion_sentence(self) -> str:
        """A sentence whose weight lies on the side of the review's opinion, whatever else it holds."""
        kind = self.generator.random()
        if kind < 0.71:
            return self._remark(self.liked)
        if kind < 0.76:
            return f"{self._remark(not self.liked)}, {self._pick(words.CONTRASTS)} {self._remark(self.liked)}"
        if kind < 0.79:
            return f"{self._pick(words.CONCESSIONS)} {self._remark(not self.liked)}, {self._remark(self.liked)}"
        if kind < 0.92:
            return f"{self._remark(self.liked)} and {self._remark(self.liked)}"
        return self._verdict()

    def _remark(self, liked: bool) -> str:
        """A clause about one aspect; often the opinion is said by denying its opposite."""
        negated = self.generator.random() < NEGATED_SHARE
        adjective = _common_first(self.generator, words.POSITIVE if liked != negated else words.NEGATIVE)
        verb = self._pick(("was", "is", "seemed", "felt"))
        return f"the {self._pick(self.aspects)} {verb} {self._degree(negated)}{adjective}"

    def _degree(self, negated: bool) -> str:
        if negated:
            return f"{_common_first(self.generator, words.NEGATIONS)} "
        draw = self.generator.random()
        if draw < 0.3:
            return f"{_common_first(self.generator, words.INTENSIFIERS)} "
        return f"{self._pick(words.DIMINISHERS)} " if draw < 0.4 else ""

    def _verdict(self) -> str:
        negated = self.generator.random() < NEGATED_SHARE
        verb = _common_first(self.generator, words.PRAISE if self.liked != negated else words.BLAME)
        return f"i {'never ' if negated else ''}{verb} the {self._pick([self.thing, *self.aspects])}"

    def _neutral_sentence(self) -> str:
        return self._pick(words.NEUTRAL).format(
            thing=self.thing,
            aspect=self._pick(self.aspects),
            day=self._pick(words.DAYS),
            month=self._pick(words.MONTHS),
            people=self._pick(words.PEOPLE),
            nth=self._pick(words.ORDINALS),
            number=self.generator.randint(2, 90),
        )

    def _punctuate(self, sentence: str) -> str:
        end = self.generator.choices((".", "!", "...", ""), (80, 10, 5, 5))[0]
        start = sentence[0].upper() if self.generator.random() < 0.8 else sentence[0]
        return start + sentence[1:] + end

    def _pick(self, choices: Sequence[str]) -> str:
        return self.generator.choice(choices)


def _mistype(text: str, generator: random.Random) -> str:
    """Swap, drop or double a letter in a small share of the words."""
    return " ".join(_typo(word, generator) if generator.random() < TYPO_SHARE else word for word in text.split())


def _typo(word: str, generator: random.Random) -> str:
    if len(word) < 4:
        return word
    at = generator.randrange(1, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return generator.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
