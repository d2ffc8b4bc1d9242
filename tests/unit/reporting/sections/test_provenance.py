from job.reporting.bundle import ReportBundle
from job.reporting.sections.provenance import attempts, provenance, settings
from tests.support import bundles


def test_attempts_say_how_they_ended():
    bundle = ReportBundle(
        "x",
        attempts=[
            {"number": 1, "started": "2026-11-20T21:14:03.12+00:00", "steps": 40, "stopped": "asked to stop"},
            {"number": 2, "started": "2026-11-20T21:15:03+00:00", "steps": None},
            {"number": 3, "started": "2026-11-20T21:16:03+00:00", "steps": 90},
        ],
    )
    assert attempts(bundle).rows == [
        ("1", "2026-11-20 21:14:03", "stopped: asked to stop", "40"),
        ("2", "2026-11-20 21:15:03", "not recorded", "\N{EN DASH}"),
        ("3", "2026-11-20 21:16:03", "this attempt", "90"),
    ]


def test_settings_go_by_their_variables():
    rows = dict(
        settings({"task": "t", "train": {"epochs": 2.0, "max_steps": None}, "data": {"labels": ["a", "b"], "header": True}}).rows
    )
    assert rows == {
        "JOB_TASK": "t",
        "JOB_TRAIN__EPOCHS": "2.0",
        "JOB_TRAIN__MAX_STEPS": "",
        "JOB_DATA__LABELS": "a,b",
        "JOB_DATA__HEADER": "true",
    }


def test_longest_stage_has_the_whole_bar():
    assert provenance(bundles.single_label())["timings"][2] == ("train", "58 s", 100.0)


def test_nothing_known_nothing_shown():
    assert not any(provenance(ReportBundle("x")).values())
