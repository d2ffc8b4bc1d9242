import pytest

from job.errors import SettingsError
from job.storage.uri import Location, parse

HUB_SHA = "a" * 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/train.csv", ("file", "/data/train.csv")),
        ("./org/name", ("file", "./org/name")),
        ("../x", ("file", "../x")),
        ("folder/", ("file", "folder")),
        ("/", ("file", "/")),
        ("train.csv", ("file", "train.csv")),
        ("a/b/c", ("file", "a/b/c")),
        ("org/*.csv", ("file", "org/*.csv")),
        ("file:///data/a%20b", ("file", "/data/a b")),
        ("file://localhost/data/", ("file", "/data")),
        ("s3://bucket", ("s3", "", "bucket")),
        ("s3://bucket/", ("s3", "", "bucket")),
        ("s3://my.bucket-1/a/b#c?/*.csv", ("s3", "a/b#c?/*.csv", "my.bucket-1")),
        ("org/name", ("hub", "org/name")),
        ("hf://org/name", ("hub", "org/name")),
        ("hf://gpt2", ("hub", "gpt2")),
        ("hf://models/org/name", ("hub", "org/name")),
        (f"hf://org/name@{HUB_SHA}", ("hub", "org/name", "", HUB_SHA)),
        ("hf://datasets/org/name@refs/convert/parquet", ("hub", "org/name", "", "refs/convert/parquet", "dataset")),
        ("hf://datasets/imdb", ("hub", "imdb", "", "", "dataset")),
    ],
)
def test_locations(text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(text) == Location(text, *expected)


def test_what_exists_here_is_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("org/name").scheme == "hub"
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert parse("org/name") == Location("org/name", "file", "org/name")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\0b", "control"),
        ("gs://bucket/x", "gs://"),
        ("https://host/x", "https://"),
        ("~/x", "only a shell expands"),
        ("file://host/x", "names a host"),
        ("file://folder", "names a host"),
        ("file:///a%00b", "NUL"),
        ("s3:///x", "no valid bucket"),
        ("s3://a", "no valid bucket"),
        ("s3://key:secret@bucket/x", "no valid bucket"),
        ("s3://bucket/a/../b", "'..'"),
        ("s3://bucket//a", "empty part"),
        ("s3://bucket/a\\b", "backslash"),
        ("hf://", "no Hub repository"),
        ("hf://a/b/c", "no Hub repository"),
        ("hf://org/na--me", "no Hub repository"),
        ("hf://org/name@../../x", "no Hub repository"),
        ("hf://datasets/a/b/c", "no Hub repository"),
    ],
)
def test_what_is_none(text, words):
    with pytest.raises(SettingsError, match=words) as caught:
        parse(text)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_split_finds_the_store_and_what_to_look_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "odd[1].csv").write_text("")

    def split(text):
        parent, pattern = parse(text).split()
        return parent.path, pattern

    assert split("s3://bucket/data/train.csv") == ("data", "train.csv")
    assert split("s3://bucket/data/*/x-?.csv") == ("data", "*/x-?.csv")
    assert split("s3://bucket/*.csv") == ("", "*.csv")
    assert split("s3://bucket") == ("", "")
    assert split("folder") == ("folder", "")
    assert split("train.csv") == (".", "train.csv")
    assert split("/train.csv") == ("/", "train.csv")
    assert split("/data/[ab]/**/x") == ("/data", "[ab]/**/x")
    assert split("odd[1].csv") == (".", "odd[1].csv")
    assert split("odd[2].csv") == (".", "odd[2].csv")
