"""What a model needs of memory under each engine, and which engine ``auto`` therefore takes.  Pure but for `measure`.

N weights of which T are trained, W processes, b bytes of a working weight (4 in fp32, 2 in bf16 and fp16 under DeepSpeed), k bytes of
a communication bucket.  What is there in every step, and what is there for a part of it only, the larger of two parts:

                weights   gradients      optimizer   buffers: backward pass | update
    replicas    4N        4T             8T
    ZeRO-1      bN        bT             12T/W       k                | 8T/W - 4T       12: an fp32 weight, AdamW's two moments
       16 bits  bN        bT + 4T/W      12T/W       k
    ZeRO-2      bN        bT/W           12T/W       2k               | 4T/W
    ZeRO-3      bN/W      bT/W           12T/W       gathered + 3k    | 4T/W

For the update each rank makes a flat fp32 copy of its own part of the gradients; ZeRO-1 first lets go of the others' parts.  In 16 bits
it is taken to add up in fp32 beside that, which is not measured.  The buckets are the one that is filled, the one that is sent, and
under ZeRO-3 the copy that gloo makes to add up.  To this come the activations of one micro-batch and the libraries themselves.
`benchmarks/engine_memory.py` holds all of it against what is measured.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from job.cluster import topology
from job.run_dir import RunDir
from job.settings.combinations import refusals
from job.settings.root import Settings
from job.settings.tuning import DEFAULT_RANK, TuningSettings
from job.workers.engine.zero_config import BUCKET_ELEMENTS, LIVE_ELEMENTS
from job.workers.weight_files import check_weight_files

MODES = ("single", "ddp", "zero1", "zero2", "zero3")
USABLE_SHARE = 0.85
"""Of a device's memory; the rest is for fragmentation and what no formula knows."""
LIBRARIES_BYTES = 430_000_000
"""The interpreter with torch, transformers and DeepSpeed, measured on a CPU; taken for a GPU's context as well, without a measurement."""
ACTIVATION_VALUES = 34
"""Values that a transformer layer keeps for the backward pass, per token and unit of width, attention weights not stored."""
ADAPTED_WIDTHS = 23
"""Inputs and outputs of a layer's linear maps, in widths: four maps of attention (8), and three of up to four widths (15)."""
LOGIT_VALUES = 3
"""Values per token and word of the vocabulary: the logits, their softmax, their gradient."""
_DECODER_LAYERS = ("num_decoder_layers", "decoder_layers")
"""Where an encoder-decoder states the layers of its decoder, beside its encoder's ``num_hidden_layers``; no token passes both: an upper estimate."""
GB = 1e9


@dataclass(frozen=True)
class ModelSize:
    """What decides memory: weights, those that are trained, layers, width, words whose logits are made for every token (or 0)."""

    parameters: int
    trained: int
    layers: int
    width: int
    vocabulary: int = 0


@dataclass(frozen=True)
class Place:
    """Where it has to fit: processes, bytes for each, precision."""

    world_size: int
    bytes_each: int
    precision: str


@dataclass(frozen=True)
class Need:
    """Bytes on one rank, without activations."""

    weights: int
    gradients: int
    optimizer: int
    buffers: int
    libraries: int = LIBRARIES_BYTES

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.buffers + self.libraries


@dataclass(frozen=True)
class Choice:
    """What was chosen and why.

    ``needs`` holds each considered engine's bytes; ``sentence`` says all of it in one line.
    """

    mode: str
    micro_batch_tokens: int
    fits: bool
    needs: dict[str, dict[str, int]]
    activation_bytes_per_token: int
    bytes_each: int
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def apply(self, settings: Settings) -> Settings:
        """The settings with this choice in place of ``auto``."""
        engine: dict[str, Any] = {"engine": self.mode}
        if self.mode.startswith("zero"):
            engine = {"engine": "deepspeed", "zero_stage": int(self.mode.removeprefix("zero"))}
        parallel = settings.parallel.model_copy(update=engine)
        train = settings.train.model_copy(update={"micro_batch_tokens": self.micro_batch_tokens})
        return settings.model_copy(update={"parallel": parallel, "train": train})


def need(mode: str, size: ModelSize, place: Place) -> Need:
    """Bytes on one rank under an engine; the table at the top of this file."""
    n, t, world = size.parameters, size.trained, place.world_size
    if mode in {"single", "ddp"}:
        cached = 0 if place.precision == "fp32" else 2 * n  # autocast's copies in 16 bits
        return Need(4 * n + cached, 4 * t, 8 * t, 0)
    working = 4 if place.precision == "fp32" else 2
    bucket = working * min(BUCKET_ELEMENTS, t)
    optimizer, flat_gradients = 12 * t // world, 4 * t // world
    gradients = working * t // world
    if mode == "zero1" and place.precision == "fp32":
        return Need(working * n, working * t, optimizer, max(bucket, gradients + flat_gradients - working * t))
    if mode == "zero1":
        return Need(working * n, working * t + flat_gradients, optimizer, bucket)
    if mode == "zero2":
        return Need(working * n, gradients, optimizer, max(2 * bucket, flat_gradients))
    gathered = working * min(n, LIVE_ELEMENTS)
    return Need(working * n // world, gradients, optimizer, max(gathered + 3 * bucket, flat_gradients))


def activation_bytes_per_token(size: ModelSize, precision: str) -> int:
    """Bytes that one token of a micro-batch takes until its backward pass."""
    width = 4 if precision == "fp32" else 2
    return ACTIVATION_VALUES * size.layers * size.width * width + LOGIT_VALUES * 4 * size.vocabulary


def choose(size: ModelSize, place: Place, settings: Settings) -> Choice:
    """The simplest engine that fits with the largest micro-batch allowed; where none does, with the largest that fits.

    An engine that the settings name is taken as it is, with the micro-batch that fits beside it.
    """
    room = int(USABLE_SHARE * place.bytes_each)
    per_token = activation_bytes_per_token(size, place.precision)
    asked, least = settings.train.micro_batch_tokens, min(settings.train.micro_batch_tokens, _LEAST_TOKENS)
    candidates = _candidates(settings, place)
    needs = {mode: need(mode, size, place) for mode in candidates}
    tokens = {mode: _tokens(room - needs[mode].total, per_token, asked) for mode in candidates}
    mode = next((mode for mode in candidates if tokens[mode] >= least), candidates[-1])
    fits = tokens[mode] >= least
    chosen = max(least, tokens[mode])
    described = {each: {**dataclasses.asdict(needs[each]), "total": needs[each].total} for each in candidates}
    sentence = _sentence(described, mode, place, fits=fits)
    sentence += f" {chosen} tokens at once take {per_token * chosen / GB:.2f} GB beside that."
    return Choice(mode, chosen, fits, described, per_token, place.bytes_each, sentence)


_LEAST_TOKENS = 512
"""A micro-batch below this leaves a device idle: another engine is taken before."""


def _tokens(room: int, per_token: int, asked: int) -> int:
    """The largest of asked, asked / 2, asked / 4 ... that fits; 0 when none does."""
    tokens = asked
    while tokens and tokens * per_token > room:
        tokens //= 2
    return tokens


def _candidates(settings: Settings, place: Place) -> list[str]:
    parallel = settings.parallel
    if parallel.engine == "deepspeed":
        return [f"zero{parallel.zero_stage or 2}"]
    if parallel.engine != "auto":
        return [parallel.engine]
    if place.world_size == 1:
        return ["single"]
    return [mode for mode in MODES[1:] if not refusals(settings, mode)]


def _sentence(needs: dict[str, dict[str, int]], mode: str, place: Place, *, fits: bool) -> str:
    parts = [f"{name} {needs[mode][name] / GB:.2f}" for name in ("weights", "gradients", "optimizer", "buffers", "libraries")]
    too_large = [
        f"{each} {needs[each]['total'] / GB:.2f} GB" for each in needs if list(needs).index(each) < list(needs).index(mode)
    ]
    return (
        f"Engine {mode} on {place.world_size} process(es): {needs[mode]['total'] / GB:.2f} GB of {place.bytes_each / GB:.2f} GB each "
        f"({', '.join(parts)})"
        + (f"; too large: {', '.join(too_large)}" if too_large else "")
        + ("." if fits else "; by this estimate it does not fit, and is tried all the same.")
    )


def measure(run_dir: RunDir, settings: Settings) -> ModelSize:
    """The size of the fetched model, from its configuration and the headers of its weight files.

    Raises:
        SettingsError: as `check_weight_files`, because this is the first look at them.
    """
    from transformers import AutoConfig, AutoModel

    folder = run_dir.input_model
    if not settings.model.from_config:
        check_weight_files(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True).get_text_config()
    files = sorted(folder.glob("*.safetensors"))
    if files:
        parameters = sum(_num_elements(path) for path in files)
    else:
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in AutoModel.from_config(config).parameters())
    # A task that predicts words makes logits for every token.
    vocabulary = 0 if "classification" in settings.task else int(getattr(config, "vocab_size", 0) or 0)
    layers = sum(int(getattr(config, name, 0) or 0) for name in ("num_hidden_layers", *_DECODER_LAYERS))
    size = ModelSize(parameters, parameters, layers, int(getattr(config, "hidden_size", 0) or 0), vocabulary)
    adapter = run_dir.input_adapter / "adapter_model.safetensors"
    return dataclasses.replace(size, trained=trained(size, settings.tuning, _num_elements(adapter) if adapter.is_file() else 0))


def trained(size: ModelSize, tuning: TuningSettings, continued: int = 0) -> int:
    """Parameters that a method trains, the head left out; of an adapter an upper estimate.

    Args:
        size: of the whole model.
        tuning: the method.
        continued: parameters of the adapter that is trained on; 0 for a new one.
    """
    if tuning.method == "full":
        return size.parameters
    if tuning.method == "freeze":
        return size.parameters * min(tuning.train_last_layers or 0, size.layers) // max(size.layers, 1)
    rank = tuning.lora_rank or DEFAULT_RANK
    return min(size.parameters, continued or rank * ADAPTED_WIDTHS * size.width * size.layers)


def _num_elements(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        return sum(int(torch.Size(file.get_slice(name).get_shape()).numel()) for name in file.keys())  # noqa: SIM118 - no mapping


def bytes_of(device: torch.device, local_world_size: int) -> int:
    """Memory for one worker: its GPU's, or its share of the host's, which a container may limit."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return topology.host_memory() // local_world_size
