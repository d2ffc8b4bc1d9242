"""Every overlay, with each component and with all of them, renders and has only fields that there are."""

import pytest

from job.submit.options import SubmitOptions
from tests.support import house, kube_schemas, manifests
from tests.support.manifests import COMPONENTS, OVERLAYS, controller, job_spec, setting


@pytest.fixture(autouse=True)
def _kubectl():
    manifests.need_kubectl()


def findings(rendered, versions=kube_schemas.VERSIONS[-1:]):
    return [found for manifest in rendered for version in versions for found in kube_schemas.findings(manifest, version)]


def test_the_versions_are_the_last_four():
    assert len(kube_schemas.VERSIONS) == 4
    assert kube_schemas.VERSIONS[-1] == kube_schemas.major_minor(kube_schemas.all_versions()[-1])


def test_the_tree_is_as_documented():
    assert OVERLAYS == ["multi-node", "single", "sweep"]
    assert COMPONENTS == ["hub-token", "kueue", "prometheus", "pvc-cache", "s3-irsa", "s3-secret", "spot"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_only_fields_that_there_are(overlay):
    assert not findings(manifests.rendered(overlay), kube_schemas.VERSIONS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_so_it_has_with_all_components(overlay, tmp_path):
    assert not findings(manifests.with_components(tmp_path, overlay, *COMPONENTS), kube_schemas.VERSIONS)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_changes_what_is_rendered(component, tmp_path):
    rendered = manifests.with_components(tmp_path, "single", component)
    assert rendered != manifests.rendered("single")
    assert not findings(rendered)


def test_a_claim_for_several_machines_is_said_where_it_is_chosen():
    """No check can see a claim's access mode; a pod that cannot mount it only waits."""
    page = (house.ROOT / "docs/kubernetes.md").read_text()
    option = SubmitOptions.model_fields["cache_claim"].description
    for text in (page, option, (manifests.K8S / "components/pvc-cache/pod.yaml").read_text()):
        assert "ReadWriteMany" in text


MISTAKES = {
    "a field that no version has": ("single", setting(job_spec, "backoffLimits", 3)),
    "a number as text": ("single", setting(job_spec, "completions", "1")),
    "a condition without its status": ("single", setting(job_spec, "podFailurePolicy.rules.0.onPodConditions.0.state", "True")),
    "a field that a JobSet has not": ("multi-node", setting(controller, "spec.backoffLimit", 3)),
    "an action that a JobSet has not": ("multi-node", setting(controller, "spec.failurePolicy.rules.0.action", "FailJob")),
    "a rule's name that is none": ("multi-node", setting(controller, "spec.failurePolicy.rules.0.name", "not-retry")),
    "a reason that there is not": (
        "multi-node",
        setting(controller, "spec.failurePolicy.rules.0.onJobFailureReasons", ["ExitCode"]),
    ),
    "a field of the job in the set": ("multi-node", setting(job_spec, "backoffLimits", 3)),
    "a label that Kueue has not": ("single", setting(controller, "metadata.labels", {"kueue.x-k8s.io/queue": "q"})),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake):
    overlay, mutate = MISTAKES[mistake]
    rendered = manifests.rendered(overlay)
    mutate(rendered)
    assert findings(rendered)
