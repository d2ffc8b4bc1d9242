"""Settings of learning from preferences."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from job.settings.group import Group


class PreferenceSettings(Group):
    """Learning from preferences (tasks `dpo` and `kto`): the loss, and how far the model may leave the one it started from."""

    loss: Literal["sigmoid", "ipo", "sigmoid_norm", "orpo"] = "sigmoid"
    """For `dpo`: `sigmoid`: DPO; `ipo`: IPO, per token; `sigmoid_norm`: DPO over log-probabilities per token; `orpo`: odds ratio, without a reference."""

    beta: float = Field(default=0.1, gt=0, le=100)
    """How dear it is to leave the reference; for `orpo` the weight of the odds ratio."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Assumed share of pairs whose answers are the wrong way round; `sigmoid` and `sigmoid_norm` only."""

    desirable_weight: float = Field(default=1.0, gt=0, le=100)
    """For `kto`: weight of the loss of a good answer. With more bad answers than good ones raise it, so that both kinds weigh about the same."""

    undesirable_weight: float = Field(default=1.0, gt=0, le=100)
    """For `kto`: weight of the loss of a bad answer."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.label_smoothing and not self.loss.startswith("sigmoid"):
            raise ValueError("JOB_PREFERENCE__LABEL_SMOOTHING has a meaning for JOB_PREFERENCE__LOSS=sigmoid and sigmoid_norm only")
        return self
