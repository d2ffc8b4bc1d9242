"""Settings of training: how long, how fast, in which batches."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from job.settings.group import Group


class TrainSettings(Group):
    """Training: how long, how fast, in which batches."""

    epochs: float = Field(default=3.0, gt=0)
    """Passes over the training data; a fraction is allowed. `JOB_TRAIN__MAX_STEPS` is stronger."""

    max_steps: int | None = Field(default=None, ge=1)
    """Number of optimizer steps, whatever the number of epochs."""

    learning_rate: float = Field(default=5e-5, gt=0, le=1)
    """Highest learning rate of the schedule."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Course of the learning rate after warm-up: down to zero in a line or a half cosine, or constant."""

    warmup_ratio: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps over which the learning rate rises from zero."""

    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps over which the learning rate rises from zero; stronger than the ratio."""

    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """AdamW's decoupled weight decay; biases and normalisation weights are left out."""

    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the first moment."""

    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    """AdamW's decay of the second moment."""

    adam_epsilon: float = Field(default=1e-8, gt=0)
    """AdamW's epsilon."""

    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradients are scaled down to this global norm; 0 switches clipping off."""

    global_batch_size: int = Field(default=32, ge=1)
    """Examples per optimizer step, over all processes and micro-batches."""

    micro_batch_size: int | None = Field(default=None, ge=1)
    """Most examples one process holds at once. Default: as many as the token budget allows."""

    micro_batch_tokens: int = Field(default=16384, ge=1)
    """Token budget: most tokens, padding included, that one process holds at once. A longer example goes alone."""

    max_seq_length: int | None = Field(default=None, ge=2)
    """Longest input in tokens, special tokens included; the rest is cut and counted. Default: the model's own limit."""

    max_target_length: int | None = Field(default=None, ge=2)
    """Longest target of `seq2seq` in tokens, special tokens included; the rest is cut, with its end-of-text token, and counted. Default: the model's own limit."""

    batching: Literal["random", "length_grouped"] = "random"
    """How examples are drawn into steps: at random, or grouped by length (faster, but steps are no longer random draws)."""

    padding: Literal["step", "longest"] = "step"
    """`step`: a step's examples are cut into micro-batches of like length, the update is the same and padding goes; `longest`: in drawn order, each micro-batch padded to its longest."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of forward and backward. `auto`: bf16 where the device computes it natively, else fp32; `fp16` scales the loss (GPU only). Optimizer and the weights it updates stay fp32."""

    tf32: bool = False
    """Let GPUs multiply fp32 matrices with 10 bits of mantissa: faster, less exact."""

    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs each class by the inverse of its share in the training data (single label only)."""

    masked_share: float = Field(default=0.15, gt=0, le=0.9)
    """Share of the tokens that `masked-lm` hides and has to find; at least one of each record."""

    mask_token_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the hidden tokens that are replaced by the mask token."""

    random_token_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the hidden tokens that are replaced by a random one; the rest stay as they are, and still have to be found."""

    data_workers: int = Field(default=0, ge=0, le=64)
    """Data-loading processes per worker. The order of examples does not depend on it."""

    log_every_steps: int = Field(default=10, ge=1)
    """Steps between two metric records."""

    max_nonfinite_steps: int = Field(default=0, ge=0)
    """Steps with a non-finite loss or gradient that are skipped, without an update, before the run ends with code 93."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.micro_batch_size is not None and self.micro_batch_size > self.global_batch_size:
            raise ValueError("JOB_TRAIN__MICRO_BATCH_SIZE is larger than JOB_TRAIN__GLOBAL_BATCH_SIZE")
        if self.mask_token_share + self.random_token_share > 1:
            raise ValueError("JOB_TRAIN__MASK_TOKEN_SHARE and JOB_TRAIN__RANDOM_TOKEN_SHARE together must not be more than 1")
        return self
