import glob
import re

import pytest

from job.storage.pattern import translate

FILES = ["a.csv", "b.csv", ".h.csv", "x/a.csv", "x/.h/a.csv", "x/y/a.csv", "x/y/z.txt", "x1/a.csv", "a+b(1).csv", "x/[1].csv"]
PATTERNS = [
    *("*", "*.csv", "**", "**/*", "**/*.csv", "x/**", "x/**/a.csv", "*/a.csv", "?.csv", "[ab].csv", "[!a].csv", "x?/a.csv"),
    *(".*.csv", "x/*/a.csv", "a+b(1).*", "x/[[]1].csv", "**/y/*", "x*", "[a-b]*", "x/.h/*", "[", "[]a].csv"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_finds_what_a_shell_finds(pattern, tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    # glob.glob is what is imitated; pathlib's finds hidden files.
    found = {name for name in glob.glob(pattern, root_dir=tmp_path, recursive=True) if (tmp_path / name).is_file()}  # noqa: PTH207 - as above
    assert {name for name in FILES if re.fullmatch(translate(pattern), name)} == found
