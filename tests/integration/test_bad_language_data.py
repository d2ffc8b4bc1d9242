"""Bad inputs of the language-model tasks: each ends with its code and a message that names the thing and the remedy.

A row of the table: what is wrong · task · the training file · what message and hint must hold · settings · the code.
"""

import json
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from job.errors import JobError, SettingsError
from job.workers.prepare import main
from tests.support import language, tiny
from tests.support.inputs import as_parquet

USER, ANSWER = {"role": "user", "content": "hi there"}, {"role": "assistant", "content": "hello"}
GOOD = [{"messages": [USER, {"role": "assistant", "content": f"hello {at}"}]} for at in range(20)]
PLAIN = language.TEMPLATES["chatml"]
PAIRS = {"DATA__PROMPT_COLUMN": "prompt", "DATA__COMPLETION_COLUMN": "completion"}


def lines(*rows):
    return language.json_lines(list(rows))


def chat(*messages):
    """Good conversations, and this one as the third row."""
    return lines(*GOOD[:2], {"messages": list(messages)}, *GOOD[2:])


@dataclass(frozen=True)
class Bad:
    name: str
    task: str
    content: bytes
    says: tuple[str, ...]
    changes: dict[str, str] = field(default_factory=dict)
    code: int = 65
    file: str = "a.jsonl"
    model: str = "chat"


def sft(name, content, *says, **more):
    return Bad(name, "sft", content, says, **more)


def template(name, source, *says):
    """A chat template that cannot be trusted."""
    remedy = ("The chat template cannot be trained on with conversation", "JOB_DATA__CHAT_TEMPLATE_FILE")
    return sft(name, lines(*GOOD), *says, *remedy, changes={"DATA__CHAT_TEMPLATE": source})


PLACE = "a.jsonl, row 3"
TABLE = [
    # conversations
    sft("no such column", lines({"chat": []}), "no column 'messages'; it has 'chat'", "JOB_DATA__MESSAGES_COLUMN"),
    sft("a text for a list", lines(*GOOD, {"messages": "hi"}), "a.jsonl, row 21: a text where a list of messages"),
    sft("a number for a list", lines(*GOOD, {"messages": 7}), "row 21: a number where a list of messages"),
    sft("a message that is a text", chat("hi"), f"{PLACE}: message 1 is a text where an object was expected", "JOB_DATA__MESSAGES_COLUMN"),
    sft("a role that is none", chat({"role": "human", "content": "hi"}), f"{PLACE}: message 1 has the role 'human'", "system, user, assistant, tool"),
    sft("no role", chat({"content": "hi"}), f"{PLACE}: message 1 has no role"),
    sft("ShareGPT's names", chat({"from": "human", "value": "hi"}), "'from' and 'value' (ShareGPT's names)"),
    sft("no content", chat(USER, {"role": "assistant"}), f"{PLACE}: message 2 (assistant) has nothing as content"),
    sft("content in parts", chat({"role": "user", "content": [{"type": "text", "text": "hi"}]}, ANSWER), "message 1 (user) has a list as content"),
    sft("an empty answer", chat(USER, {"role": "assistant", "content": "\n"}), "message 2 (assistant) is empty"),
    sft("a late system message", chat(USER, ANSWER, {"role": "system", "content": "x"}), "message 3 has the role 'system'"),
    sft("tool calls", chat(USER, {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}), "message 2 has tool_calls"),
    sft("nobody answers", chat(USER), "1 of 19 train examples (5.26%) have nothing that is trained on", "train-3", "JOB_LIMITS__MAX_MASKED_SHARE"),
    sft("an empty list", chat(), "nothing that is trained on", "train-3"),
    sft("missing conversations", lines(*GOOD, {"messages": None}), "1 of 21 train examples (4.76%) have no messages", "JOB_LIMITS__MAX_EMPTY_SHARE"),
    sft("answers beyond the longest input", lines(*GOOD), "have nothing that is trained on", changes={"TRAIN__MAX_SEQ_LENGTH": "8"}),
    sft("a broken line", lines(*GOOD[:2]) + b'{"messages": [', "a.jsonl, line 3", "not valid JSON"),
    sft(
        "Parquet with texts for messages",
        as_parquet(pa.table({"messages": ["hi"] * 20})),
        "a.parquet, row 1: a text where a list",
        file="a.parquet",
    ),
    sft("plain text for conversations", b"hi\n", "a.txt is plain text", "JOB_DATA__FORMAT", file="a.txt"),
    # pairs
    sft("no prompts", lines({"completion": "a"}), "no column 'prompt'", "JOB_DATA__PROMPT_COLUMN", changes=PAIRS),
    sft("no completions", lines({"prompt": "a"}), "no column 'completion'", "JOB_DATA__COMPLETION_COLUMN", changes=PAIRS),
    sft("half a pair of texts", lines({"prompt": "a", "completion": [ANSWER]}), "the prompt is a text and the completion a list", changes=PAIRS),
    sft("a prompt of another kind", lines({"prompt": 4, "completion": "b"}), "the prompt is a number", changes=PAIRS),
    sft("completions that are missing", lines({"prompt": "a", "completion": None}, {"prompt": "a", "completion": "b"}), "no prompt and completion", changes=PAIRS),
    # templates
    sft("no template", lines(*GOOD), "no chat template", "JOB_DATA__CHAT_TEMPLATE_FILE", code=64, model="plain"),
    template("a template that drops what the user says", PLAIN.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'user' %}"), "drops or changes message 1 (user): 'hi there'"),
    template("a template that begins twice", "{{ bos_token + bos_token }}" + PLAIN, "begins with the token '<s>' twice"),
    template("a template without an end of turn", PLAIN.replace(" + '<|im_end|>'", ""), "does not end the assistant's turn with a special token"),
    template("a template without a prompt", PLAIN.split("{% if add")[0], "does not begin with what it says"),
    template("a template that is none", "{% for m in messages %}", "refuses the conversation"),
    template("a template that reaches out", "{{ ''.__class__.__subclasses__() }}", "refuses the conversation"),
    # raw text
    Bad("no text column", "causal-lm", lines({"body": "a"}), ("no column 'text'; it has 'body'", "JOB_DATA__TEXT_COLUMN")),
    Bad("texts that are none", "causal-lm", lines({"text": "a"}, {"text": ["b"]}), ("a.jsonl, row 2, column 'text': a list where text was expected",)),
    Bad("empty texts", "masked-lm", lines(*[{"text": "good"}] * 9, {"text": " "}), ("1 of 10 train examples (10.00%) have no text", "JOB_LIMITS__MAX_EMPTY_SHARE"), model="masks"),
    Bad("nothing but empty texts", "causal-lm", lines({"text": ""}, {"text": " "}), ("none has text",), {"LIMITS__MAX_EMPTY_SHARE": "1"}),
    Bad("one document alone", "causal-lm", lines({"text": "one"}), ("too few to set any aside",)),
    Bad("wrong encoding", "causal-lm", b"caf\xe9 au lait\n" * 9, ("a.txt", "JOB_DATA__ENCODING"), {"DATA__DOCUMENT_BREAK": "line"}, file="a.txt"),
    Bad("the same texts on both sides", "causal-lm", lines(*[{"text": "the same"}] * 20), ("also stands in the training data", "JOB_LIMITS__MAX_LEAKED_SHARE")),
    Bad("no mask token", "masked-lm", lines({"text": "a"}), ("no mask token", "JOB_TASK=causal-lm"), code=64, model="maskless"),
    Bad("windows longer than the model", "causal-lm", lines({"text": "a"}), ("positions for 256", "JOB_TRAIN__MAX_SEQ_LENGTH"), {"TRAIN__MAX_SEQ_LENGTH": "257"}, 64),
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Model folders by kind, made once."""
    folder = tmp_path_factory.mktemp("models")
    made = {"chat": language.write_llama(folder / "chat"), "plain": language.write_llama(folder / "plain", template=None)}
    made["masks"] = tiny.write_model(folder / "masks")
    maskless = tiny.write_model(folder / "maskless")
    about = json.loads((maskless / "tokenizer_config.json").read_text())
    (maskless / "tokenizer_config.json").write_text(json.dumps({**about, "mask_token": None}))
    return {**made, "maskless": maskless}


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_it_ends_with_code_and_remedy(bad, tmp_path, models):
    (tmp_path / "model").symlink_to(models[bad.model])
    with pytest.raises(JobError) as caught:
        main(*language.write_run(tmp_path, {"train": (bad.file, bad.content)}, TASK=bad.task, **bad.changes))
    error = caught.value
    assert error.exit_code == bad.code, error
    told = f"{error.message} {error.hint}"
    assert [each for each in bad.says if each not in told] == []
    assert error.hint
    assert not (tmp_path / "run/prepared").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TASK": "sfft"}, "JOB_TASK"),
        ({"TRAIN__MASKED_SHARE": "0"}, "JOB_TRAIN__MASKED_SHARE"),
        ({"TRAIN__MASK_TOKEN_SHARE": "0.9", "TRAIN__RANDOM_TOKEN_SHARE": "0.2"}, "together must not be more than 1"),
        ({"DATA__PACKING": "maybe"}, "JOB_DATA__PACKING"),
        ({"DATA__DOCUMENT_BREAK": "page"}, "JOB_DATA__DOCUMENT_BREAK"),
        ({"EVAL__NUM_SAMPLES": "-1"}, "JOB_EVAL__NUM_SAMPLES"),
        ({"EVAL__SAMPLE_TOKENS": "0"}, "JOB_EVAL__SAMPLE_TOKENS"),
        ({"LIMITS__MAX_MASKED_SHARE": "2"}, "JOB_LIMITS__MAX_MASKED_SHARE"),
        ({"DATA__CHAT_TEMPLATE_FILE": "/nowhere.jinja"}, "JOB_DATA__CHAT_TEMPLATE_FILE names a file that cannot be read"),
    ],
)
def test_wrong_settings_are_told_at_once(tmp_path, changes, says):
    with pytest.raises(SettingsError) as caught:
        tiny.settings(tmp_path, **changes)
    assert says in caught.value.message


def test_there_are_enough():
    assert len(TABLE) >= 25
    assert len({bad.name for bad in TABLE}) == len(TABLE)
