"""Encoder-decoders: the losses of transformers over 20 steps, the recipe on two processes, scores made again from the published folder, bad inputs."""

import json
from dataclasses import dataclass, field

import pyarrow.parquet as pq
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from job.errors import JobError, SettingsError
from job.settings import resolved, root
from job.workers import train
from job.workers.prepare import main
from tests.integration.test_language_reference import STEP, STEPS, by_hand, ours, padded, start
from tests.support import jobs, language, recipes, seq2seq, tasks, tiny
from tests.support.minihub import MiniHub

# Two threads that wait for each other on a busy machine make milliseconds of what takes microseconds.
torch.set_num_threads(1)

SMALL = {
    "JOB_TRAIN__MAX_STEPS": "60",
    "JOB_EVAL__EVERY_STEPS": "30",
    "JOB_TRAIN__LEARNING_RATE": "1e-2",
    "JOB_PARALLEL__WORKERS_PER_NODE": "2",
    "JOB_PARALLEL__THREADS_PER_WORKER": "1",
    "JOB_EVAL__MAX_NEW_TOKENS": "24",
    "JOB_TRAIN__PRECISION": "fp32",  # what is written is written again below, in what a user has
    "JOB_LIMITS__MAX_LEAKED_SHARE": "1",
}


@pytest.mark.parametrize("kind", seq2seq.CONFIGS)
def test_the_losses_are_those_of_transformers(tmp_path, kind):
    data = {split: ("a.jsonl", seq2seq.lines(96, seed, 12)) for seed, split in enumerate(("train", "eval"))}
    seq2seq.write_model(tmp_path / "model", kind)
    run_dir, settings = language.prepared(tmp_path, data, TASK="seq2seq", **STEP, LIMITS__MAX_LEAKED_SHARE="1")
    task, model = start(run_dir, settings)
    found, feed = ours(run_dir, settings, model, task)
    batches = []
    for number in range(STEPS):
        rows = [feed._dataset[int(at)] for at in feed[number].examples]
        ids = [row["input_ids"] for row in rows]
        mask = padded([[1] * len(each) for each in ids], 0)
        labels = padded([row["target_ids"] for row in rows], -100)
        batches.append({"input_ids": padded(ids, 0), "attention_mask": mask, "labels": labels})
    assert any((batch["labels"] == -100).any() for batch in batches)
    _, reference = start(run_dir, settings)
    assert found == pytest.approx(by_hand(reference, batches), rel=2e-5, abs=2e-6)
    assert min(found[-5:]) < found[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The recipe as it stands but for its size, by the whole job on two processes: the published folder."""
    folder = tmp_path_factory.mktemp("seq2seq")
    (folder / "summaries").mkdir()
    for split, count in (("train", 400), ("test", 41)):
        (folder / f"summaries/{split}.jsonl").write_bytes(seq2seq.lines(count, count))
    with MiniHub() as hub:
        hub.add("model", "google-t5/t5-small", recipes.contents(seq2seq.write_model(folder / "t5", "t5")))
        about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
        ended = jobs.run({**recipes.read("seq2seq"), **SMALL, **about_hub}, folder / "log")
    assert ended.code == 0, ended.output
    return jobs.published(folder / "published", "seq2seq")


def report(model, document):
    return json.loads((model / "report" / document).read_bytes())


def test_scores_are_those_of_the_published_folder(finished):
    """As a user loads it, one text at a time: what is written, and ROUGE and BLEU of all of it, each example counted once."""
    scores, test = report(finished, "metrics.json"), seq2seq.pairs(41, 41)
    table = pq.read_table(finished / "report/predictions.parquet").to_pydict()
    assert table["wanted"] == [pair["target"] for pair in test]
    tokenizer, model = AutoTokenizer.from_pretrained(finished), AutoModelForSeq2SeqLM.from_pretrained(finished)
    for pair, written in zip(test, table["written"], strict=True):
        text = tokenizer(f"summarize: {pair['text']}", truncation=True, return_tensors="pt")
        made = model.generate(**text, max_new_tokens=24)
        assert tokenizer.decode(made[0], skip_special_tokens=True) == written
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    rouges = [scorer.score(*both)["rougeL"].fmeasure for both in zip(table["wanted"], table["written"], strict=True)]
    metrics = scores["metrics"]
    assert metrics["rouge_l"] == pytest.approx(sum(rouges) / 41)
    assert metrics["bleu"] == pytest.approx(BLEU().corpus_score(table["written"], [table["wanted"]]).score)
    total = sum(loss * tokens for loss, tokens in zip(table["loss"], table["tokens"], strict=True))
    assert metrics["loss"] == pytest.approx(total / sum(table["tokens"]))
    assert metrics["num_tokens"] == sum(len(tokenizer(pair["target"])["input_ids"]) for pair in test)


def test_it_learned_and_the_report_says_so(finished):
    scores = report(finished, "metrics.json")
    metrics, untrained = scores["metrics"], scores["baselines"]["untrained"]
    assert (scores["main_metric"], scores["num_examples"], scores["split"]) == ("loss", 41, "test")
    assert scores["interval"]["low"] <= metrics["loss"] <= scores["interval"]["high"]
    assert metrics["loss"] < untrained["loss"] / 4
    assert metrics["rouge_l"] > 0.5
    assert untrained["rouge_l"] < 0.1
    page, card = (finished / "report/report.html").read_text(), (finished / "README.md").read_text()
    assert "pipeline_tag: text2text-generation" in card
    assert "ROUGE L" in card
    assert "Farthest from the target" in page
    assert page.count("⟦") == 2 * 3  # a record's title tells what the marks mean
    assert "→" in page
    records = [json.loads(line) for line in (finished / "report/metrics.jsonl").read_text().splitlines()]
    assert [len(record["samples"]) for record in records if "samples" in record] == [3, 3]
    assert sum("eval/rouge_l" in record for record in records) == 2
    assert report(finished, "training.json")["engine"]["world_size"] == 2
    code = card.split("```python\n")[1].split("```")[0].replace("path/or/hub-name/of/this/model", str(finished))
    exec(code, {})


@dataclass(frozen=True)
class Bad:
    name: str
    rows: list
    says: tuple[str, ...]
    changes: dict = field(default_factory=dict)
    code: int = 65
    model: str = "t5"
    file: tuple[str, bytes] | None = None


GOOD = seq2seq.pairs(20)
LONG = {"text": "the film", "target": "the film was good " * 9}
TABLE = [
    Bad("no texts", [{"target": "a"}], ("no column 'text'; it has 'target'", "JOB_DATA__TEXT_COLUMN")),
    Bad("no targets", [{"text": "a"}], ("no column 'target'; it has 'text'", "JOB_DATA__TARGET_COLUMN")),
    Bad("another target column", GOOD, ("no column 'summary'", "JOB_DATA__TARGET_COLUMN"), {"DATA__TARGET_COLUMN": "summary"}),
    Bad("a target that is a list", [*GOOD, {"text": "a", "target": ["b"]}], ("a.jsonl, row 21, column 'target'", "a list where text")),
    Bad("a text that is a number", [*GOOD, {"text": 3, "target": "b"}], ("a.jsonl, row 21, column 'text'", "a number where text")),
    Bad("an empty target", [*GOOD, {"text": "a", "target": " "}], ("1 of 21 train examples (4.76%) have no text and target", "train-21", "JOB_LIMITS__MAX_EMPTY_SHARE")),
    Bad("a missing text", [*GOOD, {"text": None, "target": "a"}], ("have no text and target", "train-21")),
    Bad("nothing but empty targets", [{"text": "a", "target": ""}] * 9, ("none has text and target",), {"LIMITS__MAX_EMPTY_SHARE": "1"}),
    Bad("no token in a target", [*GOOD, {"text": "a", "target": "\u200b"}], ("have a target without a token", "train-21", "JOB_LIMITS__MAX_MASKED_SHARE"), model="words"),
    Bad("no token in any text", [{"text": "\u200b", "target": "film"}] * 20, ("finds no token in any of the train texts",), {"DATA__TEXT_PREFIX": "film"}, model="words"),
    Bad("targets that lose their end", [*GOOD, LONG, LONG], ("have a target over 24 tokens, which loses its end", "JOB_LIMITS__MAX_CUT_TARGET_SHARE allows 5.00%", "JOB_TRAIN__MAX_TARGET_LENGTH"), {"TRAIN__MAX_TARGET_LENGTH": "24"}),
    Bad("texts that lose most", [{"text": LONG["target"], "target": "a"}] * 20, ("more tokens than fit", "JOB_TRAIN__MAX_SEQ_LENGTH"), {"TRAIN__MAX_SEQ_LENGTH": "8"}),
    Bad("the same texts on both sides", [{"text": "the same", "target": str(at)} for at in range(20)], ("also stands in the training data", "JOB_LIMITS__MAX_LEAKED_SHARE")),
    Bad("one pair alone", GOOD[:1], ("too few to set any aside",)),
    Bad("plain text", [], ("a.txt is plain text", "also reads target"), file=("a.txt", b"the film\n")),
    Bad("a CSV file without the column", [], ("a.csv has no column 'target'; it has 'text', 'label'",), file=("a.csv", b"text,label\na,b\n")),
    Bad("a broken line", [], ("a.jsonl, line 2", "not valid JSON"), file=("a.jsonl", b'{"text": "a", "target": "b"}\n{"text": \n')),
    Bad("not UTF-8", [], ("a.csv", "JOB_DATA__ENCODING"), file=("a.csv", b"text,target\ncaf\xe9,b\n")),
    Bad("the same column twice", GOOD, ("name the same column",), {"DATA__TARGET_COLUMN": "text"}, 64),
    Bad("a model without a decoder of its own", GOOD, ("models of type 'llama' are none", "JOB_TASK=sft"), code=64, model="llama"),
    Bad("targets longer than the decoder", GOOD, ("decoder has positions for 128", "JOB_TRAIN__MAX_TARGET_LENGTH"), {"TRAIN__MAX_TARGET_LENGTH": "129"}, 64, "bart"),
    Bad("no room for a target", GOOD, ("special tokens alone take 2",), {"TRAIN__MAX_TARGET_LENGTH": "2"}, 64, "bart"),
    Bad("texts longer than the encoder", GOOD, ("positions for 128", "JOB_TRAIN__MAX_SEQ_LENGTH"), {"TRAIN__MAX_SEQ_LENGTH": "129"}, 64, "bart"),
    Bad("no end-of-text token", GOOD, ("no end-of-text token",), code=64, model="endless"),
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {kind: seq2seq.write_model(folder / kind, kind) for kind in seq2seq.CONFIGS}
    made["llama"] = language.write_llama(folder / "llama")
    # A tokenizer of words finds nothing in a space without width; one of bytes finds something in everything.
    made["words"] = tiny.write_model(folder / "words")
    made["endless"] = seq2seq.write_model(folder / "endless", "t5")
    (made["words"] / "config.json").write_bytes((made["t5"] / "config.json").read_bytes())
    for name, change in (("words", {"eos_token": "[SEP]"}), ("endless", {"eos_token": None})):
        path = made[name] / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return made


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_bad_data_is_named_with_its_remedy(bad, tmp_path, models):
    (tmp_path / "model").symlink_to(models[bad.model])
    file = bad.file or ("a.jsonl", language.json_lines(bad.rows))
    with pytest.raises(JobError) as caught:
        main(*language.write_run(tmp_path, {"train": file}, TASK="seq2seq", **bad.changes))
    assert caught.value.exit_code == bad.code, str(caught.value)
    told = f"{caught.value.message} {caught.value.hint}"
    assert [each for each in bad.says if each not in told] == []
    assert caught.value.hint
    assert not (tmp_path / "run/prepared").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TASK": "seq2sec"}, "JOB_TASK"),
        ({"TRAIN__MAX_TARGET_LENGTH": "1"}, "JOB_TRAIN__MAX_TARGET_LENGTH"),
        ({"EVAL__MAX_NEW_TOKENS": "0"}, "JOB_EVAL__MAX_NEW_TOKENS"),
        ({"EVAL__NUM_BEAMS": "0"}, "JOB_EVAL__NUM_BEAMS"),
        ({"EVAL__GENERATE": "maybe"}, "JOB_EVAL__GENERATE"),
        ({"LIMITS__MAX_CUT_TARGET_SHARE": "2"}, "JOB_LIMITS__MAX_CUT_TARGET_SHARE"),
    ],
)
def test_bad_settings_are_named(changes, says, tmp_path):
    with pytest.raises(SettingsError, match=says):
        root.load(tiny.environ(tmp_path, **changes))


SPREAD = {
    "zero_optimization": {
        f"stage3_{name}": 0 for name in ("param_persistence_threshold", "max_live_parameters", "max_reuse_distance")
    }
}
"""Without it, weights as small as these are gathered once and kept, and no forward pass is a collective."""
ENGINES = {
    "ddp": {},
    "zero2": {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": "2"},
    "zero3": {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": "3"},
}


def long_and_short(count, seed):
    """Half of the targets are one short word, so ranks are done with their texts at unlike times."""
    found = seq2seq.pairs(count, seed)
    negative = tuple(tiny.WORDS["negative"])
    return language.json_lines(
        [{**pair, "target": "no" if pair["target"].endswith(negative) else pair["target"]} for pair in found]
    )


def test_engines_train_and_write_the_same(tmp_path):
    """One process, replicas, ZeRO: with spread weights each written token is a collective, and ranks have to wait for each other."""
    common = {"TASK": "seq2seq", "EVAL__BEST_METRIC": "none", "EVAL__MAX_NEW_TOKENS": "24"}
    data = {"train": {"a.jsonl": long_and_short(400, 0)}, "eval": {"e.jsonl": long_and_short(14, 1)}}
    learned = {"TRAIN__MAX_STEPS": "110", "TRAIN__LEARNING_RATE": "1e-2", "EVAL__EVERY_STEPS": "1000"}
    start = tasks.prepared(tmp_path / "start", seq2seq.write_model(tmp_path / "model", "t5"), data, **common, **learned)
    train.main(start, resolved.read(start.settings))
    (tmp_path / "spread.json").write_text(json.dumps(SPREAD))
    ENGINES["zero3"]["PARALLEL__DEEPSPEED_CONFIG"] = str(tmp_path / "spread.json")
    # A text or two at a time, so that the longest of them is not always as long.
    more = {"TRAIN__MAX_STEPS": "4", "TRAIN__LEARNING_RATE": "1e-3", "EVAL__EVERY_STEPS": "2", "EVAL__MICRO_BATCH_TOKENS": "40"}
    runs = {
        name: tasks.prepared(tmp_path / name, start.model, data, **common, **more, **engine)
        for name, engine in {"single": {}, **ENGINES}.items()
    }
    train.main(runs["single"], resolved.read(runs["single"].settings))
    tiny.train_all([runs[name] for name in ENGINES], 2)
    found = {name: evaluations(run) for name, run in runs.items()}
    assert [record["step"] for record in found["single"]] == [2, 4]
    assert 1.5 < found["single"][0]["eval/written_words"] < 4.5, "all texts are written equally long: nobody waits for anybody"
    for name in ENGINES:
        for record, alone in zip(found[name], found["single"], strict=True):
            assert record["eval/loss"] == pytest.approx(alone["eval/loss"], rel=1e-3), name
            assert record["eval/num_tokens"] == alone["eval/num_tokens"]
            assert len(record["samples"]) == len(alone["samples"]) == 3
            # Two tokens that are all but equally likely may change places by rounding.
            assert record["eval/rouge_l"] == pytest.approx(alone["eval/rouge_l"], abs=0.1), name


def evaluations(run_dir):
    records = [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
    return [record for record in records if "eval/loss" in record]
