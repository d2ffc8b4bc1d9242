"""What happens next after each way a pod can end, by a model of the controllers (`tests.support.kube_model`): it is a model."""

import pytest

from job.errors import ERRORS, Retry
from tests.support import manifests
from tests.support.kube_model import Cluster, Next, PodEnd
from tests.support.manifests import OVERLAYS, job_spec, rendered, setting

CHARGED = Next("restart", charged=True)
FREE = Next("restart")
CODES = {code: {Retry.NEVER: "ends", Retry.COUNTED: CHARGED, Retry.FREE: FREE}[error.retry] for code, error in ERRORS.items()}
KILLED = {137: CHARGED, 139: CHARGED, 143: CHARGED, 1: CHARGED}
"""Out of memory or a failed probe, a crash of the interpreter, a kill before anything listened, a missing module."""


@pytest.fixture(autouse=True)
def _kubectl():
    manifests.need_kubectl()


def after(overlay, *ends):
    cluster = Cluster(rendered(overlay))
    return [cluster.ended(end) for end in ends]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(("code", "expected"), sorted((CODES | KILLED).items()))
def test_every_exit_code_does_what_the_table_says(overlay, code, expected):
    (found,) = after(overlay, PodEnd(code))
    if expected == "ends":
        assert found.what == ("index failed" if overlay == "sweep" else "failed")
    else:
        assert found == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("code", [*ERRORS, 137, 143])
def test_a_pod_that_was_taken_away_is_free_whatever_its_last_code(overlay, code):
    assert after(overlay, PodEnd(code, disrupted=True)) == [FREE]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_success_is_the_end(overlay):
    assert after(overlay, PodEnd(75), PodEnd(0)) == [FREE, Next("complete")]


@pytest.mark.parametrize(("overlay", "tries"), [("single", 3), ("multi-node", 5), ("sweep", 3)])
def test_charged_failures_have_an_end_and_free_ones_do_not_use_it_up(overlay, tries):
    stops = [PodEnd(75), PodEnd(137, disrupted=True)] * 20
    found = after(overlay, *stops, *[PodEnd(70)] * (tries + 1))
    assert found[: len(stops) + tries] == [FREE] * len(stops) + [CHARGED] * tries
    assert found[-1].what in ("failed", "index failed")


def test_a_variant_that_fails_takes_no_other_with_it():
    ends = [PodEnd(65, index=0), PodEnd(70, index=1), PodEnd(71, index=2), PodEnd(0, index=3)]
    assert after("sweep", *ends) == [Next("index failed"), CHARGED, CHARGED, Next("complete")]


@pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name != "sweep"])
def test_the_time_limit_ends_the_attempt_for_good(overlay):
    assert Cluster(rendered(overlay)).past_its_time() == Next("failed", reason="DeadlineExceeded")


def test_the_model_sees_the_order_of_rules():
    """As on a real node: with FailJob first, an evicted pod fails the Job."""
    broken = rendered("single")
    job_spec(broken)["podFailurePolicy"]["rules"].reverse()
    setting(job_spec, "podFailurePolicy.rules.0.action", "FailJob")(broken)
    assert Cluster(broken).ended(PodEnd(75, disrupted=True)).what == "failed"
