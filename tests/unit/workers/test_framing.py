"""Nothing of a text is lost, whatever its length: windows put together are the text again, and its bytes are counted once."""

import pyarrow as pa
import pytest

from job.workers.framing import Framing, special_frame
from job.workers.tokenization import TokenizerSetup
from tests.support import language, tiny

TEXTS = ["a", "the film was good", "日本語 and é " * 9, "x" * 70]


def framed(max_length, begin, end, *, each_window):
    tokenizer = language.tokenizer()
    rows = pa.RecordBatch.from_pydict({"id": [str(at) for at in range(len(TEXTS))], "text": TEXTS})
    return tokenizer, Framing(TokenizerSetup(tokenizer, max_length), begin, end, each_window=each_window).tokenize(rows)


@pytest.mark.parametrize("max_length", [4, 7, 1000])
@pytest.mark.parametrize("begin", [[], [1]])
def test_documents_overlap_by_the_token_that_is_only_read(max_length, begin):
    tokenizer, examples = framed(max_length, begin, [2], each_window=False)
    for text, example in zip(TEXTS, examples, strict=True):
        ids = [token for at, piece in enumerate(example.pieces) for token in piece.input_ids[min(at, 1) :]]
        assert ids == [*begin, *tokenizer(text, add_special_tokens=False)["input_ids"], 2]
        assert example.num_targets == len(ids) - 1 == example.tokens_in - 1
        assert max(map(len, example.pieces)) <= max_length
        total = sum(piece.num_bytes for piece in example.pieces)
        first = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).offsets[0][1]
        assert total == len(text.encode()) if begin else total == len(text[first:].encode())
        assert example.tokens_kept == example.tokens_in


@pytest.mark.parametrize("max_length", [4, 7, 1000])
def test_windows_in_frames_hold_each_token_once(max_length):
    tokenizer, examples = framed(max_length, [1], [2], each_window=True)
    for text, example in zip(TEXTS, examples, strict=True):
        targets = [
            token for piece in example.pieces for token, target in zip(piece.input_ids, piece.targets, strict=True) if target
        ]
        assert targets == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert all((piece.input_ids[0], piece.input_ids[-1]) == (1, 2) for piece in example.pieces)
    assert [piece.id for piece in examples[3].pieces][:2] in (["3", "3#2"], ["3"])


def test_the_frame_is_the_tokenizers_own(tmp_path):
    from transformers import AutoTokenizer

    assert special_frame(AutoTokenizer.from_pretrained(tiny.write_model(tmp_path))) == ([2], [3])
    assert special_frame(language.tokenizer()) == ([], [])
