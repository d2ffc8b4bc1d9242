"""Decompression and decoding, with positions in the errors."""

import gzip
import os

import pytest
import zstandard

from job.errors import DataError, SettingsError
from job.workers.readers import streams
from job.workers.readers.base import DataFile
from job.workers.readers.streams import compression, open_bytes, read_lines, read_text

TEXT = "first\nsecönd\r\nthird\rstill third\n"


def make(tmp_path, content: bytes, name: str = "a.txt") -> DataFile:
    path = tmp_path / name
    path.write_bytes(content)
    return DataFile(path, name)


@pytest.mark.parametrize(("name", "pack"), [("a.txt", bytes), ("a.txt.gz", gzip.compress), ("a.txt.zst", zstandard.compress)])
def test_text_is_read_as_it_is(tmp_path, name, pack):
    assert read_text(make(tmp_path, pack(TEXT.encode()), name), "utf-8") == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_several_members_are_all_read(tmp_path, pack):
    assert read_text(make(tmp_path, pack(b"one ") + pack(b"two")), "utf-8") == "one two"


def test_lines_end_where_asked(tmp_path):
    assert list(read_lines(make(tmp_path, TEXT.encode()), "utf-8", "\n")) == ["first\n", "secönd\r\n", "third\rstill third\n"]


def test_compression_goes_by_ending_and_by_content(tmp_path):
    assert compression(make(tmp_path, gzip.compress(b"x"), "plain.csv")) == "gzip"
    assert compression(make(tmp_path, zstandard.compress(b"x"), "plain2.csv")) == "zstd"
    assert compression(make(tmp_path, b"text", "named.csv.GZ")) == "gzip"
    assert compression(make(tmp_path, b"text", "c.csv")) is None


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-16"])
def test_a_byte_order_mark_is_no_text(tmp_path, encoding):
    content = "text".encode("utf-8-sig" if encoding != "utf-16" else "utf-16")
    assert read_text(make(tmp_path, content), encoding) == "text"


@pytest.mark.parametrize(("name", "pack"), [("a.gz", gzip.compress), ("a.zst", zstandard.compress)])
def test_a_stream_cut_off_is_refused(tmp_path, name, pack):
    whole = pack(os.urandom(100_000))
    with (
        pytest.raises(DataError, match=rf"{name} is not a sound (gzip|zstd) file"),
        open_bytes(make(tmp_path, whole[:60_000], name)) as s,
    ):
        s.read()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(streams, "MAX_EXPANSION", 40)
    bomb = make(tmp_path, pack(b"0" * (1 << 24)), "bomb.txt")
    with pytest.raises(DataError, match=r"bomb.txt comes to more than 1,048,576 bytes"), open_bytes(bomb) as stream:
        while stream.read(1 << 16):
            pass
    text = " ".join(f"{n * n}" for n in range(400_000))
    assert read_text(make(tmp_path, pack(text.encode()), "large.txt"), "utf-8") == text


def test_a_flipped_bit_in_gzip_is_refused(tmp_path):
    whole = bytearray(gzip.compress(b"text " * 1000))
    whole[-8] ^= 1
    with pytest.raises(DataError, match="not a sound gzip file"):
        read_text(make(tmp_path, bytes(whole), "a.gz"), "utf-8")


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
def test_a_plain_file_under_a_compressed_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=f"{name} is not a sound"):
        read_text(make(tmp_path, b"plain text", name), "utf-8")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.txt is empty"):
        read_text(make(tmp_path, b""), "utf-8")


@pytest.mark.parametrize("lead", [0, 10, 8191, 8192, 65_535, 65_536, 200_000])
def test_a_wrong_encoding_is_located_to_the_byte(tmp_path, lead):
    content = b"x" * lead + b"\nok\n" + b"\xe9t\xe9\n"
    with pytest.raises(DataError, match=rf"a\.txt is not utf-8 text: byte {lead + 4} \(line 3\)"):
        read_text(make(tmp_path, content), "utf-8")


def test_a_character_cut_by_the_block_is_located_too(tmp_path):
    content = b"x" * 65_535 + b"\xc3" + b"("
    with pytest.raises(DataError, match="byte 65535 "):
        read_text(make(tmp_path, content), "utf-8")


def test_a_file_that_ends_inside_a_character_is_refused(tmp_path):
    with pytest.raises(DataError, match="byte 2"):
        read_text(make(tmp_path, b"ab\xc3"), "utf-8")


def test_utf_16_without_a_mark_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"not utf-16 text") as caught:
        read_text(make(tmp_path, b"\xdc\xdc\xdc\xdc"), "utf-16")
    assert "JOB_DATA__ENCODING" in caught.value.hint


def test_an_unknown_encoding_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="JOB_DATA__ENCODING"):
        read_text(make(tmp_path, b"x"), "utf-9")
