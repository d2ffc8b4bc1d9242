"""The door to the methods: the start model, what of it is trained, what is published, and how that is loaded again."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from job.cluster import topology
from job.records import FetchedInputs
from job.run_dir import RunDir
from job.settings.root import Settings
from job.workers.tuning import anatomy
from job.workers.tuning.freezing import freeze

logger = logging.getLogger(__name__)
ADAPTER = "adapter"
"""The folder of the adapter within a published model that it was merged into."""
LABELS_DIFFER = (
    "The adapter's own head is kept, and its outputs get new names: {} → {}. "
    "If these mean the same in another order, give JOB_DATA__LABELS in the adapter's order."
)


class Loads(Protocol):
    """What is needed of a task here."""

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module: ...


def start_model(run_dir: RunDir, settings: Settings, task: Loads) -> Any:
    """The model before training: that of ``inputs/model``, with the adapter of ``inputs/adapter`` where there is one.

    What is new in it is drawn from the run's seed: it is the same every time.

    Raises:
        SettingsError: when the folders' content cannot be used.
    """
    torch.manual_seed(settings.run.seed)
    model: Any = task.load_model(str(run_dir.input_model), from_config=settings.model.from_config)
    if settings.tuning.method == "qlora":
        _quantize(model, settings)
    if not run_dir.input_adapter.is_dir():
        return model
    from job.workers.tuning import adapters

    tuned, notes = adapters.put_on(model, run_dir.input_adapter, settings.tuning.lora_dropout)
    before, after = _labels(run_dir.input_adapter), list((getattr(model.config, "id2label", None) or {}).values())
    notes += [LABELS_DIFFER.format(", ".join(before), ", ".join(after))] if not notes and before and before != after else []
    if topology.worker_place().rank == 0:
        for note in notes:
            logger.info("%s", note)
    return tuned


def choose_trained(model: Any, settings: Settings) -> Any:
    """The model with what the settings say of it trainable, and the rest frozen; another object for an adapter.

    Raises:
        SettingsError: when the settings do not fit the model.
    """
    tuning = settings.tuning
    if tuning.is_adapter:
        from job.workers.tuning import adapters

        if adapters.is_adapter(model):
            adapters.check_same(model, tuning)
        else:
            model = adapters.add(model, tuning)
    else:
        plain = _plain(model)
        if plain is not model:  # merged just now, and frozen as a base is; else what is frozen came so, such as fixed positions
            plain.requires_grad_(True)
        model = plain
        if tuning.method == "freeze":
            freeze(model, tuning.train_last_layers or 0)
    anatomy.let_idle(model)
    return model


def count(model: Any) -> dict[str, int]:
    """Parameters of a model, and those of them that are trained; what an adapter replaced counts once."""
    named = [(name, _num_elements(each), each.requires_grad) for name, each in model.named_parameters()]
    return {
        "num_parameters": sum(number for name, number, _ in named if ".original_module." not in name),
        "num_trained_parameters": sum(number for _, number, trained in named if trained),
    }


def _num_elements(parameter: Any) -> int:
    """Of the whole parameter, where an engine holds a part of it, or bitsandbytes two elements in each byte."""
    packed = getattr(parameter, "quant_state", None)
    return math.prod(packed.shape) if packed is not None else int(getattr(parameter, "ds_numel", parameter.numel()))


def save(model: Any, folder: Path, run_dir: RunDir, settings: Settings, weights: Mapping[str, torch.Tensor] | None = None) -> None:
    """Write what is published into ``folder``: the model, its adapter, the model with the adapter merged into it, or both.

    Weights of a whole model are its own, or ``weights`` where an engine has them elsewhere; those of an adapter are its own.
    The adapter of a merged model lies in ``RunDir.adapter`` too, which it is compared with.  A merged model cannot be trained on.
    """
    published = settings.tuning.published
    if published == "model":
        model.save_pretrained(folder, **({} if weights is None else {"state_dict": weights}))
        return
    from job.workers.tuning import adapters

    base = base_of(run_dir, settings)
    if published == "adapter":
        adapters.write(model, folder, base)
        return
    shutil.rmtree(run_dir.adapter, ignore_errors=True)
    adapters.write(model, run_dir.adapter, base)
    adapters.merge(model).save_pretrained(folder)
    if published == "both":
        shutil.copytree(run_dir.adapter, folder / ADAPTER)


def load_adapter(run_dir: RunDir, folder: Path, settings: Settings, task: Loads) -> Any:
    """The base with the adapter of a folder, as a user gets it.

    Raises:
        CrashError: when the adapter does not hold all that was trained.
    """
    from job.workers.tuning import adapters

    # Not training's seed: were a weight missing in the adapter, it would be another here, and be seen in the scores.
    torch.manual_seed(settings.run.seed + 1)
    base: Any = task.load_model(str(run_dir.input_model), from_config=False)
    if settings.tuning.method == "qlora":
        _quantize(base, settings)
    tuned = adapters.load_published(base, folder)
    return tuned.eval()


def base_of(run_dir: RunDir, settings: Settings) -> dict[str, Any]:
    """The base as an adapter's folder names it.

    ``name`` is what others load it by: on the Hub ``org/name``; elsewhere its path or address.
    """
    marker = run_dir.marker("fetch")
    source = FetchedInputs.read(marker).sources["model"] if marker.exists() else {"uri": settings.model.uri}
    uri = str(source["uri"])
    path = Path(uri.removeprefix("file://"))
    name = str(path.resolve()) if path.exists() else uri.removeprefix("hf://")
    return {"name": name, "uri": uri, "revision": source.get("revision", ""), "sha256": source.get("sha256", "")}


def _plain(model: Any) -> Any:
    """A start model without its adapter beside it: merged into the weights, which are then trained as any others."""
    if not hasattr(model, "peft_config"):
        return model
    from job.workers.tuning import adapters

    return adapters.merge(model) if adapters.is_adapter(model) else model


def _quantize(model: Any, settings: Settings) -> None:
    from job.workers.tuning.quantizing import quantize

    quantize(model, torch.float32 if settings.train.precision == "fp32" else torch.bfloat16)


def _labels(folder: Path) -> list[str]:
    """The names of the labels that an adapter of this job was made for; nothing for others'."""
    path = folder / "adapter_base.json"
    return list(json.loads(path.read_bytes()).get("labels", [])) if path.is_file() else []
