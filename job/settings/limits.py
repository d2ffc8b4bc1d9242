"""Settings of limits: what is no longer acceptable and ends the run before it costs anything."""

from __future__ import annotations

from pydantic import Field

from job.settings.group import Group


class LimitsSettings(Group):
    """What is no longer acceptable."""

    max_truncated_share: float = Field(default=0.5, ge=0, le=1)
    """Largest share of examples that may lose tokens to `JOB_TRAIN__MAX_SEQ_LENGTH` before the run ends with code 65."""

    max_empty_share: float = Field(default=0.01, ge=0, le=1)
    """Largest share of examples that may be dropped because their text is empty."""

    max_unlabelled_share: float = Field(default=0.0, ge=0, le=1)
    """Largest share of examples that may be dropped because they have no label."""

    max_unknown_label_share: float = Field(default=0.0, ge=0, le=1)
    """Largest share of validation or test examples that may be dropped because their label is not in the training data."""

    max_leaked_share: float = Field(default=0.1, ge=0, le=1)
    """Largest share of validation or test texts that may also stand in the training data."""

    max_masked_share: float = Field(default=0.0, ge=0, le=1)
    """Largest share of examples that may be dropped because nothing in them would be trained on, such as a conversation whose answers were cut off."""

    max_cut_target_share: float = Field(default=0.05, ge=0, le=1)
    """Largest share of examples of `seq2seq` whose target may lose its end to `JOB_TRAIN__MAX_TARGET_LENGTH`; from those the model does not learn to stop."""

    stall_timeout_s: float = Field(default=1800.0, gt=0)
    """Seconds without progress of a worker after which the watchdog ends the run with code 71."""

    alive_timeout_s: float = Field(default=300.0, ge=15)
    """Seconds without a sign of life of the node process after which `job alive`, a scheduler's probe, answers with 1."""

    deadline: float | None = Field(default=None, gt=0)
    """End of the allocation in seconds since 1970; the job stops itself early enough to save and upload before it."""

    max_fruitless_attempts: int = Field(default=3, ge=0)
    """Attempts in a row that may crash, hang or vanish without a new commit before a further start ends with code 93; 0 for no limit."""

    max_fruitless_stops: int = Field(default=20, ge=0)
    """Stops in a row without a new commit before a further start ends with code 93; 0 for no limit."""

    store_timeout_s: float = Field(default=300.0, gt=0)
    """Seconds over which a failing request to store or Hub is retried before the run ends with code 69."""

    min_free_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Bytes that must stay free on the disk of the run directory."""
