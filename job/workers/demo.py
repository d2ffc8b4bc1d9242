"""The demo's model: a tokenizer with the words of the demo's texts, and a small DistilBERT that has seen nothing yet.

``python -m job.workers.demo FOLDER`` reads ``FOLDER/data/train.csv`` and writes ``FOLDER/model``: what a user would bring, so
that the demo runs the same way as every other run.
"""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

SEED = 7
VOCABULARY_SIZE = 1500
MAX_POSITIONS = 256
PAD, UNKNOWN, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_model(folder: Path) -> None:
    """Write ``model/`` below ``folder`` from the texts in ``data/train.csv``; the same bytes each time."""
    with (folder / "data" / "train.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    tokenizer = make_tokenizer(texts)
    transformers_logging.disable_progress_bar()
    tokenizer.save_pretrained(folder / "model")
    make_model(len(tokenizer)).save_pretrained(folder / "model")


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer with BERT's special tokens and template; what it does not know it spells."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.model = models.WordPiece(vocabulary(tokenizer, texts), unk_token=UNKNOWN)
    ends = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B {SEP}", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=MAX_POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
    )


def vocabulary(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, int]:
    """Special tokens, characters, then whole words from the most frequent down.

    Counted here, because the library's own trainer breaks ties between equally frequent pieces differently each time.
    """
    normalized = (tokenizer.normalizer.normalize_str(text) for text in texts)
    words = Counter(word for text in normalized for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    characters = sorted({character for word in words for character in word})
    pieces = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    ranked = sorted((word for word, count in words.items() if count > 1 and len(word) > 1), key=lambda word: (-words[word], word))
    return {piece: number for number, piece in enumerate([*pieces, *ranked][:VOCABULARY_SIZE])}


def make_model(vocabulary_size: int) -> DistilBertModel:
    """Two layers of width 128 with random weights, the same ones each time.

    Positions begin as small sinusoids: with so little data, words have to be the same wherever they stand, and "the word before"
    has to be easy to find.
    """
    torch.manual_seed(SEED)
    config = DistilBertConfig(
        vocab_size=vocabulary_size,
        max_position_embeddings=MAX_POSITIONS,
        dim=128,
        hidden_dim=384,
        n_layers=2,
        n_heads=4,
        dropout=0.1,
        attention_dropout=0.0,
        seq_classif_dropout=0.1,
        pad_token_id=0,
    )
    model = DistilBertModel(config)
    positions = model.embeddings.position_embeddings.weight
    with torch.no_grad():
        positions.copy_(sinusoids(*positions.shape) * config.initializer_range / 2)
    return model


def sinusoids(num_positions: int, width: int) -> torch.Tensor:
    """Sines and cosines of ``num_positions`` positions, from fast to slow, [num_positions, width]."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    angles = torch.arange(num_positions)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
