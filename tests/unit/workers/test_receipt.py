from job.workers.receipt import MAX_TOKENS, Receipt, marked, receipts
from tests.support import language


def test_trained_tokens_stand_between_marks():
    tokenizer = language.tokenizer()
    ids = tokenizer("the film<|im_end|> was é good", add_special_tokens=False)["input_ids"]
    end = ids.index(4)
    targets = [0] * (end - 1) + [1] * 2 + [0] * (len(ids) - end - 1)
    assert marked(tokenizer, ids, targets).startswith("the")
    assert "<|im_end|>⟧ was é good" in marked(tokenizer, ids, targets)
    assert marked(tokenizer, ids, [1] * len(ids)) == "⟦the film<|im_end|> was é good⟧"


def test_a_character_in_two_tokens_does_not_hide_the_marks():
    tokenizer = language.tokenizer()
    ids = tokenizer("日", add_special_tokens=False)["input_ids"]
    assert len(ids) > 1
    assert marked(tokenizer, ids, [0] + [1] * (len(ids) - 1)).count("⟦") == 1


def test_a_receipt_says_how_many_and_is_short():
    tokenizer = language.tokenizer()
    (sample,) = receipts(tokenizer, [Receipt("train-1", [20] * (MAX_TOKENS + 1), [1] * (MAX_TOKENS + 1))])
    assert sample["title"].startswith("train-1: 401 of 401 tokens")
    assert sample["text"].endswith(" …")
