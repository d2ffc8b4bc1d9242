"""The tasks, one file each, and the table that finds them by the name in ``JOB_TASK``.

A new task is one file beside this one with the three parts that `TaskKind` names, one line in `TASKS`, its name in
`job.settings.root.Task`, and the fields of `job.settings.data.DataSettings` that name its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.records import PreparedData
from job.settings.root import Settings
from job.workers.sentence_files import describe_pooling
from job.workers.tasks.answer_pairs import AnswerPairs, RewardPairs
from job.workers.tasks.appraisal import Appraisal
from job.workers.tasks.base import Task
from job.workers.tasks.causal_lm import CausalAppraisal, CausalLM, Documents
from job.workers.tasks.dpo import Preference, PreferenceAppraisal
from job.workers.tasks.embedding import Embedding, EmbeddingAppraisal, TextSets
from job.workers.tasks.kto import JudgedAnswers, Judgement, JudgementAppraisal
from job.workers.tasks.masked_lm import MaskedAppraisal, MaskedDocuments, MaskedLM
from job.workers.tasks.preparation import Preparation
from job.workers.tasks.reward import Reward, RewardAppraisal
from job.workers.tasks.seq2seq import Seq2Seq, Seq2SeqAppraisal, TextsWithTargets
from job.workers.tasks.sft import Conversations, SupervisedAppraisal, SupervisedLM
from job.workers.tasks.text_classification import ClassificationAppraisal, LabelledTexts, TextClassification
from job.workers.tasks.token_classification import TaggedWords, TaggingAppraisal, TokenClassification
from job.workers.tokenization import TokenizerSetup


@dataclass(frozen=True)
class TaskKind:
    """The three parts of a task: `Preparation`, `Task`, `Appraisal`; and what is written beside the saved model, where there is more."""

    prepare: Callable[[Settings, TokenizerSetup], Preparation]
    train: Callable[[Settings, PreparedData, Any], Task]
    appraise: Callable[[Any], Appraisal]
    accompany: Callable[[Settings, PreparedData, Path, Path], None] | None = None


TASKS: dict[str, TaskKind] = {
    "text-classification": TaskKind(LabelledTexts, TextClassification, ClassificationAppraisal),
    "token-classification": TaskKind(TaggedWords, TokenClassification, TaggingAppraisal),
    "masked-lm": TaskKind(MaskedDocuments, MaskedLM, MaskedAppraisal),
    "causal-lm": TaskKind(Documents, CausalLM, CausalAppraisal),
    "sft": TaskKind(Conversations, SupervisedLM, SupervisedAppraisal),
    "dpo": TaskKind(AnswerPairs, Preference, PreferenceAppraisal),
    "kto": TaskKind(JudgedAnswers, Judgement, JudgementAppraisal),
    "reward": TaskKind(RewardPairs, Reward, RewardAppraisal),
    "embedding": TaskKind(TextSets, Embedding, EmbeddingAppraisal, describe_pooling),
    "seq2seq": TaskKind(TextsWithTargets, Seq2Seq, Seq2SeqAppraisal),
}


def make_preparation(settings: Settings, setup: TokenizerSetup) -> Preparation:
    """The preparation of the task that the settings name."""
    return TASKS[settings.task].prepare(settings, setup)


def make_task(settings: Settings, prepared: PreparedData, tokenizer: Any) -> Task:
    """Make the task that the settings name.

    Raises:
        SettingsError: when the settings ask the task for something it does not do.
    """
    return TASKS[settings.task].train(settings, prepared, tokenizer)


def make_appraisal(settings: Settings, task: Task) -> Appraisal:
    """The appraisal of the task that the settings name."""
    return TASKS[settings.task].appraise(task)


def accompany(settings: Settings, prepared: PreparedData, folder: Path, config: Path) -> None:
    """Write beside a saved model, or adapter, and its tokenizer what else a user of a model of this task needs.

    ``config`` is the ``config.json`` of the model, or of the adapter's base.
    """
    write = TASKS[settings.task].accompany
    if write is not None:
        write(settings, prepared, folder, config)
