import torch
from transformers import AutoModel, AutoTokenizer

from job.demo.corpus import make_reviews, write_csv
from job.workers import demo


def test_model_folder_is_one_that_a_user_would_bring(tmp_path):
    write_csv(tmp_path / "data" / "train.csv", make_reviews(150, 1))
    demo.write_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModel.from_pretrained(tmp_path / "model")
    encoded = tokenizer("The soup was not bad.", return_tensors="pt")
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])[:: len(encoded["input_ids"][0]) - 1] == ["[CLS]", "[SEP]"]
    assert model.config.vocab_size == len(tokenizer)
    assert model(**encoded).last_hidden_state.shape[-1] == 128
    assert [path.suffix for path in (tmp_path / "model").glob("model*")] == [".safetensors"]


def test_same_bytes_each_time(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write_csv(folder / "data" / "train.csv", make_reviews(150, 1))
        demo.write_model(folder)
    one, two = ({path.name: path.read_bytes() for path in (folder / "model").iterdir()} for folder in folders)
    assert one == two


def test_what_is_not_known_is_spelled():
    tokenizer = demo.make_tokenizer(["good soup", "good bread", "a god"])
    assert tokenizer.tokenize("good gods") == ["good", "g", "##o", "##d", "##s"]


def test_same_weights_each_time():
    one, two = demo.make_model(50), demo.make_model(50)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_sinusoids():
    table = demo.sinusoids(10, 8)
    assert table.shape == (10, 8)
    assert torch.equal(table[0], torch.tensor([0.0] * 4 + [1.0] * 4))
