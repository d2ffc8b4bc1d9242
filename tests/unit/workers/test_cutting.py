"""Cutting keeps what the tokenizers library itself would keep."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from job.workers.cutting import cut, share

WORDS = [f"w{at}" for at in range(30)]


def tokenizer(kind: str) -> Tokenizer:
    """bert: special tokens around and between; left: as XLNet, all at the end; bare: none, as GPT-2."""
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(["[CLS]", "[SEP]", "[UNK]", *WORDS])}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    templates = {
        "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        "left": ("$A [SEP] [CLS]:2", "$A [SEP] $B:1 [SEP]:1 [CLS]:2"),
    }
    if kind in templates:
        single, pair = templates[kind]
        made.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("[CLS]", 0), ("[SEP]", 1)])
    return made


TOKENIZERS = {kind: tokenizer(kind) for kind in ("bert", "left", "bare")}
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(sorted(TOKENIZERS)), texts, st.none() | texts, st.integers(4, 16), st.sampled_from(["right", "left"]))
def test_it_is_the_librarys_own_rule(kind, first, second, max_length, side):
    inner = TOKENIZERS[kind]
    given_texts = first if second is None else (first, second)
    inner.no_truncation()
    (plain,) = inner.encode_batch_fast([given_texts])
    found = cut(plain, max_length, side)
    inner.enable_truncation(max_length, strategy="longest_first", direction=side)
    (expected,) = inner.encode_batch([given_texts])
    assert found[0] == expected.ids
    # Without a post-processor the library itself numbers the second text 1 only when truncation is on.
    assert kind == "bare" or found[1] == expected.type_ids


@pytest.mark.parametrize(
    ("first", "second", "room", "left"),
    [
        (3, 4, 7, (3, 4)),
        (10, 2, 6, (4, 2)),
        (2, 10, 6, (2, 4)),
        (10, 10, 7, (3, 4)),
        (10, 9, 7, (4, 3)),
        (10, 0, 4, (4, 0)),
        (0, 9, 4, (0, 4)),
    ],
)
def test_the_longer_text_gives_way(first, second, room, left):
    assert share(first, second, room) == left
