from job.demo import words


def test_no_adjective_is_on_both_sides():
    assert not {*words.POSITIVE, *words.PRAISE} & {*words.NEGATIVE, *words.BLAME}


def test_no_word_is_listed_twice():
    for listed in (words.POSITIVE, words.NEGATIVE, words.PRAISE, words.BLAME, words.NEGATIONS):
        assert len({*listed}) == len(listed)
