"""Low-rank adapters beside the weights of a frozen base, by peft.  The only importer of peft.

What is trained lies in the adapter: its matrices, the head, and whatever the start model lacked.  So an adapter's folder and the
base that it names are the whole model.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.errors import CrashError, SettingsError
from job.settings.tuning import ALL_LINEAR, DEFAULT_RANK, TuningSettings
from job.workers.model import first_line, read_object
from job.workers.tuning import anatomy, targets

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "adapter_base.json"
_HEADS = {"ForSequenceClassification": "SEQ_CLS", "ForTokenClassification": "TOKEN_CLS", "ForCausalLM": "CAUSAL_LM"} | {
    "LMHeadModel": "CAUSAL_LM",
    "ForConditionalGeneration": "SEQ_2_SEQ_LM",
    "Model": "FEATURE_EXTRACTION",
}
"""Endings of model classes, and what peft calls them: with it a user needs only ``AutoPeftModelFor...``."""


def is_adapter(model: object) -> bool:
    """Whether a model is a base with an adapter."""
    return isinstance(model, peft.PeftModel)


def add(model: Any, settings: TuningSettings) -> Any:
    """The model with a new adapter, the base frozen; the adapter's matrices are drawn from torch's generator.

    Raises:
        SettingsError: when names of modules mean nothing in this model, or the adapter cannot be built.
    """
    whole = targets.whole_modules(model, settings.lora_modules_to_save or ())
    adapted = targets.adapted_modules(model, settings.lora_targets or (ALL_LINEAR,))
    adapted = [name for name in adapted if not any(name == each or name.startswith(f"{each}.") for each in whole)]
    if not adapted:
        raise SettingsError(
            "No module is left for an adapter: all that JOB_TUNING__LORA_TARGETS names is trained whole.",
            "Take names out of JOB_TUNING__LORA_MODULES_TO_SAVE, or use JOB_TUNING__METHOD=full.",
        )
    rank = settings.lora_rank or DEFAULT_RANK
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=_number(settings.lora_alpha or 2 * rank),
        lora_dropout=settings.lora_dropout or 0.0,
        target_modules=targets.short_names(model, adapted),
        modules_to_save=whole or None,
        bias=settings.lora_bias or "none",
        use_rslora=bool(settings.lora_rslora),
        use_dora=bool(settings.lora_dora),
        fan_in_fan_out=any(isinstance(model.get_submodule(name), anatomy.Conv1D) for name in adapted),
        task_type=_task_type(model),
    )
    with _peft_errors("JOB_TUNING__METHOD=lora cannot be used with this model"):
        return peft.PeftModel(model, config)


def put_on(model: Any, folder: Path, dropout: float | None = None) -> tuple[Any, list[str]]:
    """A base with the adapter of a folder, to be trained on, and sentences about what of it was not used.

    What neither base nor adapter has, such as a head, is new and becomes part of the adapter.

    Args:
        model: the base with its head.
        folder: the adapter.
        dropout: in place of the adapter's own.

    Raises:
        SettingsError: when the folder's adapter cannot be used with this base.
    """
    content = read_object(folder, CONFIG)
    if content.get("peft_type") != "LORA":
        raise SettingsError("The adapter in JOB_MODEL__URI is not of the kind LORA.", "Give a LoRA adapter, or a whole model.")
    config = peft.LoraConfig.from_pretrained(str(folder))
    config.inference_mode = False
    config.lora_dropout = config.lora_dropout if dropout is None else dropout
    config.modules_to_save = list(dict.fromkeys([*(config.modules_to_save or ()), *targets.whole_modules(model, ())])) or None
    with _peft_errors("The adapter in JOB_MODEL__URI does not fit its base model"):
        tuned = peft.PeftModel(model, config)
        tensors, notes = _completed(tuned, load_file(str(folder / WEIGHTS)))
        found: Any = peft.set_peft_model_state_dict(tuned, tensors)
    if found.unexpected_keys:
        raise SettingsError(
            f"The adapter in JOB_MODEL__URI holds {len(found.unexpected_keys)} tensors that this base model has no place for "
            f"({found.unexpected_keys[0]}).",
            "Check that JOB_MODEL__BASE_URI leads to the model that the adapter was made for.",
        )
    return tuned, notes


def write(model: Any, folder: Path, base: dict[str, Any]) -> None:
    """Write an adapter's folder: configuration and weights for peft, and ``adapter_base.json``: what it belongs to.

    Args:
        model: the base with its adapter.
        folder: where to.
        base: ``uri``, ``revision`` and ``sha256`` of the base, and ``name``: what others load it by.
    """
    config = model.peft_config["default"]
    config.base_model_name_or_path, config.revision = base["name"], base["revision"] or None
    # The embedding that an added pad token made larger is not part of an adapter: its row is never attended to.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink()  # peft's own card is a form to fill in
    content = read_object(folder, CONFIG)
    # Sets in peft: their order is another in every process.
    ordered = {name: sorted(content[name]) for name in ("target_modules", "modules_to_save") if isinstance(content[name], list)}
    run_dirs.write_json(folder / CONFIG, content | ordered)
    run_dirs.write_json(folder / BASE, base | {"labels": _labels(model)})


def load_published(model: Any, folder: Path) -> Any:
    """A base with the adapter of a folder as a user gets it: by peft's own way, every tensor accounted for.

    Raises:
        CrashError: when the folder's tensors are not those that the adapter has.
    """
    try:
        with _peft_warnings():
            tuned = peft.PeftModel.from_pretrained(model, str(folder))
    except KeyError as error:
        raise CrashError(f"The adapter that was saved in {folder} does not load as it was: it lacks {error}.") from error
    there, here = set(load_file(str(folder / WEIGHTS))), set(peft.get_peft_model_state_dict(tuned, save_embedding_layers=False))
    if there != here:
        raise CrashError(f"The adapter that was saved in {folder} does not load as it was: {sorted(there ^ here)[:6]}.")
    return tuned


def merge(model: Any) -> Any:
    """The base with the adapter in its weights: a plain model.  Takes the place of the one that is given."""
    with _peft_warnings():
        return model.merge_and_unload(safe_merge=True)


def check_same(model: Any, settings: TuningSettings) -> None:
    """See that settings which are given agree with the adapter that is continued; dropout is free.

    Raises:
        SettingsError: naming those that do not.
    """
    config = model.peft_config["default"]
    here: dict[str, Any] = {
        "lora_rank": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_bias": config.bias,
        "lora_rslora": config.use_rslora,
        "lora_dora": config.use_dora,
    }
    differing = [name for name, value in here.items() if getattr(settings, name) not in (None, value)]
    differing += [name for name in ("lora_targets", "lora_modules_to_save") if getattr(settings, name) is not None]
    if differing:
        names = ", ".join(f"JOB_TUNING__{name.upper()}" for name in differing)
        raise SettingsError(
            f"{names} would make another adapter than the one in JOB_MODEL__URI, which is continued as it is.",
            f"Leave {names} out; or publish the adapter merged, and start a new one from that model.",
        )


def _labels(model: Any) -> list[str]:
    """Names of a head's outputs, which an adapter's own files do not hold."""
    named = getattr(model.config, "id2label", None) or {}
    return [named[number] for number in sorted(named)]


def _task_type(model: Any) -> str | None:
    name = type(model).__name__
    return next((kind for ending, kind in _HEADS.items() if name.endswith(ending)), None)


def _number(value: float) -> Any:
    """A whole number where it is one: peft's type, though it takes any."""
    return int(value) if value == int(value) else value


def _completed(tuned: Any, tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """An adapter's tensors, with the model's own new ones for what is kept whole and is missing or of another shape; and notes.

    Raises:
        ValueError: when a matrix of the adapter itself is missing.
    """
    # With bias=all, peft lists the biases of modules that are kept whole a second time, by this name.
    here, given = (
        {name: each for name, each in found.items() if ".modules_to_save." not in name}
        for found in (peft.get_peft_model_state_dict(tuned, save_embedding_layers=False), tensors)
    )
    if lacking := sorted(name for name in here.keys() - given.keys() if "lora_" in name):
        raise ValueError(f"{len(lacking)} of its tensors are not in {WEIGHTS} ({lacking[0]})")
    new = sorted(name for name, own in here.items() if "lora_" not in name and getattr(given.get(name), "shape", None) != own.shape)
    notes = [f"New in the adapter, starting from random weights: {', '.join(new)}."] if new else []
    return given | {name: here[name] for name in new}, notes


@contextlib.contextmanager
def _peft_warnings() -> Iterator[None]:
    """What peft asks of transformers is an attribute on its way out; nobody here can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


@contextlib.contextmanager
def _peft_errors(what: str) -> Iterator[None]:
    try:
        with _peft_warnings():
            yield
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
        raise SettingsError(f"{what}: {first_line(error)}", "Choose other JOB_TUNING__LORA_TARGETS, or another method.") from error
