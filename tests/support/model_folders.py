"""Model folders of several architectures, tiny and with random weights, as save_pretrained writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny import WORDS

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<|endoftext|>", *sorted({word for group in WORDS.values() for word in group})]
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 40, "pad_token_id": 0},
    "bert": {**SMALL, "pad_token_id": 0},
    "roberta": {**SMALL, "type_vocab_size": 1, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40, "bos_token_id": 4, "eos_token_id": 4},
}


def write(folder: Path, kind: str, auto: str = "AutoModel", **config: Any) -> Path:
    """A folder with model and tokenizer; GPT-2's tokenizer has an end-of-text token and no other special one."""
    import torch
    import transformers

    torch.manual_seed(0)
    # Larger weights than usual: with 16 dimensions and the usual ones, all texts would get the same logits.
    values = {"initializer_range": 0.3, **CONFIGS[kind], **config}
    chosen = transformers.AutoConfig.for_model(kind, vocab_size=len(NAMES), **values)
    getattr(transformers, auto).from_config(chosen).save_pretrained(folder)
    write_tokenizer(folder, kind)
    return folder


def write_tokenizer(folder: Path, kind: str, **more: Any) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    causal = kind == "gpt2"
    inner = Tokenizer(models.WordLevel({name: at for at, name in enumerate(NAMES)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"eos_token": "<|endoftext|>"} if causal else {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if not causal:
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", **special, **more).save_pretrained(folder)
