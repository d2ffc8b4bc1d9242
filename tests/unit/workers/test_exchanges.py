import pytest

from job.errors import DataError, SettingsError
from job.workers.exchanges import Exchanges, parse
from tests.support import language, tiny

CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]


def exchanges(tmp_path, tokenizer=None, **settings):
    return Exchanges(tiny.settings(tmp_path, **settings), tokenizer or language.tokenizer())


def test_a_plain_pair_is_closed_by_the_end_of_text(tmp_path):
    tokenizer = language.tokenizer(None)
    rendered = exchanges(tmp_path, tokenizer).render(("what is good", " the film"), "x")
    assert tokenizer.decode(rendered.input_ids) == "what is good the film</s>"
    trained = [token for token, target in zip(rendered.input_ids, rendered.targets, strict=True) if target]
    assert tokenizer.decode(trained) == " the film</s>"


def test_a_template_of_the_settings_takes_the_place_of_the_tokenizers(tmp_path):
    tokenizer = language.tokenizer("headers")
    source = language.TEMPLATES["marked"]
    made = exchanges(tmp_path, tokenizer, DATA__CHAT_TEMPLATE=source)
    assert tokenizer.chat_template == source
    assert "<|assistant|>" in made.render(CHAT, "x").text
    (note,) = made.notes({"messages": '[{"role": "user", "content": "hi"}]'}, "here")
    assert note == "The chat template is the settings'; the assistant's tokens are found by its generation marks."


def test_what_is_missing_is_a_setting(tmp_path):
    with pytest.raises(SettingsError, match="no chat template") as caught:
        exchanges(tmp_path, language.tokenizer(None)).render(CHAT, "x")
    assert "JOB_DATA__CHAT_TEMPLATE_FILE" in caught.value.hint
    endless = language.tokenizer(None)
    endless.eos_token = None
    with pytest.raises(SettingsError, match="no end-of-text token"):
        exchanges(tmp_path, endless).notes({"prompt": '"a"', "completion": '"b"'}, "here")


def test_a_fault_of_the_template_names_the_conversation(tmp_path):
    with pytest.raises(DataError, match="cannot be trained on with conversation train-7: it drops or changes message 1") as caught:
        exchanges(tmp_path, language.tokenizer("{{ 'x' }}")).render(CHAT, "train-7")
    assert "generation" in caught.value.hint


def test_without_an_answer_nothing_is_trained(tmp_path):
    assert not any(exchanges(tmp_path).render(CHAT[:1], "x").targets)


def test_a_place_is_named():
    with pytest.raises(DataError, match=r"a\.jsonl, row 2: a text where a list"):
        parse({"messages": '"hi"'}, "a.jsonl, row 2")
