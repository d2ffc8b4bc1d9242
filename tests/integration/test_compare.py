"""A sweep of real runs, one of which fails, compared by the command; and the page in a real browser."""

import json
import subprocess
import sys

import pytest

from job.reporting.comparison import compare
from job.reporting.comparison_page import render
from tests.support import house, jobs, sweeps, tiny

SMALL = {
    "TRAIN__MAX_STEPS": "6",
    "DATA__TEST_FRACTION": "0.2",
    "EVAL__EVERY_STEPS": "6",
    "PARALLEL__THREADS_PER_WORKER": "1",
    "RUN__NAME": "reviews",
}
VARIANTS = """\
# what is tried
JOB_TRAIN__LEARNING_RATE=1e-2
JOB_TRAIN__LEARNING_RATE=1e-6 JOB_RUN__SEED=7
JOB_DATA__TEXT_COLUMN=body
"""


def test_a_sweep_is_compared(tmp_path):
    tiny.write_model(tmp_path / "model")
    tiny.write_csv(tmp_path / "train.csv", tiny.sentences(300))
    (tmp_path / "variants.txt").write_text(VARIANTS)
    common = {**SMALL, "SWEEP__VARIANTS_PATH": str(tmp_path / "variants.txt"), "LIMITS__MAX_LEAKED_SHARE": "1"}
    codes = [
        jobs.run(tiny.environ(tmp_path, **common) | {"SLURM_ARRAY_TASK_ID": str(at)}, tmp_path / f"log-{at}").code
        for at in range(3)
    ]
    assert codes == [0, 0, 65]
    page = tmp_path / "sweep.html"
    command = [sys.executable, "-m", "job", "compare", str(tmp_path / "store"), "--runs", "reviews-*", "--page", str(page)]
    done = subprocess.run(command, cwd=house.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = {line.split()[0]: line for line in lines[1:4]}
    assert rows.keys() == {"reviews-0", "reviews-1", "reviews-2"}
    assert [name in lines[0] for name in ("accuracy", "train.learning_rate", "run.seed", "data.text_column")] == [True] * 4
    for name in ("reviews-0", "reviews-1"):
        report = json.loads((jobs.published(tmp_path / "store", name) / "report/metrics.json").read_bytes())
        interval = report["interval"]
        assert f"{interval['value']:.3f}" in rows[name]
        assert f"{interval['low']:.3f} to {interval['high']:.3f}" in rows[name]
    assert "0.01" in rows["reviews-0"]
    assert "failed" in rows["reviews-2"]
    assert lines[1].startswith(lines[5].removeprefix("Best: ").partition(",")[0])
    assert "1 of 3 runs have no score: reviews-2 (failed)." in done.stdout
    assert "reviews-2: failed with 65 (data)" in done.stdout
    assert "no column 'body'" in done.stdout
    assert page.read_text().count('class="interval') == 2 * 3


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_needs_nothing_else_and_fits(browser, tmp_path, width):
    path = tmp_path / "sweep.html"
    path.write_text(render(compare(sweeps.variants()), "s3://bucket/runs"), encoding="utf-8")
    browser.open(path.as_uri(), width)
    urls = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [browser.evaluate("location.href")]
    assert browser.seen("Log.entryAdded") == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelectorAll('svg .dot').length") == 3
    assert browser.evaluate(
        "[...document.querySelectorAll('td')].every(one => one.getClientRects().length && one.offsetHeight < 40)"
    )
