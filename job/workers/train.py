"""The training program: build or restore, train, and leave the chosen weights in ``model/`` as they will be published."""

from __future__ import annotations

import functools
import logging
import math
import shutil
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk
from safetensors.torch import load_file
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from job import run_dir as run_dirs
from job.cluster import topology
from job.errors import SettingsError
from job.records import PreparedData, TrainResult
from job.reporting.sinks import MetricsFile
from job.run_dir import TEMPORARY_PREFIX, RunDir
from job.settings.root import Settings
from job.settings.train import TrainSettings
from job.workers import fit
from job.workers.batching import OVERHEAD_TOKENS, Cut, Schedule
from job.workers.boundary import Boundary, StopFile, Work
from job.workers.checkpoint import Checkpointer, preload
from job.workers.engine import Engine
from job.workers.engine.group import choose_device, choose_precision
from job.workers.features import FeaturePass, remember
from job.workers.feed import Feed, Place
from job.workers.fit import Choice
from job.workers.loop import Loop, Parts
from job.workers.optimizer import learning_rate, make_optimizer
from job.workers.program import Heartbeat, run_program
from job.workers.rehearsal import rehearse
from job.workers.scoring import Examples
from job.workers.state import BestMetric, TrainState
from job.workers.tasks import accompany, make_task
from job.workers.tasks.base import Task
from job.workers.tuning import method, trained
from job.workers.validation import Validation, best_metric

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trainee:
    """The model and all that trains it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    parts: Parts
    state: TrainState
    checkpointer: Checkpointer
    num_steps: int
    best: BestMetric
    held_out: Dataset
    """The validation split."""


def main(run_dir: RunDir, settings: Settings) -> None:
    """Train from the prepared data and the fetched model or checkpoint; write ``model/`` and ``train.json``."""
    choice = choose_engine(run_dir, settings)
    settings = choice.apply(settings)
    engine = Engine.open(settings)
    trainee = build(run_dir, settings, engine)
    if not trainee.state.done:
        train(run_dir, settings, engine, trainee)
    result = describe(engine, settings, trainee, choice)  # first: to merge an adapter changes the model
    publishable(run_dir, engine, settings, trainee)
    if engine.is_main:
        result.write(run_dir.root / "train.json")
    engine.barrier()


def choose_engine(run_dir: RunDir, settings: Settings) -> Choice:
    """Engine and micro-batch, from the model's size and the memory there is; an engine that was asked for is kept.

    Raises:
        SettingsError: when there are more processes than a step has examples.
    """
    place = topology.worker_place()
    if place.world_size > settings.train.global_batch_size:
        raise SettingsError(
            f"JOB_TRAIN__GLOBAL_BATCH_SIZE gives a step fewer examples than there are processes ({place.world_size}): some would never see one.",
            f"Raise it to {place.world_size} or more, or run on fewer processes; any number up to the batch size gives the same updates.",
        )
    device = choose_device(settings, place)
    memory = fit.bytes_of(device, topology.local_world_size())
    where = fit.Place(place.world_size, memory, choose_precision(settings, device))
    choice = fit.choose(fit.measure(run_dir, settings), where, settings)
    if place.rank == 0:
        logger.info("%s", choice.sentence)
    return choice


def build(run_dir: RunDir, settings: Settings, engine: Engine) -> Trainee:
    """Model, optimizer, steps; where there is a checkpoint to continue from, as it left them."""
    prepared = PreparedData.read(run_dir.prepared / "prepared.json")
    tokenizer = AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer", trust_remote_code=False, local_files_only=True)
    task = make_task(settings, prepared, tokenizer)
    best = best_metric(settings.eval, task)
    start = method.start_model(run_dir, settings, task)
    beat = StopFile(engine, run_dir).ends(Heartbeat(run_dir, "train", engine.rank).beat)
    # Before anything is put on the start model: what the evaluation makes anew is this one, to the bit.
    splits = {
        name: task.enrich(load_from_disk(str(run_dir.prepared / name)), lambda: start, engine, beat) for name in ("train", "eval")
    }
    model = method.choose_trained(start, settings)
    model.train()
    feed = make_feed(splits["train"], settings, task, engine)
    num_steps = total_steps(settings.train, feed.schedule.steps_per_epoch)
    preload(run_dir, model)
    wrapped, optimizer = engine.prepare(model, make_optimizer(model, settings.train))
    if settings.tuning.cache_features:
        remember(model, list(splits.values()), FeaturePass(run_dir, task, engine, settings.limits.min_free_bytes, beat))
    parts = Parts(wrapped, optimizer, functools.partial(learning_rate, settings.train, num_steps), task, feed)
    checkpointer = Checkpointer(run_dir, engine.tensors(model, optimizer), engine, best)
    return Trainee(model, tokenizer, parts, restore(run_dir, checkpointer, engine), checkpointer, num_steps, best, splits["eval"])


def make_feed(dataset: Dataset, settings: Settings, task: Task, engine: Engine) -> Feed:
    """The steps over the training split."""
    train = settings.train
    lengths = np.asarray(dataset["length"], dtype=np.int64)
    schedule = Schedule(lengths, train.global_batch_size, settings.run.seed, train.batching)
    overhead = OVERHEAD_TOKENS[engine.device.type]
    cut = Cut(train.micro_batch_tokens, train.micro_batch_size, train.padding == "step", overhead)
    if task.indivisible:
        cut = Cut(max_tokens=train.global_batch_size * int(lengths.max()), by_length=False, overhead_tokens=overhead)
    return Feed(dataset, task, schedule, cut, Place(engine.rank, engine.world_size))


def total_steps(settings: TrainSettings, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run."""
    return settings.max_steps or math.ceil(settings.epochs * steps_per_epoch)


def restore(run_dir: RunDir, checkpointer: Checkpointer, engine: Engine) -> TrainState:
    """The state of the checkpoint in ``inputs/checkpoint``, its tensors taken over; a new state without one."""
    if not run_dir.input_checkpoint.is_dir():
        if engine.is_main:
            run_dir.metrics.unlink(missing_ok=True)
        return TrainState()
    state = checkpointer.read(run_dir.input_checkpoint)
    logger.info("continuing after step %d", state.step)
    engine.barrier()
    return state


def train(run_dir: RunDir, settings: Settings, engine: Engine, trainee: Trainee) -> None:
    """Run the loop with everything that happens between its steps."""
    state, parts, checkpointer = trainee.state, trainee.parts, trainee.checkpointer
    heartbeat = Heartbeat(run_dir, "train", engine.rank)
    metrics = MetricsFile(run_dir.metrics)
    attempt = run_dirs.read_json(run_dir.attempt)["number"]
    loop = Loop(engine, settings, parts, state)

    def record(values: dict[str, Any]) -> None:
        epoch = state.step / parts.feed.schedule.steps_per_epoch
        if engine.is_main:
            metrics.append({"attempt": attempt, "step": state.step, "epoch": epoch, "time_s": state.seconds, **values})

    def save(state: TrainState) -> None:
        started = time.monotonic()
        loop.check_before_saving()
        checkpointer.write(state, settings.limits.min_free_bytes)
        record({"time/checkpoint_save_s": time.monotonic() - started})

    stop = StopFile(engine, run_dir)

    def keep_going() -> bool:
        heartbeat.beat()
        return not stop.agreed()

    examples = Examples(parts.task, trainee.held_out, settings.eval.micro_batch_tokens)
    validation = Validation(
        engine,
        settings.eval,
        trainee.model,
        examples,
        trainee.best,
        keep_going=keep_going,
        keep_best=checkpointer.keep_best,
        record=record,
    )
    boundary = Boundary(
        engine, settings, stop, Work(validation, save, parts.feed.schedule.steps_per_epoch, checkpointer.must_wait), heartbeat.beat
    )
    boundary.continue_from(state)
    if engine.is_main:
        run_dirs.write_json(run_dir.plan, {"num_steps": trainee.num_steps, "start_step": state.step})
    rehearse(loop, trainee.model, examples)
    run_dirs.require_room(run_dir.root, checkpointer.tensors.num_bytes() + settings.limits.min_free_bytes)
    loop.run(trainee.num_steps, boundary, record)


def publishable(run_dir: RunDir, engine: Engine, settings: Settings, trainee: Trainee) -> None:
    """Write the folder that is evaluated and published: the best weights, or the last ones, and what the task adds."""
    has_best = trainee.best.name is not None and trainee.state.best_step >= 0
    scratch = run_dir.root / f"{TEMPORARY_PREFIX}last.safetensors"
    weights = trainee.checkpointer.tensors.publishable(trainee.checkpointer.best if has_best else None, scratch)
    if not engine.is_main:
        return
    model, tensors = trainee.model, None
    if weights is not None and trained.is_partial(model):
        # What is frozen is the start model's own, and not what the engine may have made of it (16 bits).
        model = method.choose_trained(method.start_model(run_dir, settings, trainee.parts.task), settings)
        trained.load(model, weights)
    elif weights is not None:
        tensors = load_file(weights)  # mapped: pages of it are read as they are written to the published one
    folder = run_dir.model.with_name(TEMPORARY_PREFIX + run_dir.model.name)
    shutil.rmtree(folder, ignore_errors=True)
    method.save(model, folder, run_dir, settings, tensors)
    for place in (folder, folder / method.ADAPTER):
        if place.is_dir():
            trainee.tokenizer.save_pretrained(place)
    own, base = folder / "config.json", run_dir.input_model / "config.json"
    accompany(settings, trainee.parts.task.prepared, folder, own if own.is_file() else base)
    shutil.rmtree(run_dir.model, ignore_errors=True)
    folder.rename(run_dir.model)
    scratch.unlink(missing_ok=True)


def describe(engine: Engine, settings: Settings, trainee: Trainee, choice: Choice) -> TrainResult:
    """The stage's record."""
    state = trainee.state
    published_step = state.best_step if trainee.best.name is not None and state.best_step >= 0 else state.step
    return TrainResult(
        step=state.step,
        epoch=state.step / trainee.parts.feed.schedule.steps_per_epoch,
        best_step=published_step,
        best_metric=trainee.best.name or "none",
        best_value=state.best_value,
        engine={**engine.describe(trainee.parts.wrapped), "choice": choice.as_dict()},
        published=settings.tuning.published,
        **method.count(trainee.model),
    )


if __name__ == "__main__":
    run_program("train", main)
