"""Encoder-decoders that are real and tiny, T5's kind and BART's, and pairs of texts that they can learn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.support import language, tiny

FRAMES = {"t5": "$A </s>", "bart": "<s> $A </s>"}
CONFIGS: dict[str, dict[str, Any]] = {
    "t5": {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
    },
    "bart": {
        **{
            f"{side}_{name}": size
            for side in ("encoder", "decoder")
            for name, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
        },
        "d_model": 32,
        "dropout": 0.0,
        "max_position_embeddings": 128,
        "init_std": 0.1,
        "bos_token_id": 1,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
    },
}


def tokenizer(kind: str, max_length: int = 128) -> Any:
    """Bytes with a few merges, and the special tokens that the kind puts around a text."""
    from tokenizers.processors import TemplateProcessing

    made = language.tokenizer(None, max_length, texts=tuple(text for text, _ in tiny.sentences(60)))
    made.backend_tokenizer.post_processor = TemplateProcessing(single=FRAMES[kind], special_tokens=[("<s>", 1), ("</s>", 2)])
    return made


def write_model(folder: Path, kind: str, seed: int = 0, **config: Any) -> Path:
    """A folder with model and tokenizer, weights at random."""
    import torch
    import transformers

    made = tokenizer(kind)
    torch.manual_seed(seed)
    values = {"vocab_size": len(made), "pad_token_id": 0, "eos_token_id": 2, **CONFIGS[kind], **config}
    chosen = transformers.AutoConfig.for_model(kind, **values)
    transformers.AutoModelForSeq2SeqLM.from_config(chosen).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def pairs(count: int, seed: int = 0, longest: int = 5) -> list[dict[str, str]]:
    """A few plain words among which one tells the target: ``in short it was good``."""
    draw = random.Random(seed)
    told = [*tiny.WORDS["positive"], *tiny.WORDS["negative"]]
    found = []
    for _ in range(count):
        word, length = draw.choice(told), draw.randint(1, longest)
        words = [draw.choice(tiny.WORDS["plain"]) for _ in range(length)]
        words.insert(draw.randrange(length + 1), word)
        found.append({"text": " ".join(words), "target": f"in short it was {word}"})
    return found


def lines(count: int, seed: int = 0, longest: int = 5) -> bytes:
    """JSON lines of `pairs`."""
    return language.json_lines(pairs(count, seed, longest))
