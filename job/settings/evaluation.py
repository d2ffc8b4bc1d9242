"""Settings of evaluation: when, by which metric, with what consequence."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from job.settings.group import Group, NonEmpty


class EvalSettings(Group):
    """Evaluation: when, by which metric, with what consequence."""

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between two evaluations on the validation data. Stronger than `JOB_EVAL__EVERY_EPOCHS`."""

    every_epochs: float = Field(default=1.0, gt=0)
    """Epochs between two evaluations; a fraction is allowed."""

    best_metric: NonEmpty = "auto"
    """Metric by which the best model is kept and published, such as `accuracy`, `f1_macro`, `loss`; `auto` is the task's main metric, `none` publishes the last model."""

    early_stopping_patience: int | None = Field(default=None, ge=1)
    """End training after this many evaluations in a row without a better best metric."""

    early_stopping_min_delta: float = Field(default=0.0, ge=0)
    """How much better counts as better."""

    micro_batch_tokens: int = Field(default=32768, ge=1)
    """Token budget, padding included, of one process's evaluation batch."""

    num_samples: int = Field(default=3, ge=0, le=50)
    """Prompts of the validation data that `sft` and `seq2seq` answer at each evaluation, for the report; always the same ones."""

    sample_tokens: int = Field(default=64, ge=1, le=4096)
    """Most tokens of such an answer of `sft`."""

    generate: bool = True
    """Let `seq2seq` write an answer to every text of an evaluation, for ROUGE, BLEU and chrF; `false`: loss and token accuracy alone."""

    max_new_tokens: int = Field(default=128, ge=1, le=4096)
    """Most tokens of such an answer."""

    num_beams: int = Field(default=1, ge=1, le=32)
    """Beams of the search for such an answer; 1 takes the likeliest token each time."""

    bootstrap_samples: int = Field(default=1000, ge=100, le=100_000)
    """Resamples behind the confidence interval of the main metric."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Level of the confidence interval."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.early_stopping_patience is not None and self.best_metric == "none":
            raise ValueError("JOB_EVAL__EARLY_STOPPING_PATIENCE needs a JOB_EVAL__BEST_METRIC other than none")
        return self
