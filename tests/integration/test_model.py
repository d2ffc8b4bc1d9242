"""Loading of models, on folders made by transformers itself: heads, pad tokens, vocabularies, exactness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from job.errors import SettingsError
from job.records import PreparedData
from job.workers.model import load_config, load_tokenizer, max_length
from job.workers.tasks import make_task
from job.workers.weights import Head, load_model, load_published
from tests.support import model_folders, tiny

TWO = Head(("negative", "positive"), "single_label_classification")
KINDS = ["distilbert", "bert", "gpt2", "roberta"]
TEXTS = ["good film", "the film was a sad story about people and places", "bad", "music that went on for long"]


def prepared(problem="single_label", labels=("negative", "positive"), counts=(3, 1)):
    return PreparedData({"train": 4, "eval": 1}, {"train": 9, "eval": 3}, problem, list(labels), list(counts), 40, "0")


def loaded(folder: Path, head=TWO, *, from_config=False, **more: str):
    settings = tiny.settings(folder, **more)
    tokenizer = load_tokenizer(settings, folder)
    torch.manual_seed(settings.run.seed)
    result = load_model(folder, tokenizer, head, from_config=from_config)
    return settings, tokenizer, result.model.eval(), result.notes


def rows(tokenizer, texts=TEXTS):
    found = []
    for at, text in enumerate(texts):
        encoded = tokenizer(text, truncation=True)
        found.append({**{name: encoded[name] for name in encoded if name != "attention_mask"}, "label": at % 2})
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("from_config", [False, True])
def test_a_padded_batch_gives_the_logits_of_single_examples(tmp_path, kind, from_config):
    settings, tokenizer, model, _ = loaded(model_folders.write(tmp_path, kind), from_config=from_config)
    task = make_task(settings, prepared(), tokenizer)
    with torch.no_grad():
        together = model(**task.collate(rows(tokenizer)).inputs).logits
        alone = torch.cat([model(**task.collate([row]).inputs).logits for row in rows(tokenizer)])
    assert together.shape == (4, 2)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert together.std(dim=0).min() > 1e-2  # the examples differ, so equal means something


@pytest.mark.parametrize("choice", ["eos", "add", "auto"])
def test_gpt2_gets_a_pad_token(tmp_path, choice):
    folder = model_folders.write(tmp_path, "gpt2")
    _, tokenizer, model, _ = loaded(folder, MODEL__PAD_TOKEN=choice)
    rows_before = len(model_folders.NAMES)
    expected = ("[PAD]", 0) if choice == "add" else ("<|endoftext|>", 4)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == expected
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.get_input_embeddings().num_embeddings == rows_before
    assert tokenizer.padding_side == "right"


@pytest.mark.parametrize("choice", ["eos", "add"])
def test_gpt2_padding_does_not_change_logits(tmp_path, choice):
    """Also for texts that end in, or consist of, the end-of-text token, which the model takes for padding when it is that."""
    folder = model_folders.write(tmp_path, "gpt2")
    more = {"MODEL__PAD_TOKEN": choice, "MODEL__PAD_TOKEN_TEXT": "<pad>", "MODEL__TRUNCATION_SIDE": "left"}
    settings, tokenizer, model, _ = loaded(folder, **more)
    texts = [*TEXTS, "good film <|endoftext|>", "<|endoftext|>", "<|endoftext|> bad film", " ".join(["good"] * 60)]
    task = make_task(settings, prepared(), tokenizer)
    with torch.no_grad():
        together = model(**task.collate(rows(tokenizer, texts)).inputs).logits
        alone = torch.cat([model(**task.collate([row]).inputs).logits for row in rows(tokenizer, texts)])
        # The reference is the model without padding and without a pad token: the logits of the last token.
        model.config.pad_token_id = None
        plain = torch.cat([model(input_ids=torch.tensor([row["input_ids"]])).logits for row in rows(tokenizer, texts)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    regular = [0, 1, 2, 3, 6, 7]
    torch.testing.assert_close(together[regular], plain[regular], rtol=1e-5, atol=1e-6)
    # With end-of-text as pad token, a text that ends in it is read one token earlier, padded or not, in training as in use.
    assert torch.allclose(together[4], plain[4], atol=1e-6) == (choice == "add")
    torch.testing.assert_close(together[4] if choice == "eos" else plain[0], together[0], rtol=1e-5, atol=1e-6)


def test_an_added_pad_token_gets_a_row_and_the_rest_stays(tmp_path):
    folder = model_folders.write(tmp_path, "gpt2")
    more = {"MODEL__PAD_TOKEN": "add", "MODEL__PAD_TOKEN_TEXT": "<pad>"}
    _, tokenizer, model, _ = loaded(folder, **more)
    before = transformers.AutoModel.from_pretrained(folder).get_input_embeddings().weight
    after = model.get_input_embeddings().weight
    assert tokenizer.pad_token_id == len(model_folders.NAMES) == model.config.pad_token_id
    assert after.shape[0] == model.config.vocab_size == len(before) + 1
    assert torch.equal(after[:-1], before)
    _, _, again, _ = loaded(folder, **more)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_an_added_pad_token_survives_the_round_trip(tmp_path):
    folder = model_folders.write(tmp_path / "model", "gpt2")
    more = {"MODEL__PAD_TOKEN": "add", "MODEL__PAD_TOKEN_TEXT": "<pad>", "MODEL__TRUNCATION_SIDE": "left"}
    _, tokenizer, model, _ = loaded(folder, **more)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    for name in ("pad_token", "pad_token_id", "padding_side", "truncation_side", "model_max_length", "model_input_names"):
        assert getattr(found, name) == getattr(tokenizer, name), name
    again = load_published(tmp_path / "saved")
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))
    pipe = transformers.pipeline("text-classification", model=str(tmp_path / "saved"), batch_size=4)
    assert {answer["label"] for answer in pipe(TEXTS)} <= {"negative", "positive"}


def test_the_pad_token_of_the_configuration_comes_before_end_of_text(tmp_path):
    """RoBERTa numbers positions from its pad id: another one would shift every position of the pretrained model."""
    folder = model_folders.write(tmp_path, "roberta")
    model_folders.write_tokenizer(folder, "gpt2")
    tokenizer = load_tokenizer(tiny.settings(folder), folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "[PAD]")


@pytest.mark.parametrize(("kind", "keeps"), [("bert", True), ("distilbert", False), ("roberta", False), ("gpt2", False)])
def test_segment_ids_only_for_models_that_know_them(tmp_path, kind, keeps):
    folder = model_folders.write(tmp_path, kind)
    model_folders.write_tokenizer(folder, kind, model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    tokenizer = load_tokenizer(tiny.settings(folder), folder)
    assert ("token_type_ids" in tokenizer("good film", "bad film")) == keeps


def test_a_tokenizer_with_preset_lengths_does_not_cut(tmp_path):
    folder = model_folders.write(tmp_path, "bert")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {"strategy": {"Fixed": 30}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    tokenizer = load_tokenizer(tiny.settings(folder), folder)
    assert len(tokenizer.backend_tokenizer.encode("good film was a story").ids) == 7


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_input_is_the_longest_that_works(tmp_path, kind):
    settings, tokenizer, model, _ = loaded(model_folders.write(tmp_path, kind))
    limit = max_length(settings, tokenizer, load_config(tmp_path))
    assert limit == (39 if kind == "roberta" else 40) == tokenizer.model_max_length
    model(input_ids=torch.full((1, limit), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 7))
    with pytest.raises(SettingsError, match=rf"{limit + 1} tokens, and the model has positions for {limit}"):
        load_tokenizer(tiny.settings(tmp_path, TRAIN__MAX_SEQ_LENGTH=str(limit + 1)), tmp_path)


def test_a_new_head_is_named_and_seeded(tmp_path):
    folder = model_folders.write(tmp_path, "distilbert", "AutoModelForMaskedLM")
    _, _, model, notes = loaded(folder)
    assert notes[0].startswith(
        "The classification head is new and starts from random weights: classifier.bias, classifier.weight, pre_"
    )
    assert notes[1].startswith("Not used from the checkpoint: vocab_")
    _, _, again, _ = loaded(folder)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))
    _, _, other, _ = loaded(folder, RUN__SEED="43")
    assert not torch.equal(model.classifier.weight, other.classifier.weight)
    body = transformers.AutoModel.from_pretrained(folder).state_dict()
    assert all(torch.equal(tensor, model.distilbert.state_dict()[name]) for name, tensor in body.items())


def test_a_pooler_may_be_new(tmp_path):
    _, _, _, notes = loaded(model_folders.write(tmp_path, "bert", "AutoModelForMaskedLM"))
    assert "bert.pooler.dense.weight" in notes[0]


def test_a_head_of_another_size_is_replaced_and_said(tmp_path):
    folder = model_folders.write(tmp_path, "distilbert", "AutoModelForSequenceClassification", num_labels=5)
    _, _, model, notes = loaded(folder)
    assert model.config.num_labels == 2
    changed = "classifier.bias [5] → [2]; classifier.weight [5, 16] → [2, 16]"
    assert notes == (f"The checkpoint's head is for another number of labels, so a new one starts from random weights: {changed}.",)


def test_a_head_of_the_same_size_is_kept_and_its_names_compared(tmp_path):
    names = {0: "positive", 1: "negative"}
    folder = model_folders.write(tmp_path, "distilbert", "AutoModelForSequenceClassification", id2label=names)
    _, _, model, notes = loaded(folder)
    assert len(notes) == 1
    assert "positive, negative → negative, positive" in notes[0]
    assert "JOB_DATA__LABELS" in notes[0]
    stored = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    assert torch.equal(model.classifier.weight, stored.classifier.weight)
    _, _, _, notes = loaded(folder, Head(("positive", "negative"), "single_label_classification"))
    assert notes == ()


def test_the_configuration_names_labels_and_problem(tmp_path):
    folder = model_folders.write(tmp_path, "bert")
    _, _, model, _ = loaded(folder, Head(("a", "b", "c"), "multi_label_classification"))
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert (model.config.num_labels, model.config.problem_type) == (3, "multi_label_classification")


def test_half_precision_weights_are_trained_in_float32(tmp_path):
    folder = model_folders.write(tmp_path, "bert")
    transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    _, _, model, _ = loaded(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_remote_code_is_not_needed_for_a_known_type(tmp_path):
    folder = model_folders.write(tmp_path, "bert")
    content = json.loads((folder / "config.json").read_text())
    content["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "evil.py").write_text("raise SystemExit('code of the model was run')")
    _, _, model, _ = loaded(folder)
    assert type(model).__name__ == "BertForSequenceClassification"


def test_loading_says_nothing_by_itself(tmp_path, capfd):
    folder = model_folders.write(tmp_path, "distilbert", "AutoModelForMaskedLM")
    capfd.readouterr()
    loaded(folder)
    assert capfd.readouterr() == ("", "")
