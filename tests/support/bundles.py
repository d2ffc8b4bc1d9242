"""Report bundles as a run would leave them: of every kind of problem, with awkward texts in the data."""

import math
import random

from job.reporting.bundle import ReportBundle

HOSTILE = "<script>window.broken=1</script><img src=x onerror=\"window.broken=1\"> & 'quotes' | pipes"


def curve_records(num_steps: int = 960, every: int = 10, seed: int = 3) -> list[dict]:
    """Metric records like those of a small run: noisy training loss, an evaluation each 80 steps."""
    noise, records = random.Random(seed), []
    for step in range(every, num_steps + 1, every):
        loss = 0.12 + 0.6 * math.exp(-step / 250) + noise.gauss(0, 0.03)
        rate = 1e-3 * min(step / 96, (num_steps - step) / (num_steps - 96))
        records.append(
            {
                "attempt": 1 if step <= 400 else 2,
                "step": step,
                "epoch": step / 160,
                "time_s": step * 0.06,
                "train/loss": loss,
                "train/grad_norm": 1.5 + abs(noise.gauss(0, 0.8)),
                "train/learning_rate": rate,
                "perf/tokens_per_second": 14_500 + noise.gauss(0, 900),
                "perf/examples_per_second": 480 + noise.gauss(0, 20),
                "perf/padding_share": 0.05 + abs(noise.gauss(0, 0.015)),
            }
        )
        if step % 80 == 0:
            scored = 0.945 - 0.4 * math.exp(-step / 220) - 0.00001 * max(0, step - 700)
            evaluation = 0.2 + 0.5 * math.exp(-step / 200) + 0.00012 * max(0, step - 560)
            records.append(
                {"attempt": 1, "step": step, "eval/loss": evaluation, "eval/accuracy": scored, "eval/f1_macro": scored - 0.004}
            )
    return records


def split_entry(kept: int, origin: str, truncated: int) -> dict:
    """One split of the token ledger with a long tail of lengths."""
    edges = list(range(0, 264, 8))
    counts = [round(kept * 0.24 * math.exp(-at / 4)) for at in range(len(edges) - 1)]
    return {
        "origin": origin,
        "examples_in": kept + 11,
        "empty_dropped": 11,
        "unlabelled_dropped": 0,
        "unknown_label_dropped": 0,
        "subset_left_out": 0,
        "examples_kept": kept,
        "tokens_in": kept * 33,
        "tokens_kept": kept * 33 - truncated * 21,
        "truncated_examples": truncated,
        "truncated_tokens": truncated * 21,
        "length_quantiles": {"min": 6, "p10": 9, "p50": 23, "p90": 71, "p99": 190, "max": 255},
        "length_histogram": {"edges": edges, "counts": counts},
        "label_counts": {"negative": round(kept * 0.44), "positive": kept - round(kept * 0.44)},
        "longest": [{"id": f"train-{at}", "tokens": 255 - at, "text": f"{HOSTILE} " + "a long text " * 12} for at in range(3)],
    }


def single_label() -> ReportBundle:
    """A run of the demo's shape, stopped once and continued."""
    edges = [at / 15 for at in range(16)]
    confidence = [None] * 7 + [0.52, 0.57, 0.63, 0.7, 0.77, 0.83, 0.9, 0.985]
    accuracy = [None] * 7 + [0.5, 0.61, 0.58, 0.74, 0.72, 0.86, 0.88, 0.975]
    counts = [0] * 7 + [8, 12, 14, 18, 25, 38, 75, 810]
    metrics = {
        "accuracy": 0.937,
        "balanced_accuracy": 0.9352,
        "precision_macro": 0.9368,
        "recall_macro": 0.9352,
        "f1_macro": 0.936,
        "f1_micro": 0.937,
        "f1_weighted": 0.9369,
        "mcc": 0.872,
        "loss": 0.2214,
        "log_loss": 0.2214,
        "roc_auc": 0.9712,
        "ece": 0.0193,
        "confusion_matrix": [[404, 34], [29, 533]],
        "per_class": {
            "negative": {"precision": 0.933, "recall": 0.9224, "f1": 0.9277, "support": 438},
            "positive": {"precision": 0.94, "recall": 0.9484, "f1": 0.9442, "support": 562},
        },
        "calibration": {"edges": edges, "confidence": confidence, "accuracy": accuracy, "counts": counts},
    }
    return ReportBundle(
        name="sentiment",
        settings=_settings(),
        sources=_sources(),
        prepared={
            "num_examples": {"train": 5400, "eval": 600, "test": 1000},
            "num_tokens": {"train": 178_000, "eval": 19_800, "test": 33_000},
            "problem": "single_label",
            "labels": ["negative", "positive"],
            "label_counts": [2376, 3024],
            "max_seq_length": 128,
            "fingerprint": "ab" * 32,
        },
        ledger={
            "problem": "single_label",
            "labels": ["negative", "positive"],
            "max_seq_length": 128,
            "splits": {
                "train": split_entry(5400, "90 % of the training files", 95),
                "eval": split_entry(600, "10 % of the training files", 12),
                "test": split_entry(1000, "the test files", 0),
            },
            "duplicates": {"within_train": 14, "eval_in_train": 2, "test_in_train": 0, "test_in_eval": 0},
            "leaked_share": {"eval": 0.003, "test": 0.0},
            "notes": [
                "Labels are names: negative, positive, in alphabetical order.",
                "10 % of the training data is set aside for validation.",
            ],
        },
        train={
            "step": 960,
            "epoch": 6.0,
            "best_step": 880,
            "best_metric": "accuracy",
            "best_value": 0.9383,
            "num_parameters": 571_266,
            "engine": {
                "kind": "ddp",
                "wrapped_class": "DistributedDataParallel",
                "world_size": 2,
                "device": "cpu",
                "precision": "bf16",
                "choice": {
                    "mode": "ddp",
                    "micro_batch_tokens": 16384,
                    "fits": True,
                    "needs": {
                        "ddp": {
                            "weights": 3_427_596,
                            "gradients": 2_285_064,
                            "optimizer": 4_570_128,
                            "buffers": 0,
                            "total": 10_282_788,
                        },
                        "zero1": {
                            "weights": 1_142_532,
                            "gradients": 2_285_064,
                            "optimizer": 3_427_596,
                            "buffers": 1_142_532,
                            "total": 7_997_724,
                        },
                    },
                    "activation_bytes_per_token": 26112,
                    "bytes_each": 12_000_000_000,
                    "sentence": "Engine ddp on 2 process(es): 0.01 GB of 12.00 GB each. 16384 tokens at once take 0.43 GB beside that.",
                },
            },
        },
        evaluation={
            "split": "test",
            "num_examples": 1000,
            "main_metric": "accuracy",
            "metrics": metrics,
            "interval": {"metric": "accuracy", "value": 0.937, "low": 0.921, "high": 0.952, "level": 0.95, "samples": 1000},
            "baselines": {
                "majority": {"accuracy": 0.562, "f1_macro": 0.3598, "balanced_accuracy": 0.5, "loss": 0.6855, "mcc": 0.0},
                "untrained": {"accuracy": 0.471, "f1_macro": 0.4402, "balanced_accuracy": 0.4689, "loss": 0.7014, "mcc": -0.0613},
            },
        },
        mistakes=_mistakes(),
        metrics=curve_records(),
        timings={"fetch": 0.31, "prepare": 6.4, "train": 58.2, "evaluate": 7.9, "publish": 0.8},
        attempts=[
            {"number": 1, "started": "2026-11-20T21:14:03.123456+00:00", "steps": 400, "stopped": "2026-11-20T21:14:41.5+00:00"},
            {"number": 2, "started": "2026-11-20T21:15:10+00:00", "steps": 960},
        ],
        versions={"python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0", "datasets": "5.2.0"},
    )


def multi_label() -> ReportBundle:
    """Several labels with long names, no curves of validation, no mistakes."""
    names = ["science", "politics and society", "sport", "a label of a very long name that no column was made for"]
    per_label = {
        name: {"precision": 0.8, "recall": 0.7, "f1": 0.75, "support": 90 - at, "roc_auc": 0.9} for at, name in enumerate(names)
    }
    whole = single_label()
    return ReportBundle(
        name="topics",
        prepared={"problem": "multi_label", "labels": names, "num_examples": {"train": 900}},
        evaluation={
            "split": "eval",
            "num_examples": 100,
            "main_metric": "f1_micro",
            "metrics": {
                "subset_accuracy": 0.61,
                "f1_micro": 0.74,
                "f1_macro": 0.69,
                "roc_auc": None,
                "log_loss": 0.3,
                "per_label": per_label,
            },
            "interval": {"metric": "f1_micro", "value": 0.74, "low": 0.7, "high": 0.78, "level": 0.9, "samples": 1000},
            "baselines": {"majority": {"f1_micro": 0.4}},
        },
        metrics=[record for record in whole.metrics if "train/loss" in record][:8],
        mistakes=[{"id": "eval-3", "text": HOSTILE, "label": ["science"], "prediction": [], "score": 0.93}],
    )


def many_classes(number: int = 40) -> ReportBundle:
    """More classes than a confusion matrix can show."""
    names = [f"intent {at:02d}" for at in range(number)]
    matrix = [[20 if true == said else (true + said) % 7 == 0 for said in range(number)] for true in range(number)]
    per_class = {name: {"precision": 0.8, "recall": 0.7, "f1": 0.75, "support": 25} for name in names}
    metrics = {"accuracy": 0.8, "confusion_matrix": [list(map(int, row)) for row in matrix], "per_class": per_class}
    return ReportBundle(
        name="intents",
        prepared={"problem": "single_label", "labels": names},
        evaluation={
            "split": "test",
            "num_examples": 1000,
            "main_metric": "accuracy",
            "metrics": metrics,
            "interval": {},
            "baselines": {},
        },
    )


def whole_matrix() -> ReportBundle:
    """As many classes as a confusion matrix shows, which is more than a phone is wide."""
    return many_classes(12)


def regression() -> ReportBundle:
    """A number to predict; the main metric is better when smaller."""
    return ReportBundle(
        name="stars",
        prepared={"problem": "regression", "labels": []},
        ledger={
            "splits": {
                "train": {"examples_in": 10, "examples_kept": 10, "tokens_in": 90, "tokens_kept": 90, "label_range": [1.0, 5.0]}
            }
        },
        evaluation={
            "split": "test",
            "num_examples": 200,
            "main_metric": "mse",
            "metrics": {"mse": 0.61, "rmse": 0.781, "mae": 0.6, "r2": 0.58, "pearson": 0.77, "spearman": 0.75, "loss": 0.61},
            "interval": {"metric": "mse", "value": 0.61, "low": 0.5, "high": 0.72, "level": 0.95, "samples": 1000},
            "baselines": {"majority": {"mse": 1.45, "r2": 0.0}, "untrained": {"mse": 9.2, "r2": -5.3}},
        },
        mistakes=[{"id": "test-1", "text": "fine", "label": 1.0, "prediction": 4.8123, "score": 3.8123}],
        metrics=[{"attempt": 1, "step": 10, "train/loss": 0.7}],
    )


def _settings() -> dict:
    return {
        "task": "text-classification",
        "run": {"name": "sentiment", "seed": 42},
        "model": {"uri": "/data/models/base", "hub_token": "**********"},
        "data": {"train_uri": ["s3://user:pass@bucket/train.csv"], "text_column": "text", "header": True, "text_pair_column": None},
        "tuning": {"method": "full"},
        "train": {"epochs": 6.0, "learning_rate": 1e-3, "schedule": "linear", "global_batch_size": 32, "max_grad_norm": 1.0},
    }


def _sources() -> dict:
    def source(uri: str, revision: str, size: int) -> dict:
        return {"uri": uri, "revision": revision, "num_files": 4, "size_bytes": size, "sha256": "3f" * 32}

    return {
        "model": source("hf://acme/tiny-distilbert", "0123456789abcdef0123456789abcdef01234567", 2_300_000),
        "data/train": source("file:///srv/data/reviews/train.csv", "", 1_112_000),
        "data/test": source("file:///srv/data/reviews/test.csv", "", 187_000),
    }


def _mistakes() -> list[dict]:
    texts = [
        "The soup was anything but great, although in the end the service seemed warm. We went there on a friday with my parents.",
        HOSTILE,
        "the handle felt sturdy!",
        "unbroken" * 40,
        "I should say that i am no expert on the pacing. " * 9,
    ]
    sides = (("negative", "positive"), ("positive", "negative"))
    return [
        {
            "id": f"test-{17 * at}",
            "text": text,
            "label": sides[at % 2][0],
            "prediction": sides[at % 2][1],
            "score": 0.999 - at / 300,
        }
        for at, text in enumerate(texts * 2)
    ]
