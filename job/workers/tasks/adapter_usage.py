"""How an adapter that was published alone is used, where its folder is not enough for transformers' own pipeline.

A head for labels is part of the adapter, and how many labels it has stands in no file that transformers reads: it has to be said.
"""

from __future__ import annotations

from collections.abc import Sequence

_CODE = """from peft import AutoPeftModelFor{head}
from transformers import AutoTokenizer, pipeline

folder = "{model}"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoPeftModelFor{head}.from_pretrained(folder, id2label={labels})
model.config.pad_token_id = tokenizer.pad_token_id
{name} = pipeline("{pipeline}", model=model.merge_and_unload(), tokenizer=tokenizer, {option})
{name}("{example}")"""
_WORDS = {
    "token-classification": {
        "head": "TokenClassification",
        "name": "tag",
        "pipeline": "token-classification",
        "option": 'aggregation_strategy="simple"',
        "example": "Text whose entities are sought.",
    },
    "reward": {
        "head": "SequenceClassification",
        "name": "reward",
        "pipeline": "text-classification",
        "option": 'function_to_apply="none"',
        "example": "A question and its answer, written as in training",
    },
}


def adapter_usage(task: str, labels: Sequence[str]) -> str:
    """Python that uses the adapter, ``{model}`` standing for its folder; empty where a whole model's code does.

    Args:
        task: as in ``JOB_TASK``.
        labels: names of the head's outputs, in order.
    """
    if task not in _WORDS:
        return ""
    code = _CODE.replace("{labels}", repr(dict(enumerate(labels))))
    for name, word in _WORDS[task].items():
        code = code.replace(f"{{{name}}}", word)
    return code
