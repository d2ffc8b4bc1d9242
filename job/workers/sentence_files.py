"""The files by which sentence-transformers knows how a model's tokens become one vector."""

from __future__ import annotations

from pathlib import Path

from job import run_dir as run_dirs
from job.records import PreparedData
from job.settings.root import Settings

_WIDTHS = ("hidden_size", "dim", "n_embd", "d_model")
"""Where configurations state the size of the hidden states."""
_POOLING_MODES = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken", "max": "max_tokens"}


def describe_pooling(settings: Settings, prepared: PreparedData, folder: Path, config: Path) -> None:
    """Write what sentence-transformers reads beside a model, or an adapter: the modules, the pooling, the longest text.

    Args:
        settings: the pooling.
        prepared: the longest text.
        folder: of the saved model.
        config: the model's ``config.json``, or its base's.
    """
    about = run_dirs.read_json(config)
    size = next(about[name] for name in _WIDTHS if name in about)
    modes = {f"pooling_mode_{mode}": how == settings.embedding.pooling for how, mode in _POOLING_MODES.items()}
    modules = [
        {"idx": at, "name": str(at), "path": f"{at}_{kind}" if at else "", "type": f"sentence_transformers.models.{kind}"}
        for at, kind in enumerate(("Transformer", "Pooling"))
    ]
    run_dirs.write_json(folder / "modules.json", modules)
    run_dirs.write_json(folder / "sentence_bert_config.json", {"max_seq_length": prepared.max_seq_length, "do_lower_case": False})
    run_dirs.write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": size, **modes})
