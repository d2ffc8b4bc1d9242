"""Bad inputs of tagging, preferences, rewards and embeddings: each ends with its code and a message that names thing and remedy.

A row of a table: what is wrong · the training file's name and content · what message and hint must hold · settings · the code.
"""

import json
from dataclasses import dataclass, field

import pytest

from job.errors import JobError, SettingsError
from job.settings import root
from job.workers.prepare import main
from tests.support import language, tasks, tiny
from tests.support.inputs import as_json_lines, write_tokenizer

USER, YES, NO = ({"role": role, "content": text} for role, text in (("user", "hi"), ("assistant", "yes"), ("assistant", "no")))
PROMPTED = {"DATA__PROMPT_COLUMN": "prompt"}


@dataclass(frozen=True)
class Bad:
    name: str
    task: str
    content: bytes
    says: tuple[str, ...]
    changes: dict[str, str] = field(default_factory=dict)
    code: int = 65
    file: str = "a.jsonl"


def tagged(name, *rows, says=(), code=65, **changes):
    given = [{"tokens": words, "tags": tags} for words, tags in rows]
    return Bad(name, "token-classification", as_json_lines(given), says, changes, code)


def columns(name, text, *says, code=65, **changes):
    return Bad(name, "token-classification", text.encode(), says, changes, code, "a.conll")


def pair(name, *says, task="dpo", code=65, changes=None, good=12, **row):
    fine = [{"prompt": f"q {at}", "chosen": f"yes {at}", "rejected": "no"} for at in range(good)]
    if isinstance(row.get("chosen"), list):
        fine = []
    return Bad(name, task, as_json_lines([*fine, row]), says, {**PROMPTED, **(changes or {})}, code)


def judged(name, *says, code=65, changes=None, good=12, rows=(), **row):
    fine = [{"prompt": f"q {at}", "completion": f" yes {at}", "label": at % 2 == 0} for at in range(good)]
    return Bad(name, "kto", as_json_lines([*fine, *rows, *([row] if row else [])]), says, {**PROMPTED, **(changes or {})}, code)


def texts(name, *says, rows=None, code=65, task="embedding", **changes):
    given = rows or [{"anchor": f"the film {at}", "positive": f"good film {at}", "negative": "bad"} for at in range(12)]
    return Bad(name, task, as_json_lines(given), says, changes, code)


JUDGED = [
    judged("label column missing", "has no column 'liked'", "JOB_DATA__LABEL_COLUMN", changes={"DATA__LABEL_COLUMN": "liked"}),
    judged(
        "completion column missing", "no column 'said'", "JOB_DATA__COMPLETION_COLUMN", changes={"DATA__COMPLETION_COLUMN": "said"}
    ),
    judged("messages column missing", "no column 'messages'", "JOB_DATA__MESSAGES_COLUMN", changes={"DATA__PROMPT_COLUMN": ""}),
    judged("label is a word", "row 13: the label 'perhaps' is neither true nor false", prompt="q", completion="a", label="perhaps"),
    judged("label is a number beyond", "row 13: the label '2' is neither", prompt="q", completion="a", label=2),
    judged("label is missing", "row 13: the label 'nothing' is neither", prompt="q", completion="a", label=None),
    judged("label is a list", "row 13: the label 'true, false' is neither", prompt="q", completion="a", label=[True, False]),
    judged("answer is empty", "row 13: the completion is empty", prompt="q", completion=" ", label=True),
    judged(
        "answer is missing", "1 of 13 train examples (7.69%) have no prompt and completion", prompt="q", completion=None, label=True
    ),
    judged("text beside messages", "row 13", "both have to be texts, or both lists", prompt="q", completion=[NO], label=True),
    judged("ends with the user", "row 13", "does not end with the assistant", prompt=[USER], completion=[YES, USER], label=True),
    judged(
        "all are good",
        "All 9 answers of the train data are judged good",
        "JOB_TASK=sft",
        good=0,
        rows=[{"prompt": f"q {at}", "completion": f" yes {at}", "label": True} for at in range(10)],
    ),
    judged(
        "everything is cut away",
        "nothing left of the answer after cutting",
        "JOB_LIMITS__MAX_MASKED_SHARE",
        changes={"TRAIN__MAX_SEQ_LENGTH": "2"},
    ),
]
FINE = (["the", "film"], ["O", "B-A"])
TAGGING = [
    tagged("tokens column missing", FINE, says=("has no column 'words'", "JOB_DATA__TOKENS_COLUMN"), DATA__TOKENS_COLUMN="words"),
    tagged("tags column missing", FINE, says=("has no column 'ner'", "JOB_DATA__TAGS_COLUMN"), DATA__TAGS_COLUMN="ner"),
    tagged("tokens are one text", ("the film", ["O"]), says=("row 1, column 'tokens'", "list of texts", "JOB_DATA__TOKENS_COLUMN")),
    tagged("a word is a number", (["the", 3], ["O", "B-A"]), says=("row 1, column 'tokens'", "list of texts")),
    tagged("a tag is an object", FINE, (["a"], [{"b": 1}]), says=("row 2, column 'tags'", "a list where a name")),
    tagged("a word too many", FINE, (["the", "film", "was"], ["O", "O"]), says=("a.jsonl, row 2: 3 words and 2 tags", "one tag")),
    tagged("a tag too many", FINE, (["the"], ["O", "O"]), says=("row 2: 1 words and 2 tags",)),
    tagged(
        "entity without a beginning",
        FINE,
        (["a", "b"], ["B-A", "I-B"]),
        says=("row 2, word 2", "'I-B'", "JOB_DATA__TAG_SCHEME=iob1"),
    ),
    tagged("entity that never ends", FINE, (["a"], ["S-A"]), says=("row 1, word 2", "never ends", "iobes")),
    tagged("two schemes", (["a", "b"], ["S-A", "U-B"]), says=("of no one scheme", "'S-A', 'U-B'", "JOB_DATA__TAG_SCHEME")),
    tagged("tags with and without a prefix", (["a", "b"], ["B-A", "NOUN"]), says=("of no one scheme", "'NOUN'")),
    tagged("scheme that the tags are not of", FINE, says=("'B-A' ", "iobes"), DATA__TAG_SCHEME="iobes"),
    tagged("numbers without names", (["a", "b"], [0, 1]), says=("The tags are numbers (0, 1)", "JOB_DATA__LABELS")),
    tagged("number beyond the list", (["a", "b"], [0, 7]), says=("outside JOB_DATA__LABELS: '7'", "row 1"), DATA__LABELS="O,B-A"),
    tagged("tag outside the list", (["a", "b"], ["O", "B-B"]), says=("outside JOB_DATA__LABELS: 'B-B'",), DATA__LABELS="O,B-A"),
    tagged("one tag only", (["a", "b"], ["O", "O"]), says=("same tag, 'O'", "nothing to learn")),
    tagged("no tags at all", (["a"], None), says=("No word of the training data has a tag", "JOB_DATA__TAGS_COLUMN")),
    tagged(
        "sentences without words",
        FINE,
        ([], []),
        says=("1 of 2 train examples (50.00%) have no words", "JOB_LIMITS__MAX_EMPTY_SHARE"),
    ),
    tagged("sentences without tags", FINE, (["a"], None), says=("have no tags", "JOB_LIMITS__MAX_UNLABELLED_SHARE")),
    tagged("texts taken for tags", *[([f"w{at}"], [f"t{at}"]) for at in range(600)], says=("600 distinct tags", "hardly tags")),
    columns("a column too few", "a X O\nb O\n", "a.conll, line 2: 2 columns, where the lines before have 3", "empty line ends"),
    columns("one column", "a\nb\n", "line 1: word and tag are both taken from column 1", "JOB_DATA__CONLL_TAG_COLUMN"),
    columns("token column beyond", "a O\n", "there is no column 5", "JOB_DATA__CONLL_TOKEN_COLUMN", DATA__CONLL_TOKEN_COLUMN="5"),
    columns("tag column beyond", "a O\n", "there is no column 3", "JOB_DATA__CONLL_TAG_COLUMN", DATA__CONLL_TAG_COLUMN="3"),
    columns("no sentence", "-DOCSTART-\n\n", "a.conll has no rows"),
    columns("not UTF-8", "ä O\n", "is not ascii text", "JOB_DATA__ENCODING", DATA__ENCODING="ascii"),
    Bad(
        "columns for another task", "text-classification", b"a O\nb B-A\n", ("words with their tags", "JOB_TASK"), {}, 64, "a.conll"
    ),
]
PAIRED = [
    pair("chosen column missing", "has no column 'better'", "JOB_DATA__CHOSEN_COLUMN", changes={"DATA__CHOSEN_COLUMN": "better"}),
    pair("prompt column missing", "no column 'ask'", "JOB_DATA__PROMPT_COLUMN", changes={"DATA__PROMPT_COLUMN": "ask"}),
    pair("text beside messages", "row 13", "both have to be texts, or both lists", prompt="q", chosen="yes", rejected=[NO]),
    pair("rejected is empty", "the rejected answer is empty", prompt="q", chosen="yes", rejected=" "),
    pair(
        "ends with the user",
        "row 1",
        "the chosen conversation does not end with the assistant",
        prompt=[USER],
        chosen=[YES, USER],
        rejected=[NO],
    ),
    pair("unknown role", "the role 'bot'", prompt=[USER], chosen=[{"role": "bot", "content": "a"}], rejected=[NO]),
    pair(
        "content is a number",
        "message 2",
        "as content where a text was expected",
        prompt=[USER],
        chosen=[YES | {"content": 3}],
        rejected=[NO],
    ),
    pair(
        "rejected is missing",
        "1 of 13 train examples (7.69%) have no chosen and rejected",
        "JOB_LIMITS__MAX_EMPTY_SHARE",
        prompt="q",
        chosen="a",
    ),
    pair(
        "the same answer twice",
        "have the same answer twice, or one",
        "JOB_LIMITS__MAX_MASKED_SHARE",
        prompt="q",
        chosen="a",
        rejected="a",
    ),
    pair(
        "answers cut off",
        "one of which nothing is left after cutting",
        "JOB_LIMITS__MAX_MASKED_SHARE",
        prompt="q" * 300,
        chosen="a",
        rejected="b",
        changes={"LIMITS__MAX_TRUNCATED_SHARE": "1"},
    ),
    pair("reward: the same answer twice", "have the same answer twice", task="reward", prompt="q", chosen="a", rejected="a"),
    pair("reward: ShareGPT", "ShareGPT", task="reward", prompt=[USER], chosen=[{"from": "gpt", "value": "a"}], rejected=[NO]),
    pair(
        "no chat template",
        "has no chat template",
        "JOB_DATA__CHAT_TEMPLATE",
        code=64,
        prompt=[USER],
        chosen=[YES],
        rejected=[NO],
        task="dpo-bare",
    ),
]
EMBEDDED = [
    texts("anchor column missing", "no column 'query'", "JOB_DATA__ANCHOR_COLUMN", DATA__ANCHOR_COLUMN="query"),
    texts("positive column missing", "no column 'doc'", "JOB_DATA__POSITIVE_COLUMN", DATA__POSITIVE_COLUMN="doc"),
    texts("negative column missing", "no column 'bad'", "JOB_DATA__NEGATIVE_COLUMN", DATA__NEGATIVE_COLUMN="bad"),
    texts("anchor is a list", "row 1, column 'anchor'", "a list where text", rows=[{"anchor": ["a"], "positive": "b"}]),
    texts("empty positive", "have no anchor and positive", "JOB_LIMITS__MAX_EMPTY_SHARE", rows=[{"anchor": "a", "positive": " "}]),
    texts("no token in any text", "no token in any of the train texts", rows=[{"anchor": "\u200b", "positive": "\u200b"}] * 9),
    texts("all texts cut", "more tokens than fit", "JOB_TRAIN__MAX_SEQ_LENGTH", TRAIN__MAX_SEQ_LENGTH="3"),
]
SETTINGS = [
    ({"TASK": "ner"}, "JOB_TASK"),
    ({"TAGGING__LABEL_PIECES": "last"}, "JOB_TAGGING__LABEL_PIECES"),
    ({"PREFERENCE__BETA": "0"}, "JOB_PREFERENCE__BETA"),
    ({"PREFERENCE__LOSS": "kto"}, "JOB_PREFERENCE__LOSS"),
    ({"PREFERENCE__LOSS": "ipo", "PREFERENCE__LABEL_SMOOTHING": "0.1"}, "JOB_PREFERENCE__LABEL_SMOOTHING"),
    ({"EMBEDDING__POOLING": "sum"}, "JOB_EMBEDDING__POOLING"),
    ({"DATA__CONLL_TAG_COLUMN": "0"}, "JOB_DATA__CONLL_TAG_COLUMN"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    chat = language.write_llama(folder / "chat")
    return {"words": write_tokenizer(folder / "bert"), "chat": chat, "bare": language.write_llama(folder / "bare", template=None)}


@pytest.mark.parametrize("bad", [*TAGGING, *PAIRED, *JUDGED, *EMBEDDED], ids=lambda bad: f"{bad.task}: {bad.name}")
def test_bad_data_is_named_with_its_remedy(bad, tmp_path, models):
    kind = "bare" if bad.task.endswith("-bare") else "chat" if bad.task in {"dpo", "kto", "reward"} else "words"
    changes = {"TASK": bad.task.removesuffix("-bare"), **bad.changes}
    run_dir = tasks.place(tmp_path, models[kind], {"train": {bad.file: bad.content}}, **changes)
    with pytest.raises(JobError) as caught:
        main(run_dir, root.load(tiny.environ(tmp_path, **changes)))
    assert caught.value.exit_code == bad.code, str(caught.value)
    assert caught.value.message
    assert caught.value.hint
    for words in bad.says:
        assert words in str(caught.value)
    assert not run_dir.prepared.exists()


@pytest.mark.parametrize(("changes", "says"), SETTINGS, ids=lambda value: json.dumps(value) if isinstance(value, dict) else "")
def test_bad_settings_are_named(changes, says, tmp_path):
    with pytest.raises(SettingsError, match=says) as caught:
        root.load(tiny.environ(tmp_path, **changes))
    assert caught.value.exit_code == 64


def test_the_table_is_long_enough():
    names = {(bad.task, bad.name) for bad in [*TAGGING, *PAIRED, *JUDGED, *EMBEDDED]}
    assert len(names) == len(TAGGING) + len(PAIRED) + len(JUDGED) + len(EMBEDDED)
    assert len(names) + len(SETTINGS) >= 50
