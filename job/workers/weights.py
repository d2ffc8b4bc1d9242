"""Weights of a model folder under a classification head: what came from the folder, what is new, and what may not be new.

transformers fills whatever a checkpoint lacks with random numbers and goes on.  That is right for a head and a disaster for
anything else, so every parameter is accounted for here.  Weights are read from safetensors only: the pickle format runs code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig

from job.cluster import topology
from job.errors import CrashError, SettingsError
from job.workers.model import first_line, load_config, quiet
from job.workers.weight_files import check_weight_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Head:
    """What the model predicts, and so what stands on its body.

    ``labels`` are label names by id (a number has one, without meaning), empty for a head without labels; ``problem_type`` is
    transformers' name of the problem; ``auto`` the class that makes the model; ``name`` says what it is in messages.
    """

    labels: Sequence[str] = ()
    problem_type: str | None = None
    auto: Any = AutoModelForSequenceClassification
    name: str = "text classification"


@dataclass(frozen=True)
class LoadedModel:
    """A model in float32 on the CPU, and sentences about what in it is new or was left out."""

    model: Any
    notes: tuple[str, ...]


def load_model(folder: Path, tokenizer: Any, head: Head, *, from_config: bool) -> LoadedModel:
    """The pretrained model with a head; what is new is drawn from torch's generator.

    Args:
        folder: local model folder.
        tokenizer: the one the data was tokenized with; the model gets its pad token, and rows for a token that was added.
        head: what is to be predicted.
        from_config: new weights throughout; the folder then needs only ``config.json``.

    Raises:
        SettingsError: when the folder's weights cannot be used, or lack more than a head.
    """
    config = _config(folder, tokenizer, head)
    before = list((load_config(folder).id2label or {}).values())
    if from_config:
        loaded = LoadedModel(_build(config, head), ("All weights are new, made from config.json (JOB_MODEL__FROM_CONFIG).",))
    else:
        loaded = _read(folder, config, head)
        renamed = not loaded.notes and before != list(head.labels) and len(head.labels) > 1
        loaded = LoadedModel(loaded.model, (*loaded.notes, *([_renamed(before, head.labels)] if renamed else [])))
    _fit_vocabulary(loaded.model, tokenizer)
    if topology.worker_place().rank == 0:
        for note in loaded.notes:
            logger.info("%s", note)
    return loaded


def load_published(folder: Path, auto: Any = AutoModelForSequenceClassification) -> Any:
    """The model exactly as a user will load it, from its own files alone.

    Raises:
        CrashError: when they do not hold every weight.
    """
    check_weight_files(folder)
    with quiet():
        model, found = auto.from_pretrained(folder, output_loading_info=True, **_local())
    astray = {kind: sorted(map(str, keys)) for kind, keys in found.items() if keys}
    if astray:
        raise CrashError(f"The model that was saved in {folder} does not load as it was: {astray}.")
    return model


def _config(folder: Path, tokenizer: Any, head: Head) -> PreTrainedConfig:
    config = load_config(folder)
    if getattr(config, "quantization_config", None):
        raise SettingsError(
            "The model's weights are quantized, which cannot be trained in full.", "Point JOB_MODEL__URI at the unquantized model."
        )
    if (folder / "adapter_config.json").is_file():
        raise SettingsError(
            "The model's folder holds an adapter (adapter_config.json), not a model of its own.",
            "Merge the adapter into its base model, save that, and point JOB_MODEL__URI at it.",
        )
    if head.labels:
        config.id2label = dict(enumerate(head.labels))
        config.label2id = {name: number for number, name in enumerate(head.labels)}
        config.problem_type = head.problem_type
    pad, vocabulary = tokenizer.pad_token_id, getattr(config, "vocab_size", None)
    # The id of an added token has no row yet, and an embedding refuses to be built with it; `_fit_vocabulary` sets it.
    config.pad_token_id = pad if vocabulary is None or pad < vocabulary else None
    # A model that writes text is published with its cache on; its task switches the cache off in training.
    if hasattr(config, "use_cache") and head.labels:
        config.use_cache = False
    return config


def _local() -> dict[str, Any]:
    return {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True, "trust_remote_code": False}


def _build(config: PreTrainedConfig, head: Head) -> Any:
    try:
        with quiet():
            return head.auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except (ValueError, TypeError, AssertionError, RuntimeError, AttributeError) as error:
        raise _unbuildable(config, head, error) from error


def _read(folder: Path, config: PreTrainedConfig, head: Head) -> LoadedModel:
    check_weight_files(folder)
    try:
        with quiet():
            model, found = head.auto.from_pretrained(
                folder, config=config, ignore_mismatched_sizes=True, output_loading_info=True, **_local()
            )
    except (ValueError, TypeError, AssertionError, RuntimeError, AttributeError, KeyError, OSError) as error:
        raise _unbuildable(config, head, error) from error
    mismatched = {key: (tuple(there), tuple(here)) for key, there, here in found["mismatched_keys"]}
    _refuse_gaps(model, found["missing_keys"], mismatched)
    model.new_parameters = (*sorted(found["missing_keys"]), *sorted(mismatched))
    return LoadedModel(model, tuple(_notes(head, found["missing_keys"], mismatched, found["unexpected_keys"])))


def _unbuildable(config: PreTrainedConfig, head: Head, error: Exception) -> SettingsError:
    if "Unrecognized configuration class" in str(error):
        return SettingsError(
            f"transformers has no {head.name} model of type {config.model_type!r}.",
            "Point JOB_MODEL__URI at a text model, such as a BERT, RoBERTa, DistilBERT, GPT-2 or Llama one.",
        )
    return SettingsError(
        f"The model cannot be built from its folder: {first_line(error)}",
        "Check config.json in the folder named by JOB_MODEL__URI; save_pretrained writes one that fits.",
    )


def _refuse_gaps(model: Any, missing: Iterable[str], mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    """Only a head may be new: what lies outside the base model, and its pooler, which language models are trained without."""
    # A model without a head is all body, and its parameters have no prefix.
    body = "" if getattr(model, "base_model", None) is model else f"{model.base_model_prefix}."
    pooler = f"{body}pooler."
    gaps = sorted(key for key in missing if key.startswith(body) and not key.startswith(pooler))
    if gaps:
        raise SettingsError(
            f"The weights do not belong to this {type(model).__name__}: {len(gaps)} parameters of its body are not in them ({_some(gaps)}).",
            "Check that config.json and the weights in the folder named by JOB_MODEL__URI are of the same model.",
        )
    shapes = [
        f"{key} is {there} in the weights, {here} by config.json"
        for key, (there, here) in sorted(mismatched.items())
        if key.startswith(body)
    ]
    if shapes:
        raise SettingsError(
            f"The weights do not fit config.json: {len(shapes)} parameters have another shape ({_some(shapes)}).",
            "Check that config.json and the weights in the folder named by JOB_MODEL__URI are of the same model.",
        )


def _notes(
    head: Head, missing: Iterable[str], mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]], unused: Iterable[str]
) -> list[str]:
    notes = []
    if new := sorted(missing):
        notes.append(f"The {head.name.removeprefix('text ')} head is new and starts from random weights: {_some(new)}.")
    if mismatched:
        notes.append(
            "The checkpoint's head is for another number of labels, so a new one starts from random weights: "
            + "; ".join(f"{key} {list(there)} → {list(here)}" for key, (there, here) in sorted(mismatched.items()))
            + "."
        )
    if left := sorted(unused):
        notes.append(f"Not used from the checkpoint: {_some(left)}.")
    return notes


def _renamed(before: Sequence[str], labels: Sequence[str]) -> str:
    return (
        f"The checkpoint's own head is kept, and its outputs get new names: {', '.join(map(str, before))} → {', '.join(labels)}. "
        "If these mean the same in another order, give JOB_DATA__LABELS in the checkpoint's order."
    )


def _fit_vocabulary(model: Any, tokenizer: Any) -> None:
    """Give an added pad token its row, and the configuration its id.

    Raises:
        SettingsError: when the tokenizer has other tokens that the model has no embedding for.
    """
    rows = model.get_input_embeddings().num_embeddings
    beyond = sorted(token for token, number in tokenizer.get_vocab().items() if number >= rows)
    if beyond and beyond != [tokenizer.pad_token]:
        raise SettingsError(
            f"The tokenizer has {len(beyond)} tokens that the model has no embedding for ({_some(beyond)}): it knows {rows} rows.",
            "Check that tokenizer and weights in the folder named by JOB_MODEL__URI are of the same model.",
        )
    if beyond:
        # From the generator like all new weights; the default draws around the mean of all rows, for a token that is never seen.
        with quiet():
            model.resize_token_embeddings(tokenizer.pad_token_id + 1, mean_resizing=False)
    model.config.get_text_config().pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id


def _some(names: Sequence[str], most: int = 6) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
