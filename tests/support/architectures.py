"""Models of several architectures with a head, tiny, in memory: what the methods of tuning have to find their way in."""

from __future__ import annotations

from typing import Any

COMMON = {"vocab_size": 40, "pad_token_id": 0}
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
PAIR = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 40},
    "bert": SMALL,
    "roberta": {**SMALL, "type_vocab_size": 1},
    "gpt2": {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 40, "bos_token_id": 1, "eos_token_id": 1},
    "llama": {**SMALL, "num_key_value_heads": 1},
    "modernbert": {**SMALL, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
    "deberta-v2": {**SMALL, "relative_attention": True, "pos_att_type": ["c2p"]},
    "bart": {**PAIR, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 40, "eos_token_id": 2},
    "t5": {
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 24,
        "num_layers": 2,
        "num_decoder_layers": 3,
        "num_heads": 2,
        "decoder_start_token_id": 0,
        "eos_token_id": 2,
    },
}


def build(kind: str, auto: str = "AutoModelForSequenceClassification", **more: Any) -> Any:
    """A model from a config, random weights from seed 0; for a classifier, three labels."""
    import torch
    import transformers

    torch.manual_seed(0)
    labels = {"num_labels": 3} if "Classification" in auto else {}
    config = transformers.AutoConfig.for_model(kind, **{**COMMON, **CONFIGS[kind], **labels, **more})
    return getattr(transformers, auto).from_config(config)
