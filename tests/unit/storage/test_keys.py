import pytest

from job.errors import DataError
from job.storage.keys import check_key, path_below


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\0b"])
def test_unsafe(key, tmp_path):
    for action in (lambda: check_key(key), lambda: path_below(tmp_path, key)):
        with pytest.raises(DataError, match="object name"):
            action()


@pytest.mark.parametrize("key", ["a", "a/b", "..a", "a..", "a b/ü/.c", "~"])
def test_safe(key, tmp_path):
    assert check_key(key) == key
    assert path_below(tmp_path, key) == tmp_path / key


def test_links_on_the_way_are_refused_and_the_root_may_be_one(tmp_path):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "out").symlink_to("/etc")
    assert path_below(tmp_path / "link", "inner/x") == tmp_path / "link" / "inner" / "x"
    with pytest.raises(DataError, match="symbolic link"):
        path_below(tmp_path / "real", "out/passwd")
    # a file that is a link is how the Hub's cache looks; only folders on the way matter
    assert path_below(tmp_path / "real", "out").name == "out"
