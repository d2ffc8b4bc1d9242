"""The task on tiny models of two kinds: the loss is the library's, padding counts for nothing, texts are written as the library writes them."""

import json

import numpy as np
import pytest
import torch
from datasets import load_from_disk

from job.errors import CrashError, SettingsError
from job.run_dir import read_json
from job.workers.tasks.seq2seq import Seq2SeqAppraisal
from tests.support import language, seq2seq

# Two threads that wait for each other on a busy machine make milliseconds of what takes microseconds.
torch.set_num_threads(1)

FILES = {"train": ("a.jsonl", seq2seq.lines(30)), "eval": ("e.jsonl", seq2seq.lines(6, 1))}
SETTINGS = {"TASK": "seq2seq", "EVAL__NUM_SAMPLES": "2", "EVAL__MAX_NEW_TOKENS": "6", "LIMITS__MAX_LEAKED_SHARE": "1"}


@pytest.fixture(scope="module", params=seq2seq.CONFIGS)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    seq2seq.write_model(folder / "model", request.param)
    run_dir, settings = language.prepared(folder, FILES, **SETTINGS, DATA__TEXT_PREFIX="say:")
    task, model = language.task_of(run_dir, settings)
    return run_dir, task, model.eval(), load_from_disk(str(run_dir.prepared / "eval"))


def changed(made, **changes):
    """The same task with other settings of evaluation."""
    _, task, _, _ = made
    settings = task.settings.model_copy(update={"eval": task.settings.eval.model_copy(update=changes)})
    return type(task)(settings, task.prepared, task.tokenizer)


def alone(model, row):
    """Loss sum of a record by the library's own loss, without padding."""
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["target_ids"]])).loss
    return float(loss) * len(row["target_ids"])


def test_the_loss_is_the_librarys_and_padding_counts_for_nothing(made):
    _, task, model, rows = made
    batch = task.collate(list(rows))
    assert len({len(row["target_ids"]) for row in rows}) > 1, "nothing was padded"
    expected = [alone(model, row) for row in rows]
    assert float(task.loss_sum(model, batch).detach()) == pytest.approx(sum(expected), rel=1e-5)
    assert float(batch.weights.sum()) == sum(len(row["target_ids"]) for row in rows)
    assert (batch.labels == task.tokenizer.pad_token_id).sum() == 0
    with torch.no_grad():
        found = task.measure(model, batch)
    assert found["losses"] == pytest.approx(expected, rel=1e-5)
    assert found["tokens"].tolist() == [len(row["target_ids"]) for row in rows]


def test_what_is_written_does_not_depend_on_the_batch(made):
    _, task, model, rows = made
    with torch.no_grad():
        found = task.measure(model, task.collate(list(rows)))
    assert found["wanted"] == rows["target"][:]
    for row, written in zip(rows, found["written"], strict=True):
        made_alone = model.generate(torch.tensor([row["input_ids"]]), max_new_tokens=6, do_sample=False)
        assert written == task.tokenizer.decode(made_alone[0], skip_special_tokens=True).strip()
    metrics = task.metrics(found)
    assert {"loss", "perplexity", "token_accuracy", "rouge_l", "bleu", "chrf"} <= metrics.keys()
    assert "bits_per_byte" not in metrics
    json.dumps(metrics)


def test_wanted_texts_are_whole_whatever_they_hold(made):
    _, task, _, _ = made
    text = "ünïcode 😀 \0 and more"
    rows = [{"input_ids": [5], "target_ids": [6], "target": text}, {"input_ids": [5], "target_ids": [6], "target": "a"}]
    wanted = [bytes(row).rstrip(b"\0").decode() for row in task.collate(rows).extras["wanted"].numpy()]
    assert wanted == [text, "a"]
    assert "wanted" not in task.collate(rows, epoch=0).extras


def test_writing_can_be_left_out_and_searched_in_beams(made):
    _, _, model, rows = made
    without = changed(made, generate=False)
    with torch.no_grad():
        scores = without.measure(model, without.collate(list(rows)))
    assert "rouge_l" not in without.metrics(scores)
    assert Seq2SeqAppraisal(without).predictions(scores, rows).table.column_names == ["id", "loss", "tokens", "token_accuracy"]
    with pytest.raises(SettingsError, match="JOB_EVAL__GENERATE=false"):
        without.greater_is_better("rouge_l")
    beams, (row, *_) = changed(made, num_beams=3), rows
    ids = torch.tensor([row["input_ids"]])
    with torch.no_grad():
        expected = model.generate(ids, max_new_tokens=6, num_beams=3, do_sample=False)
        assert beams.write(model, ids, torch.ones_like(ids)) == [
            beams.tokenizer.decode(expected[0], skip_special_tokens=True).strip()
        ]


def test_metrics_have_directions(made):
    _, task, _, _ = made
    assert task.main_metric() == "loss"
    assert [task.greater_is_better(name) for name in ("loss", "rouge_l", "bleu")] == [False, True, True]
    with pytest.raises(SettingsError, match="JOB_EVAL__BEST_METRIC"):
        task.greater_is_better("rogue")


def test_the_ledger_tells_of_both_sides(made):
    run_dir, task, _, _ = made
    ledger = read_json(run_dir.ledger)
    train, rows = ledger["splits"]["train"], load_from_disk(str(run_dir.prepared / "train"))
    assert train["trained_tokens"] == sum(map(len, rows["target_ids"]))
    assert train["input_tokens"] == sum(map(len, rows["input_ids"]))
    assert train["input_tokens"] + train["trained_tokens"] == train["tokens_kept"]
    assert any("'say: ' stands before every text" in note for note in ledger["notes"])
    shown = ledger["samples"][0]["text"]
    assert shown.startswith(("say: ", "<s>say: "))
    target = task.tokenizer.decode(rows[0]["target_ids"])
    assert shown.endswith(f"⟦{target}⟧")
    assert target.endswith("</s>")


def test_prompts_are_answered_for_the_report(made):
    _, task, model, rows = made
    with torch.no_grad():
        first, second = task.samples(model)
    assert first["text"].startswith(f"{rows[0]['text']}\n→ ")
    assert second["text"].endswith(f"wanted: {rows[1]['target']}")


def test_the_appraisal_names_the_farthest_first(made):
    _, task, _, rows = made
    written = [rows[0]["target"], *["something else"] * 4, "in short it was"]
    ones = np.ones(6)
    scores = {"losses": ones, "tokens": ones, "correct": ones, "written": written, "wanted": rows["target"][:]}
    appraisal = Seq2SeqAppraisal(task)
    found = appraisal.predictions(scores, rows)
    assert found.table["rouge_l"][0].as_py() == 1
    assert [mistake["score"] for mistake in found.mistakes[:4]] == [0] * 4
    assert found.mistakes[4]["prediction"] == "in short it was"
    assert len(found.mistakes) == 5
    assert "'say: A text.'" in appraisal.usage
    appraisal.check_tokenizer(task.tokenizer, rows)
    with pytest.raises(CrashError, match="does not give the tokens"):
        appraisal.check_tokenizer(lambda text, **_: {"input_ids": [1]}, rows)


def test_the_model_stops_at_the_tokenizers_end(tmp_path):
    folder = seq2seq.write_model(tmp_path / "model", "t5")
    about = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**about, "eos_token_id": 7}))
    run_dir, settings = language.prepared(tmp_path, FILES, **SETTINGS)
    _, model = language.task_of(run_dir, settings)
    assert model.generation_config.eos_token_id == [7, 2]


@pytest.mark.parametrize("kind", seq2seq.CONFIGS)
def test_a_model_that_cannot_begin_is_refused_before_training(tmp_path, kind):
    seq2seq.write_model(tmp_path / "model", kind, decoder_start_token_id=None)
    run_dir, settings = language.prepared(tmp_path, FILES, **SETTINGS)
    with pytest.raises(SettingsError, match="cannot write targets") as caught:
        language.task_of(run_dir, settings)
    assert "decoder_start_token_id" in caught.value.hint
