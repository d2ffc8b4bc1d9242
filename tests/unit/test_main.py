import sys

from job import __main__, cli


def test_arguments_environment_and_exit_code_are_handed_through(monkeypatch):
    seen = {}
    monkeypatch.setattr(cli, "main", lambda argv, environ: seen.update(argv=argv, path=environ.get("PATH")) or 75)
    monkeypatch.setattr(sys, "argv", ["job", "settings"])
    monkeypatch.setenv("PATH", "somewhere")
    assert __main__.main() == 75
    assert seen == {"argv": ["settings"], "path": "somewhere"}
