"""The evaluation program: load the model from the bytes that will be published, score it, and say what the score is worth.

Beside the score stand its confidence interval and two baselines: the constant answer, and the model as it was before
training, drawn with the run's seed as training drew it.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from datasets import Dataset, load_from_disk
from transformers import AutoTokenizer

from job import run_dir as run_dirs
from job.errors import StopRequested
from job.records import EvalReport, PreparedData
from job.run_dir import TEMPORARY_PREFIX, RunDir
from job.settings.root import Settings
from job.workers.boundary import StopFile
from job.workers.engine import Engine
from job.workers.program import Heartbeat, run_program
from job.workers.scoring import Examples, read_samples, score
from job.workers.tasks import make_appraisal, make_task
from job.workers.tasks.adapter_usage import adapter_usage
from job.workers.tasks.appraisal import Appraisal
from job.workers.tasks.base import Scores, Task
from job.workers.tuning import merging, method

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What is evaluated, on what."""

    run_dir: RunDir
    settings: Settings
    prepared: PreparedData
    task: Task
    appraisal: Appraisal
    split: str
    dataset: Dataset


class Scorer:
    """Scores a model on the split with the whole group; beats the heart, and ends on a stop request."""

    def __init__(self, engine: Engine, subject: Subject) -> None:
        self._engine = engine
        self._subject = subject
        self._stop = StopFile(engine, subject.run_dir)
        self._heartbeat = Heartbeat(subject.run_dir, "evaluate", engine.rank)
        self._stopped = False

    def __call__(self, model: torch.nn.Module) -> Scores | None:
        """Scores on rank 0, None elsewhere.

        Raises:
            StopRequested: on every rank, when any of them saw the stop request.
        """
        task, dataset, budget = self._subject.task, self._subject.dataset, self._subject.settings.eval.micro_batch_tokens
        scores = score(self._engine, model.to(self._engine.device), Examples(task, dataset, budget), self._keep_going)
        if self._stopped:
            raise StopRequested(
                "Asked to stop while the finished model was being scored.", "Start the run again: it continues with the evaluation."
            )
        return scores

    def _keep_going(self) -> bool:
        self._heartbeat.beat()
        self._stopped = self._stop.agreed()
        return not self._stopped


def main(run_dir: RunDir, settings: Settings) -> None:
    """Score ``model/`` and write ``evaluation/``."""
    engine = Engine.open(settings)
    subject = open_subject(run_dir, settings)
    start = functools.partial(method.start_model, run_dir, settings, subject.task)
    beat = Heartbeat(run_dir, "evaluate", engine.rank).beat
    subject = dataclasses.replace(subject, dataset=subject.task.enrich(subject.dataset, start, engine, beat))
    scorer = Scorer(engine, subject)
    model = published_model(subject)
    scores = scorer(model)
    merge = compare_merged(engine, subject, model) if engine.is_main else {}
    samples = read_samples(engine, subject.task, model)
    if engine.is_main:
        logger.info("scoring the model as it was before training, for comparison")
    untrained = scorer(start())
    if scores is not None and untrained is not None:
        report = dataclasses.replace(make_report(subject, scores, untrained), samples=samples, merge=merge)
        write_evaluation(subject, scores, report)
    engine.barrier()


def open_subject(run_dir: RunDir, settings: Settings) -> Subject:
    """The test split, or the validation split where there is none, with the published tokenizer.

    Raises:
        CrashError: when that tokenizer does not give the tokens that the model was trained on.
    """
    prepared = PreparedData.read(run_dir.prepared / "prepared.json")
    split = "test" if prepared.num_examples.get("test") else "eval"
    dataset = load_from_disk(str(run_dir.prepared / split))
    tokenizer = AutoTokenizer.from_pretrained(run_dir.model, trust_remote_code=False, local_files_only=True)
    task = make_task(settings, prepared, tokenizer)
    appraisal = make_appraisal(settings, task)
    appraisal.check_tokenizer(tokenizer, dataset)
    return Subject(run_dir, settings, prepared, task, appraisal, split, dataset)


def published_model(subject: Subject) -> torch.nn.Module:
    """The model as a user will load it: alone, or as an adapter on its base.

    Raises:
        CrashError: when it does not load whole, or is not what was trained.
    """
    if subject.settings.tuning.published == "adapter":
        found: torch.nn.Module = method.load_adapter(subject.run_dir, subject.run_dir.model, subject.settings, subject.task)
        return found
    return subject.appraisal.load_published(subject.run_dir.model)


def compare_merged(engine: Engine, subject: Subject, model: torch.nn.Module) -> dict[str, Any]:
    """Of a merged model: its outputs beside those of its adapter on the base, for some examples; nothing for another model.

    Raises:
        CrashError: when they are not the same but for rounding.
    """
    run_dir, settings, task = subject.run_dir, subject.settings, subject.task
    if settings.tuning.published not in ("merged", "both"):
        return {}
    tuned = method.load_adapter(run_dir, run_dir.adapter, settings, task).to(engine.device)
    rows = [[row] for row in subject.dataset.select(range(min(merging.NUM_EXAMPLES, len(subject.dataset))))]
    return merging.difference(model, tuned, (task.collate(row).to(engine.device) for row in rows))


def make_report(subject: Subject, scores: Scores, untrained: Scores) -> EvalReport:
    """Metrics, interval and baselines of the scored split."""
    task, appraisal, settings = subject.task, subject.appraisal, subject.settings
    baselines = appraisal.baselines(scores, load_from_disk(str(subject.run_dir.prepared / "train")))
    alone = settings.tuning.published == "adapter"
    return EvalReport(
        split=subject.split,
        num_examples=len(subject.dataset),
        main_metric=task.main_metric(),
        metrics=task.metrics(scores),
        interval=appraisal.interval(scores, settings.eval, settings.run.seed),
        baselines={
            **{name: _scalars(metrics) for name, metrics in baselines.items()},
            "untrained": _scalars(task.metrics(untrained)),
        },
        greater_is_better=task.greater_is_better(task.main_metric()),
        pipeline_tag=appraisal.pipeline_tag,
        usage=(alone and adapter_usage(settings.task, subject.prepared.labels)) or appraisal.usage,
    )


def write_evaluation(subject: Subject, scores: Scores, report: EvalReport) -> None:
    """Write ``evaluation/``, whole or not at all."""
    final = subject.run_dir.evaluation
    folder = final.with_name(TEMPORARY_PREFIX + final.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    findings = subject.appraisal.predictions(scores, subject.dataset)
    pq.write_table(findings.table, folder / "predictions.parquet", compression="zstd")
    run_dirs.write_json(folder / "mistakes.json", findings.mistakes)
    report.write(folder / "report.json")
    _replace(folder, final)
    logger.info("evaluated on %s: %s %.4f", report.split, report.main_metric, report.metrics[report.main_metric])


def _replace(folder: Path, final: Path) -> None:
    shutil.rmtree(final, ignore_errors=True)
    folder.rename(final)


def _scalars(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: value for name, value in metrics.items() if value is None or isinstance(value, int | float)}


if __name__ == "__main__":
    run_program("evaluate", main)
