"""Settings of what is trained: all weights, a part of them, or an adapter beside them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from job.settings.group import CommaList, Group

ALL_LINEAR = "all-linear"
DEFAULT_RANK = 8
"""The usual rank of an adapter; alpha is twice the rank where nothing is said."""
_FREEZE = ("freeze",)
_ADAPTERS = ("lora", "qlora")
_BELONGS_TO = {
    "train_last_layers": _FREEZE,
    "cache_features": _FREEZE,
    "lora_rank": _ADAPTERS,
    "lora_alpha": _ADAPTERS,
    "lora_dropout": _ADAPTERS,
    "lora_targets": _ADAPTERS,
    "lora_modules_to_save": _ADAPTERS,
    "lora_bias": _ADAPTERS,
    "lora_rslora": _ADAPTERS,
    "lora_dora": _ADAPTERS,
    "publish": _ADAPTERS,
}
"""Settings that mean something for some methods only; not given, they are None, and what that means stands in their docstrings."""


class TuningSettings(Group):
    """Which weights are trained."""

    method: Literal["full", "freeze", "lora", "qlora"] = "full"
    """`full`: all weights; `freeze`: the head, and the last layers if asked for; `lora`: an adapter of low rank, and the head; `qlora`: the same on a base in 4 bits, on a GPU."""

    train_last_layers: int | None = Field(default=None, ge=0)
    """For `freeze`: how many of the model's last layers are trained beside the head, with what stands behind them. Embeddings stay frozen. Default: 0, the head alone."""

    cache_features: bool | None = None
    """For `freeze` with the head alone: what the frozen body makes of each example is computed once, without dropout in it, and kept on disk; steps train the head on that. Needs room for tokens x hidden size x 4 bytes. Default: no."""

    lora_rank: int | None = Field(default=None, ge=1, le=4096)
    """For `lora`: rank of the two matrices beside each target. Default: 8, or that of the adapter in `JOB_MODEL__URI`."""

    lora_alpha: float | None = Field(default=None, gt=0)
    """For `lora`: the adapter's output is scaled by alpha / rank. Default: twice the rank."""

    lora_dropout: float | None = Field(default=None, ge=0, lt=1)
    """For `lora`: dropout on the adapter's input. Default: 0."""

    lora_targets: CommaList | None = Field(default=None, min_length=1)
    """For `lora`: names of the modules that get an adapter, by their last parts (`q_lin,v_lin`), or `all-linear`: every linear layer but the head. Default: `all-linear`."""

    lora_modules_to_save: CommaList | None = Field(default=None, min_length=1)
    """For `lora`: names of further modules that are trained and saved whole. The head, and whatever the start model lacks, always is."""

    lora_bias: Literal["none", "all", "lora_only"] | None = None
    """For `lora`: biases that are trained too: none, all, or those of the targets. Default: none."""

    lora_rslora: bool | None = None
    """For `lora`: scale by alpha / √rank instead, which keeps high ranks from learning slower (rsLoRA). Default: no."""

    lora_dora: bool | None = None
    """For `lora`: learn magnitude and direction of each target apart (DoRA). Default: no."""

    publish: Literal["adapter", "merged", "both"] | None = None
    """For `lora`: publish the adapter alone, the model with the adapter merged into its weights, or both (the adapter in the folder `adapter`). Default: the adapter."""

    @property
    def is_adapter(self) -> bool:
        """Whether what is trained is an adapter."""
        return self.method in _ADAPTERS

    @property
    def published(self) -> str:
        """What is published: ``model``, ``adapter``, ``merged`` or ``both``."""
        return (self.publish or "adapter") if self.is_adapter else "model"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            f"JOB_TUNING__{name.upper()} is for JOB_TUNING__METHOD={' or '.join(methods)}, and JOB_TUNING__METHOD is {self.method}"
            for name, methods in _BELONGS_TO.items()
            if getattr(self, name) is not None and self.method not in methods
        ]
        if self.lora_targets is not None and ALL_LINEAR in self.lora_targets and len(self.lora_targets) > 1:
            problems.append(f"JOB_TUNING__LORA_TARGETS names {ALL_LINEAR} beside others: give it alone, or names only")
        if self.cache_features and self.train_last_layers:
            problems.append(
                "JOB_TUNING__CACHE_FEATURES keeps what a body makes that never changes, and JOB_TUNING__TRAIN_LAST_LAYERS trains a part of it: "
                "leave one of the two out"
            )
        if self.method == "qlora" and self.publish in ("merged", "both"):
            problems.append(
                f"JOB_TUNING__PUBLISH={self.publish} needs JOB_TUNING__METHOD=lora: an adapter trained on a base in 4 bits gives "
                "other outputs when it is merged into the base as it was"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self
