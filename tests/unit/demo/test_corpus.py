import csv

from job.demo.corpus import LABELS, make_reviews, write_data
from job.demo.words import NEGATIVE, POSITIVE


def test_same_seed_same_reviews():
    assert make_reviews(50, 1) == make_reviews(50, 1)
    assert make_reviews(50, 1) != make_reviews(50, 2)


def test_first_reviews_do_not_depend_on_how_many_follow():
    assert make_reviews(60, 1)[:20] == make_reviews(20, 1)


def test_texts_are_all_different_and_long_tailed():
    reviews = make_reviews(1500, 3)
    lengths = sorted(len(review.text.split()) for review in reviews)
    assert len({review.text for review in reviews}) == 1500
    assert lengths[-15] > 4 * lengths[750]


def test_majority_is_a_weak_baseline():
    share = sum(review.label == LABELS[1] for review in make_reviews(2000, 3)) / 2000
    assert 0.5 < share < 0.6


def test_counting_words_is_not_enough():
    """Signs of the adjectives alone, without order, leave more wrong than the wrong labels."""
    words = dict.fromkeys(POSITIVE, 1) | dict.fromkeys(NEGATIVE, -1)
    reviews = make_reviews(2000, 3)
    right = 0
    for review in reviews:
        score = sum(words.get(word.strip(".,!"), 0) for word in review.text.lower().split())
        right += (score > 0) == (review.label == LABELS[1])
    assert 0.7 < right / len(reviews) < 0.95


def test_files_are_csv_and_share_no_text(tmp_path):
    write_data(tmp_path / "data", 40, 10)
    texts = {}
    for split in ("train", "test"):
        with (tmp_path / "data" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["label"] for row in rows} <= set(LABELS)
        texts[split] = {row["text"] for row in rows}
    assert (len(texts["train"]), len(texts["test"])) == (40, 10)
    assert not texts["train"] & texts["test"]
