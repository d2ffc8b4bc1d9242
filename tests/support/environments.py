"""Environments for tests of the settings: the smallest valid one, and for every variable a second valid value."""

from job.errors import SettingsError
from job.settings import root

MINIMAL = {
    "JOB_RUN__NAME": "first",
    "JOB_MODEL__URI": "org/name",
    "JOB_DATA__TRAIN_URI": "train.csv",
    "JOB_OUTPUT__URI": "published",
}
OTHER = {
    "JOB_TASK": "text-classification",
    "JOB_RUN__NAME": "second",
    "JOB_RUN__DIR": "/elsewhere",
    "JOB_RUN__SEED": "7",
    "JOB_RUN__TIME_LIMIT_S": "3600",
    "JOB_RUN__GRACE_S": "60",
    "JOB_RUN__LOG_FORMAT": "json",
    "JOB_MODEL__URI": "s3://bucket/model",
    "JOB_MODEL__REVISION": "v2",
    "JOB_MODEL__BASE_URI": "org/base",
    "JOB_MODEL__HUB_TOKEN": "hf_secret",
    "JOB_MODEL__FROM_CONFIG": "true",
    "JOB_MODEL__PAD_TOKEN": "add",
    "JOB_MODEL__PAD_TOKEN_TEXT": "<pad>",
    "JOB_MODEL__TRUNCATION_SIDE": "left",
    "JOB_DATA__TRAIN_URI": "a.csv, b.csv",
    "JOB_DATA__EVAL_URI": "eval.csv",
    "JOB_DATA__TEST_URI": "test.csv",
    "JOB_DATA__FORMAT": "tsv",
    "JOB_DATA__HUB_CONFIG": "en",
    "JOB_DATA__TRAIN_SPLIT": "training",
    "JOB_DATA__EVAL_SPLIT": "dev",
    "JOB_DATA__TEST_SPLIT": "held_out",
    "JOB_DATA__TEXT_COLUMN": "review",
    "JOB_DATA__TEXT_PAIR_COLUMN": "reply",
    "JOB_DATA__LABEL_COLUMN": "stars",
    "JOB_DATA__ID_COLUMN": "id",
    "JOB_DATA__PROBLEM": "single_label",
    "JOB_DATA__LABELS": "negative, positive",
    "JOB_DATA__LABEL_DELIMITER": ";",
    "JOB_DATA__HEADER": "false",
    "JOB_DATA__COLUMN_NAMES": "text,label",
    "JOB_DATA__DELIMITER": ";",
    "JOB_DATA__QUOTING": "none",
    "JOB_DATA__ENCODING": "latin-1",
    "JOB_DATA__EVAL_FRACTION": "0.2",
    "JOB_DATA__TEST_FRACTION": "0.2",
    "JOB_DATA__SPLIT_SEED": "7",
    "JOB_DATA__MAX_TRAIN_EXAMPLES": "1000",
    "JOB_DATA__MAX_EVAL_EXAMPLES": "100",
    "JOB_DATA__MAX_TEST_EXAMPLES": "100",
    "JOB_TUNING__METHOD": "lora",
    "JOB_TUNING__TRAIN_LAST_LAYERS": "2",
    "JOB_TUNING__LORA_RANK": "4",
    "JOB_TUNING__LORA_ALPHA": "32",
    "JOB_TUNING__LORA_DROPOUT": "0.01",
    "JOB_TUNING__LORA_TARGETS": "q_lin,v_lin",
    "JOB_TUNING__LORA_MODULES_TO_SAVE": "embeddings",
    "JOB_TUNING__LORA_BIAS": "lora_only",
    "JOB_TUNING__LORA_RSLORA": "true",
    "JOB_TUNING__LORA_DORA": "true",
    "JOB_TUNING__PUBLISH": "both",
    "JOB_TRAIN__EPOCHS": "1.5",
    "JOB_TRAIN__MAX_STEPS": "10",
    "JOB_TRAIN__LEARNING_RATE": "2e-5",
    "JOB_TRAIN__SCHEDULE": "cosine",
    "JOB_TRAIN__WARMUP_RATIO": "0.1",
    "JOB_TRAIN__WARMUP_STEPS": "5",
    "JOB_TRAIN__WEIGHT_DECAY": "0.01",
    "JOB_TRAIN__ADAM_BETA1": "0.8",
    "JOB_TRAIN__ADAM_BETA2": "0.99",
    "JOB_TRAIN__ADAM_EPSILON": "1e-6",
    "JOB_TRAIN__MAX_GRAD_NORM": "0",
    "JOB_TRAIN__GLOBAL_BATCH_SIZE": "16",
    "JOB_TRAIN__MICRO_BATCH_SIZE": "4",
    "JOB_TRAIN__MICRO_BATCH_TOKENS": "4096",
    "JOB_TRAIN__MAX_SEQ_LENGTH": "128",
    "JOB_TRAIN__BATCHING": "length_grouped",
    "JOB_TRAIN__PADDING": "longest",
    "JOB_TRAIN__PRECISION": "fp32",
    "JOB_TRAIN__CLASS_WEIGHTS": "balanced",
    "JOB_TRAIN__DATA_WORKERS": "2",
    "JOB_TRAIN__LOG_EVERY_STEPS": "1",
    "JOB_TRAIN__MAX_NONFINITE_STEPS": "3",
    "JOB_EVAL__EVERY_STEPS": "50",
    "JOB_EVAL__EVERY_EPOCHS": "0.5",
    "JOB_EVAL__BEST_METRIC": "f1_macro",
    "JOB_EVAL__EARLY_STOPPING_PATIENCE": "2",
    "JOB_EVAL__EARLY_STOPPING_MIN_DELTA": "0.001",
    "JOB_EVAL__MICRO_BATCH_TOKENS": "1024",
    "JOB_EVAL__BOOTSTRAP_SAMPLES": "500",
    "JOB_EVAL__CONFIDENCE": "0.9",
    "JOB_CHECKPOINT__EVERY_STEPS": "100",
    "JOB_CHECKPOINT__EVERY_MINUTES": "1.5",
    "JOB_CHECKPOINT__KEEP": "3",
    "JOB_CHECKPOINT__MAX_FAILED_UPLOADS": "1",
    "JOB_OUTPUT__URI": "s3://bucket/runs",
    "JOB_OUTPUT__FENCE": "off",
    "JOB_OUTPUT__HUB_REPO": "org/tuned",
    "JOB_OUTPUT__HUB_PRIVATE": "false",
    "JOB_OUTPUT__HUB_REVISION": "candidates/first",
    "JOB_OUTPUT__HUB_TOKEN": "hf_other_secret",
    "JOB_PARALLEL__ENGINE": "ddp",
    "JOB_PARALLEL__DEVICE": "cpu",
    "JOB_PARALLEL__WORKERS_PER_NODE": "2",
    "JOB_PARALLEL__THREADS_PER_WORKER": "1",
    "JOB_LIMITS__MAX_TRUNCATED_SHARE": "0.2",
    "JOB_LIMITS__MAX_EMPTY_SHARE": "0.2",
    "JOB_LIMITS__MAX_UNLABELLED_SHARE": "0.2",
    "JOB_LIMITS__MAX_UNKNOWN_LABEL_SHARE": "0.2",
    "JOB_LIMITS__MAX_LEAKED_SHARE": "0.2",
    "JOB_LIMITS__STALL_TIMEOUT_S": "60",
    "JOB_LIMITS__MAX_FRUITLESS_ATTEMPTS": "5",
    "JOB_LIMITS__STORE_TIMEOUT_S": "60",
    "JOB_LIMITS__MIN_FREE_BYTES": "0",
}
TOGETHER = {
    "JOB_DATA__HEADER": {"JOB_DATA__COLUMN_NAMES": "text,label"},
    "JOB_DATA__COLUMN_NAMES": {"JOB_DATA__HEADER": "false"},
    "JOB_TUNING__TRAIN_LAST_LAYERS": {"JOB_TUNING__METHOD": "freeze"},
    **{
        f"JOB_TUNING__{name}": {"JOB_TUNING__METHOD": "lora"}
        for name in ("PUBLISH", *(f"LORA_{part}" for part in "RANK ALPHA DROPOUT TARGETS MODULES_TO_SAVE BIAS RSLORA DORA".split()))
    },
    **{f"JOB_OUTPUT__HUB_{name}": {"JOB_OUTPUT__HUB_REPO": "org/tuned"} for name in ("REVISION", "TOKEN")},
}
"""Values that are only valid with another one beside them."""


def load(**changes: str) -> root.Settings:
    """The minimal environment with changes, written without their prefix: ``load(TRAIN__EPOCHS="2")``."""
    return root.load(MINIMAL | {f"JOB_{name}": value for name, value in changes.items()})


def refusal(**changes: str) -> str:
    """The message with which the changed minimal environment is refused."""
    try:
        load(**changes)
    except SettingsError as error:
        return str(error)
    raise AssertionError(f"accepted: {changes}")
