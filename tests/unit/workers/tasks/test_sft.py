"""Conversations from files to records, by the prepare program; the published model knows where to stop, and answers are shown."""

import pytest
from datasets import load_from_disk

from job.errors import DataError
from job.run_dir import read_json
from tests.support import language

CHATS = {"train": ("a.jsonl", language.chats(12)), "eval": ("e.jsonl", language.chats(5, 1))}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return language.prepared(tmp_path_factory.mktemp("sft"), CHATS, TASK="sft", EVAL__NUM_SAMPLES="2", EVAL__SAMPLE_TOKENS="5")


def test_answers_are_trained_and_shown(run):
    run_dir, _ = run
    ledger = read_json(run_dir.ledger)
    train = load_from_disk(str(run_dir.prepared / "train"))
    assert ledger["splits"]["train"]["trained_tokens"] == sum(sum(row["targets"]) for row in train)
    assert "The assistant's turns end with '<|im_end|>'." in ledger["notes"]
    assert [sample["text"].count("⟦") for sample in ledger["samples"]] == [1, 2, 1]
    assert ledger["samples"][0]["text"].startswith("<|im_start|>system\nanswer in few words<|im_end|>")


def test_the_model_learns_its_stop_and_answers_the_same_prompts(run):
    run_dir, settings = run
    task, model = language.task_of(run_dir, settings)
    assert model.generation_config.eos_token_id == [2, 4]
    first, second = task.samples(model)
    assert first["text"].startswith("<|im_start|>system")
    assert "<|im_start|>assistant\n\n→ " in first["text"]
    assert [first, second] == task.samples(model)


@pytest.mark.parametrize(("limit", "fails"), [("0", True), ("0.9", False)])
def test_conversations_whose_answers_are_cut_off_are_held_against_the_limit(tmp_path, limit, fails):
    settings = {"TASK": "sft", "TRAIN__MAX_SEQ_LENGTH": "48", "LIMITS__MAX_TRUNCATED_SHARE": "1", "LIMITS__MAX_MASKED_SHARE": limit}
    run_dir, chosen = language.write_run(tmp_path, CHATS, **settings)
    from job.workers import prepare

    if fails:
        with pytest.raises(DataError, match=r"nothing that is trained on; JOB_LIMITS__MAX_MASKED_SHARE allows 0.00%"):
            prepare.main(run_dir, chosen)
        return
    prepare.main(run_dir, chosen)
    assert read_json(run_dir.ledger)["splits"]["train"]["masked_dropped"] > 0


def test_packed_conversations(tmp_path):
    run_dir, _ = language.prepared(tmp_path, CHATS, TASK="sft", DATA__PACKING="on")
    train = load_from_disk(str(run_dir.prepared / "train"))
    assert len(train) < 12
    assert sum(map(len, train["pieces"])) == 12
