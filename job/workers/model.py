"""A pretrained model's folder as the job sees it before any weight is read: configuration, tokenizer, longest input.

Nothing here touches the network or runs code that came with a model.  What a folder lacks is said in one sentence that names
the setting, because a stack of a library's frames tells a person nothing about their folder.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from job.errors import SettingsError
from job.settings.root import Settings

DEFAULT_MAX_LENGTH = 512
"""Longest input of a model without a limit of its own: with relative positions a longer one is possible, and rarely meant."""

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_NO_LIMIT = 1_000_000
"""transformers writes a huge number into ``model_max_length`` when a tokenizer states none."""

_POSITIONS_AFTER_PAD = frozenset(
    {"camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta"}
    | {"roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"}
)
"""Models that number positions from ``pad_token_id + 1``: so many rows of their position table are never used."""

_PADDED_LEFT = frozenset({"xlnet"})
"""Models that read the class from the last column; all others expect padding on the right."""


def load_config(folder: Path) -> PreTrainedConfig:
    """The model's configuration.

    Raises:
        SettingsError: when ``config.json`` is missing, unreadable, of an unknown kind, or wants code of its own to be run.
    """
    content = read_object(folder, "config.json")
    try:
        with quiet():
            return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # each configuration class checks itself in its own way
        _refuse_remote_code(content, "config.json")
        kind = content.get("model_type")
        why = f"names the model type {kind!r}" if kind else "names no model_type"
        raise SettingsError(
            f"The model's config.json {why}, which transformers cannot build: {first_line(error)}",
            "Point JOB_MODEL__URI at a model of a type that transformers knows.",
        ) from error


def load_tokenizer(settings: Settings, folder: Path, adapter: Path | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer as it will be published: it has a pad token, cuts at the side that the settings name, and states the
    longest input.

    A pad token is taken from, in this order: the tokenizer; the model's configuration, which names the token that the model
    was trained to pad with; ``JOB_MODEL__PAD_TOKEN``.

    Args:
        settings: the run's.
        folder: the model.
        adapter: an adapter to start from, whose own tokenizer comes first.

    Raises:
        SettingsError: when there is no tokenizer, or none that can be used.
    """
    config = load_config(folder)
    tokenizer = _read_tokenizer(adapter if adapter and any((adapter / name).is_file() for name in _TOKENIZER_FILES) else folder)
    _drop_preset_lengths(tokenizer)
    _ensure_pad_token(settings, tokenizer, config)
    names = [name for name in tokenizer.model_input_names if name != "token_type_ids" or _has_segments(config)]
    chosen = {
        "truncation_side": settings.model.truncation_side,
        "padding_side": "left" if config.model_type in _PADDED_LEFT else "right",
        "model_input_names": names,
        "model_max_length": max_length(settings, tokenizer, config),
    }
    for name, value in chosen.items():
        setattr(tokenizer, name, value)
    # save_pretrained writes what a tokenizer was made with, not what was set later: without this it would publish the old sides.
    tokenizer.init_kwargs.update(chosen)
    return tokenizer


def max_length(settings: Settings, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> int:
    """Longest input in tokens, special tokens included: the setting, or else the smaller of the model's and the tokenizer's limit.

    Raises:
        SettingsError: when the setting asks for more positions than the model has, or leaves no room for text.
    """
    asked, positions = settings.train.max_seq_length, _positions(config)
    if asked is None:
        limits = [limit for limit in (positions, tokenizer.model_max_length) if limit is not None and limit < _NO_LIMIT]
        return min(limits, default=DEFAULT_MAX_LENGTH)
    if positions is not None and asked > positions:
        raise SettingsError(
            f"JOB_TRAIN__MAX_SEQ_LENGTH asks for {asked} tokens, and the model has positions for {positions}.",
            f"Set JOB_TRAIN__MAX_SEQ_LENGTH to {positions} or less, or leave it out.",
        )
    special = tokenizer.num_special_tokens_to_add(pair=settings.data.text_pair_column is not None)
    if asked <= special:
        raise SettingsError(
            f"JOB_TRAIN__MAX_SEQ_LENGTH allows {asked} tokens, and this tokenizer's special tokens alone take {special}.",
            f"Set JOB_TRAIN__MAX_SEQ_LENGTH to more than {special}.",
        )
    return asked


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers: no load report, hints or progress bars; what a reader needs to know, the caller says."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """The part of a library's message that a person can use: its first line, and the next one that a colon promises."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:300]


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of the model's folder.

    Raises:
        SettingsError: when the file is missing or holds none.
    """
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(found.name for found in folder.iterdir())[:8]) if folder.is_dir() else ""
        raise SettingsError(
            f"The model's folder has no {name}; it holds {there or 'nothing'}.",
            "Point JOB_MODEL__URI at the folder that save_pretrained wrote: config.json, *.safetensors, tokenizer files.",
        )
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"The model's {name} is not valid JSON: {first_line(error)}", "Fetch the folder named by JOB_MODEL__URI anew."
        ) from error
    if not isinstance(content, dict):
        raise SettingsError(f"The model's {name} holds no JSON object.", "Fetch the folder named by JOB_MODEL__URI anew.")
    return content


def _refuse_remote_code(content: dict[str, Any], name: str) -> None:
    """Say so when a folder could only be read by running Python code that came with it."""
    if content.get("auto_map"):
        raise SettingsError(
            f"The model's {name} has an auto_map: it wants Python code from its own folder to be run, and this job runs no code "
            "that comes with a model.",
            "Point JOB_MODEL__URI at a model of a type that transformers itself knows.",
        )


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise SettingsError(
            f"The model's folder has no tokenizer: none of {', '.join(_TOKENIZER_FILES)}.",
            "Save the tokenizer beside the model (tokenizer.save_pretrained) in the folder named by JOB_MODEL__URI.",
        )
    own = read_object(folder, "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception for a broken tokenizer.json
        _refuse_remote_code(own, "tokenizer_config.json")
        raise SettingsError(
            f"The model's tokenizer cannot be loaded: {first_line(error)}",
            "Save it with the installed transformers (tokenizer.save_pretrained) in the folder named by JOB_MODEL__URI.",
        ) from error
    return _checked(tokenizer)


def _checked(tokenizer: Any) -> PreTrainedTokenizerBase:
    if not tokenizer.is_fast:
        raise SettingsError(
            f"The model's tokenizer ({type(tokenizer).__name__}) exists only in Python, without a tokenizer.json: far too slow for a "
            "training job.",
            "Convert it to a fast tokenizer and save tokenizer.json in the folder named by JOB_MODEL__URI.",
        )
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise SettingsError(
            "The model's tokenizer has no vocabulary: its files do not fit the tokenizer class that the folder names.",
            "Save it with the installed transformers (tokenizer.save_pretrained) in the folder named by JOB_MODEL__URI.",
        )
    return tokenizer


def _drop_preset_lengths(tokenizer: Any) -> None:
    """A tokenizer.json may carry a truncation and a padding of its own, which would cut texts behind the ledger's back."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def _ensure_pad_token(settings: Settings, tokenizer: Any, config: PreTrainedConfig) -> None:
    if tokenizer.pad_token is not None:
        return
    choice, known = settings.model.pad_token, getattr(config, "pad_token_id", None)
    if choice == "auto" and known is not None and 0 <= known < len(tokenizer):
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(known)
    elif choice == "add":
        tokenizer.add_special_tokens({"pad_token": settings.model.pad_token_text})
    elif tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    else:
        raise SettingsError(
            "The model's tokenizer has neither a pad token nor an end-of-text token that could stand in for it.",
            "Set JOB_MODEL__PAD_TOKEN=add to add one (its text: JOB_MODEL__PAD_TOKEN_TEXT).",
        )


def _has_segments(config: PreTrainedConfig) -> bool:
    """Whether the model tells a first from a second text by segment ids.

    A tokenizer that makes them for a model that does not know them is a trap: DistilBERT fails, GPT-2 adds the embedding of
    word 0 everywhere and says nothing.
    """
    return int(getattr(config, "type_vocab_size", 0) or 0) > 1


def first_position(config: PreTrainedConfig) -> int:
    """The number that the model gives to a text's first position."""
    return (config.pad_token_id or 0) + 1 if config.model_type in _POSITIONS_AFTER_PAD else 0


def _positions(config: PreTrainedConfig) -> int | None:
    """How many tokens the model can number; None when its positions are relative."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.model_type in _POSITIONS_AFTER_PAD:
        return positions - (config.pad_token_id or 0) - 1
    return positions
