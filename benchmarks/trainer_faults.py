"""Kills at random instants: what they cost a run of this job, and one of transformers' Trainer with its defaults, in the same run.

    python -m benchmarks.trainer_faults [--kills 30] [--seed 1]

The fault is the first row of the matrix, everything at once: SIGKILL of every process of a run at a random instant between a start's first
step and its end (what comes before is short here and long elsewhere, and loses nothing), then another start, as a scheduler would make
it, at most six times in a run, and one that is left to finish.  Both train the same small model on the same
rows with two gloo ranks for 64 steps and save every 8.  Programs of both sides are forked from one that has imported everything
(`tests.support.warm`).  The Trainer is started again with the newest checkpoint of its folder
(``get_last_checkpoint``, which is what ``resume_from_checkpoint=True`` takes).  Where it cannot be continued from that one, it is counted and
removed, as a person would do in the morning.

What is written to ``benchmarks/results/trainer_faults.md`` is counted from outside: how starts ended, what was trained and what was
continued from, and whether the final weights are those of an undisturbed run to the bit.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.child import QUIET, ROOT
from job.cluster import launch
from tests.faults import invariants
from tests.faults.bench import SAVE_EVERY, STEPS, Inputs, Subject, descendants, send, wait
from tests.faults.driver import FAULTS_PER_RUN
from tests.support import warm

RESULTS = Path(__file__).parent / "results" / "trainer_faults.md"
MAX_STEPS = int(STEPS["TRAIN__MAX_STEPS"])
PROCESSES, BATCH, RATE = 2, 16, 1e-3
END_S = 300.0


@dataclasses.dataclass
class Count:
    """What became of one side's kills and runs."""

    name: str
    kills: int = 0
    unusable: int = 0
    lost: list[int] = dataclasses.field(default_factory=list)
    finished: int = 0
    same: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)

    def row(self) -> str:
        lost = f"{statistics.median(self.lost):g} ({max(self.lost)})" if self.lost else ""
        return f"| {self.name} | {self.kills} | {self.unusable} | {lost} | {self.same} of {self.finished} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path, default=RESULTS)
    parser.add_argument("--worker", type=Path)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    with tempfile.TemporaryDirectory(prefix="trainer-faults-") as name:
        sides = [Ours(Path(name) / "ours"), Theirs(Path(name) / "theirs")]
        seed = options.seed
        while any(side.count.kills < options.kills for side in sides):
            for side in sides:
                if side.count.kills < options.kills:
                    side.one_run(seed, options.kills)
                    print(f"seed {seed}: {json.dumps(dataclasses.asdict(side.count))}", flush=True)
            seed += 1
    options.result.write_text(table([side.count for side in sides], options, seed - 1))
    print(options.result.read_text())


class Ours:
    """Runs of this job."""

    def __init__(self, folder: Path) -> None:
        self.count = Count("this job")
        self._folder, self._inputs = folder, Inputs.make(folder / "inputs")
        subject = Subject(self._inputs, folder / "undisturbed")
        self._span_s = training_span(subject.start(), subject.run_dir() / "metrics.jsonl", subject.folder)
        self._reference = subject.weights()

    def one_run(self, seed: int, kills: int) -> None:
        draw = random.Random(f"kill {seed}")
        subject = Subject(self._inputs, self._folder / f"run-{seed}")
        for _ in range(min(FAULTS_PER_RUN, kills - self.count.kills)):
            process = subject.start()
            began = time.time()
            if not alive_in_training(process, subject.run_dir() / "metrics.jsonl", began, draw.uniform(0, self._span_s)):
                self._look(subject, process.returncode)
                break
            send([process.pid, *subject.workers()], signal.SIGKILL)
            wait(process)
            self._look(subject, 0)
            self.count.kills += 1
            if written_since(subject.run_dir() / "metrics.jsonl", began):
                self.count.lost.append(max(0, subject.last_step() - max(subject.committed_steps(), default=0)))
            self.count.notes += invariants.check(subject)
        if not any(entry["kind"] == "complete" for entry in subject.entries()):
            self._look(subject, subject.finish())
        self.count.finished += 1
        if any(entry["kind"] == "complete" for entry in subject.entries()):
            self.count.same += subject.weights() == self._reference
        shutil.rmtree(subject.folder)

    def _look(self, subject: Subject, code: int) -> None:
        """Count a start that failed though nobody killed it, or that had to fall back to an older commit."""
        fell_back = "Not continuing from step" in subject.log().read_text(errors="replace")
        if code or fell_back:
            self.count.unusable += 1
            self.count.notes.append(f"a start ended with {code}" if code else "a start fell back to an older commit")


class Theirs:
    """Runs of a program around transformers' Trainer."""

    def __init__(self, folder: Path) -> None:
        self.count = Count("transformers' Trainer")
        self._folder, self._inputs = folder, Inputs.make(folder / "inputs")
        place = folder / "undisturbed"
        self._span_s = training_span(self._start(place), place / "steps", place)
        self._reference = self._weights(place)

    def one_run(self, seed: int, kills: int) -> None:
        draw = random.Random(f"kill {seed}")
        place = self._folder / f"run-{seed}"
        left = min(FAULTS_PER_RUN, kills - self.count.kills)
        while left > 0 and not self._done(place):
            process, began = self._start(place), time.time()
            if alive_in_training(process, place / "steps", began, draw.uniform(0, self._span_s)):
                # The ranks have sessions of their own.
                send([process.pid, *descendants(process.pid)], signal.SIGKILL)
                process.wait()
                left -= 1
                self.count.kills += 1
                if written_since(place / "steps", began):
                    self.count.lost.append(max(0, self._trained(place) - self._saved(place)))
            elif process.returncode:
                self._give_up_newest(place)
            else:
                break
        while not self._done(place):
            process = self._start(place)
            if alive_after(process, END_S):
                send([process.pid, *descendants(process.pid)], signal.SIGKILL)
                process.wait()
            if process.returncode:
                self._give_up_newest(place)
        self.count.finished += 1
        self.count.same += self._weights(place) == self._reference
        shutil.rmtree(place)

    def _start(self, place: Path) -> subprocess.Popen[bytes]:
        """A group of two ranks."""
        place.mkdir(parents=True, exist_ok=True)
        torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={PROCESSES}", f"--master-port={launch.free_port()}"]
        command = [sys.executable, *torchrun, "-m", "benchmarks.trainer_faults", "--worker", str(place)]
        environ = {**os.environ, **QUIET, "OMP_NUM_THREADS": "1", "INPUTS": str(self._inputs.folder)}
        with (place / "log").open("ab") as log:
            return warm.Popen(command, env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _give_up_newest(self, place: Path) -> None:
        """A start failed though nobody killed it: its newest checkpoint is what it could not continue from."""
        checkpoints = sorted(place.glob("checkpoint-*"), key=_step_of)
        if not checkpoints:
            raise RuntimeError((place / "log").read_text()[-4000:])
        self.count.unusable += 1
        lines = (place / "log").read_text(errors="replace").splitlines()
        # The launcher's own error says only that a rank failed.
        said = [line for line in lines if re.search(r"(Error|Exception)\b.*: ", line) and "ChildFailedError" not in line]
        self.count.notes.append(
            f"{checkpoints[-1].name}: {said[-1].partition(']: ')[2][:160] or said[-1][:160] if said else 'no word'}"
        )
        if self.count.lost:
            # What it really cost: up to the checkpoint before.
            before = _step_of(checkpoints[-2]) if len(checkpoints) > 1 else 0
            self.count.lost[-1] += _step_of(checkpoints[-1]) - before
        shutil.rmtree(checkpoints[-1])

    def _trained(self, place: Path) -> int:
        steps = place / "steps"
        return int(steps.read_text().split()[-1]) if steps.exists() and steps.read_text().split() else 0

    def _saved(self, place: Path) -> int:
        return max((_step_of(path) for path in place.glob("checkpoint-*")), default=0)

    def _done(self, place: Path) -> bool:
        """Whether the final weights are there, which appear whole: a scheduler would not start the program again."""
        return (place / "final" / "model.safetensors").exists()

    def _weights(self, place: Path) -> str:
        return hashlib.sha256((place / "final" / "model.safetensors").read_bytes()).hexdigest()


def _step_of(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def written_since(path: Path, began: float) -> bool:
    """Whether a start trained anything: what an earlier one lost is counted once."""
    return path.exists() and path.stat().st_mtime > began


def training_span(process: subprocess.Popen[bytes], record: Path, folder: Path) -> float:
    """Seconds from the first step of an undisturbed run to its end.  Raises RuntimeError when it fails."""
    if alive_in_training(process, record, time.time(), 0.0):
        began = time.monotonic()
        if process.wait(END_S) == 0:
            return time.monotonic() - began
    raise RuntimeError(f"the undisturbed run failed: its log is in {folder}")


def alive_in_training(process: subprocess.Popen[bytes], record: Path, began: float, seconds: float) -> bool:
    """Whether a process is still there so long after its first step was recorded; ``began`` is when it was started."""
    end = time.monotonic() + END_S
    while process.poll() is None and not written_since(record, began) and time.monotonic() < end:
        time.sleep(0.005)
    return alive_after(process, seconds)


def alive_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process is still there after so long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def work(place: Path) -> None:
    """One rank of the Trainer: from the newest checkpoint of the folder, if there is one, to the end."""
    import torch
    from datasets import load_dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )
    from transformers.trainer_callback import TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint

    inputs = Path(os.environ["INPUTS"])
    set_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(inputs / "model")
    rows = load_dataset(
        "csv", data_files=str(inputs / "train.csv"), split="train", cache_dir=str(inputs / "cache")
    ).class_encode_column("label")
    rows = rows.map(lambda some: tokenizer(some["text"], truncation=True), batched=True, remove_columns=["text"])
    model = AutoModelForSequenceClassification.from_pretrained(inputs / "model", num_labels=rows.features["label"].num_classes)

    class Steps(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, __: Any, **___: Any) -> None:
            if state.is_world_process_zero:
                with (place / "steps").open("a") as file:
                    file.write(f"{state.global_step}\n")

    arguments = TrainingArguments(
        output_dir=str(place),
        use_cpu=True,
        max_steps=MAX_STEPS,
        per_device_train_batch_size=BATCH // PROCESSES,
        learning_rate=RATE,
        save_steps=SAVE_EVERY,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), rows, callbacks=[Steps()])
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(place)))
    trainer.save_model(str(place / "unfinished"))
    if trainer.is_world_process_zero():
        (place / "unfinished").rename(place / "final")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def table(counts: list[Count], options: argparse.Namespace, last_seed: int) -> str:
    lines = [
        "# Killed at random instants, beside transformers' Trainer",
        "",
        (
            "SIGKILL of all processes at a random instant between a start's first step and the time that an undisturbed run takes from "
            f"there to its end, at most {FAULTS_PER_RUN} in a run, then a start that is left to finish; the same small model and rows, {PROCESSES} gloo ranks, {MAX_STEPS} steps, a checkpoint every {SAVE_EVERY}; "
            f"seeds {options.seed} to {last_seed}. The Trainer has its defaults and continues from the newest checkpoint in its folder."
        ),
        "",
        "| | kills | starts that failed, or could not continue from the newest checkpoint | steps lost to a kill: median (most) | final weights of an undisturbed run |",
        "|---|---|---|---|---|",
        *(count.row() for count in counts),
        "",
        *(f"- {count.name}: {note}" for count in counts for note in dict.fromkeys(count.notes)),
        "",
        machine.sentence(machine.describe()),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
