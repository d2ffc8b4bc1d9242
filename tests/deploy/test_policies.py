"""The policies of `tests.support.kube_policy`, on what is shipped; and each of them on manifests that break it."""

import pytest

from job.cluster import nodes
from job.settings.parallel import ParallelSettings
from tests.support import kube_env, manifests
from tests.support import kube_policy as policy
from tests.support.manifests import COMPONENTS, OVERLAYS, container, controller, job_spec, pod_template, setting


@pytest.fixture(autouse=True)
def _kubectl():
    manifests.need_kubectl()


def broken(rendered):
    return {rule: found for rule in policy.POLICIES if (found := list(rule(rendered)))}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_shipped_keeps_every_policy(overlay):
    assert not broken(manifests.rendered(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_so_it_does_with_every_component(overlay, tmp_path):
    assert not broken(manifests.with_components(tmp_path, overlay, *COMPONENTS))


def account(rendered):
    return next(manifests.of_kind(rendered, "ServiceAccount"))


def settings_map(rendered):
    return next(m for m in manifests.of_kind(rendered, "ConfigMap") if m["metadata"]["name"].startswith("settings"))


def swap_rules(rendered):
    rules = job_spec(rendered)["podFailurePolicy"]["rules"]
    rules[0], rules[1] = rules[1], rules[0]


def add_env(name, value):
    return lambda rendered: container(rendered)["env"].append({"name": name, "value": value})


def env(name, place, new):
    """A mutation of one variable of the container; None takes the variable away."""

    def mutate(rendered):
        (entry,) = (entry for entry in container(rendered)["env"] if entry["name"] == name)
        if new is None:
            container(rendered)["env"].remove(entry)
        else:
            setting(lambda _: entry, place, new)(rendered)

    return mutate


def take_machines_away(rendered):
    expressions = {"matchExpressions": [{"key": policy.KARPENTERS_SPOT, "operator": "In", "values": ["spot"]}]}
    pod_template(rendered)["spec"]["affinity"] = {"nodeAffinity": {policy.REQUIRED: {"nodeSelectorTerms": [expressions]}}}


def label(value):
    return lambda rendered: pod_template(rendered)["metadata"]["labels"].update({policy.INSTANCE: value})


def monitor(**labels):
    """A mutation that adds a monitor with these labels; ``run``: that of the run."""

    def mutate(rendered):
        wanted = {policy.INSTANCE: labels["run"]} if "run" in labels else {"app.kubernetes.io/name": "finetune-job"}
        rendered.append({"kind": "PodMonitor", "spec": {"selector": {"matchLabels": wanted}}})

    return mutate


def add_secret(rendered):
    rendered.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "value"}})


RULES = "podFailurePolicy.rules"
CODES = f"{RULES}.1.onExitCodes.values"
MUTATIONS = [
    (policy.failure_rules, "single", swap_rules),
    (policy.failure_rules, "multi-node", swap_rules),
    (policy.failure_rules, "single", setting(job_spec, f"{RULES}.0.onPodConditions.0.status", "False")),
    (policy.failure_rules, "single", setting(job_spec, f"{RULES}.0.action", "Count")),
    (policy.failure_rules, "single", setting(job_spec, CODES, [64, 65, 76, 77, 78])),
    (policy.failure_rules, "single", setting(job_spec, CODES, [64, 65, 70, 76, 77, 78, 93])),
    (policy.failure_rules, "sweep", setting(job_spec, f"{RULES}.1.action", "FailJob")),
    (policy.failure_rules, "single", setting(job_spec, f"{RULES}.2.onExitCodes.values", [75, 143])),
    (policy.failure_rules, "single", setting(job_spec, f"{RULES}.1.onExitCodes.operator", "NotIn")),
    (policy.failure_rules, "single", setting(job_spec, f"{RULES}.1.onExitCodes.containerName", "sidecar")),
    (policy.set_rules, "multi-node", setting(controller, "spec.failurePolicy.rules.0.onJobFailureMessagePatterns", ["code 65"])),
    (policy.set_rules, "multi-node", setting(controller, "spec.failurePolicy.rules.0.action", "RestartJobSet")),
    (policy.set_rules, "multi-node", lambda r: controller(r)["spec"]["failurePolicy"]["rules"].reverse()),
    (policy.set_rules, "multi-node", setting(controller, "spec.failurePolicy.restartStrategy", "Recreate")),
    (policy.server_rules, "single", setting(pod_template, "spec.restartPolicy", "OnFailure")),
    (policy.server_rules, "single", setting(job_spec, "podReplacementPolicy", "TerminatingOrFailed")),
    (policy.server_rules, "single", setting(job_spec, CODES, [65, 64])),
    (policy.server_rules, "sweep", setting(job_spec, "backoffLimitPerIndex", None)),
    (policy.server_rules, "single", setting(job_spec, "completionMode", "NonIndexed")),
    (policy.server_rules, "single", setting(controller, "metadata.generateName", "finetune-")),
    (policy.back_off, "single", setting(job_spec, "backoffLimit", 0)),
    (policy.back_off, "multi-node", setting(job_spec, "backoffLimit", 3)),
    (policy.back_off, "sweep", setting(job_spec, "maxFailedIndexes", 1)),
    (policy.numbers, "single", setting(job_spec, "completions", 2)),
    (policy.numbers, "multi-node", setting(job_spec, "completions", 4)),
    (policy.numbers, "sweep", setting(job_spec, "completions", 5)),
    (policy.rendezvous, "multi-node", env("PET_NODE_RANK", "", None)),
    (policy.rendezvous, "multi-node", env("PET_NODE_RANK", "valueFrom.fieldRef.fieldPath", "metadata.annotations['index']")),
    (policy.rendezvous, "multi-node", env("PET_NNODES", "", None)),
    (policy.rendezvous, "multi-node", env("PET_NNODES", "value", "3")),
    (policy.rendezvous, "multi-node", env("PET_MASTER_ADDR", "", None)),
    (policy.rendezvous, "multi-node", env("PET_MASTER_ADDR", "value", "$(JOBSET_NAME)-nodes-0-0.$(JOBSET_NAME)")),
    (policy.rendezvous, "multi-node", env("PET_MASTER_ADDR", "value", "$(JOBSET_NAME)-node-0-1.$(JOBSET_NAME)")),
    (policy.rendezvous, "multi-node", env("PET_MASTER_ADDR", "value", "$(JOBSET_NAME)-node-0-0")),
    (policy.rendezvous, "multi-node", env("PET_MASTER_PORT", "value", "29501")),
    (policy.rendezvous, "multi-node", env("JOBSET_NAME", "", None)),
    (policy.rendezvous, "multi-node", lambda r: container(r)["env"].reverse()),
    (policy.rendezvous, "multi-node", env("JOBSET_RESTART_ATTEMPT", "", None)),
    (policy.rendezvous, "multi-node", setting(controller, "spec.network.subdomain", "nodes")),
    (policy.rendezvous, "multi-node", setting(controller, "spec.network.publishNotReadyAddresses", False)),
    (policy.rendezvous, "multi-node", setting(controller, "spec.replicatedJobs.0.name", "worker")),
    (policy.evictable, "single", take_machines_away),
    (policy.scraped, "single", label("finetune")),
    (policy.scraped, "single", monitor()),
    (policy.scraped, "single", monitor(run="another")),
    (policy.grace, "single", setting(pod_template, "spec.terminationGracePeriodSeconds", 300)),
    (policy.grace, "single", setting(pod_template, "spec.terminationGracePeriodSeconds", None)),
    (policy.grace, "single", setting(pod_template, f"metadata.annotations.{policy.STATED_BOUND}", "300")),
    (policy.grace, "single", add_env("JOB_LIMITS__STORE_TIMEOUT_S", "500")),
    (policy.restricted, "single", setting(pod_template, "spec.securityContext.runAsNonRoot", False)),
    (policy.restricted, "single", setting(pod_template, "spec.securityContext.runAsUser", 0)),
    (policy.restricted, "single", setting(pod_template, "spec.securityContext.fsGroup", None)),
    (policy.restricted, "single", setting(pod_template, "spec.securityContext.seccompProfile", None)),
    (policy.restricted, "single", setting(pod_template, "spec.hostIPC", True)),
    (policy.restricted, "single", setting(container, "securityContext.allowPrivilegeEscalation", None)),
    (policy.restricted, "single", setting(container, "securityContext.readOnlyRootFilesystem", False)),
    (policy.restricted, "single", setting(container, "securityContext.capabilities.add", ["IPC_LOCK"])),
    (policy.restricted, "single", setting(container, "securityContext.privileged", True)),
    (policy.restricted, "single", setting(container, "securityContext.runAsUser", 1000)),
    (policy.restricted, "single", setting(container, "ports", [{"containerPort": 1, "hostPort": 1}])),
    (policy.restricted, "single", setting(pod_template, "spec.volumes.0.hostPath", {"path": "/"})),
    (policy.identity, "single", setting(pod_template, "spec.automountServiceAccountToken", True)),
    (policy.identity, "single", setting(account, "automountServiceAccountToken", None)),
    (policy.identity, "single", setting(pod_template, "spec.serviceAccountName", "default")),
    (policy.settings, "single", setting(settings_map, "data.JOB_TRAIN__EPOCH", "3")),
    (policy.settings, "single", setting(settings_map, "data.JOB_TRAIN__EPOCHS", "-3")),
    (policy.settings, "single", setting(settings_map, "data.JOB_OUTPUT__URI", None)),
    (policy.settings, "single", setting(settings_map, "data.JOB_RUN__GRACE_S", "600")),
    (policy.settings, "single", add_env("JOB_GRACE", "600")),
    (policy.settings, "single", setting(pod_template, "spec.enableServiceLinks", True)),
    (policy.settings, "single", setting(container, "envFrom.0.configMapRef.name", "settings")),
    (policy.settings, "sweep", lambda r: _variants(r).update({"variants.txt": "JOB_TRAIN__EPOCHS=0\n" * 4})),
    (policy.secrets, "single", add_secret),
    (policy.secrets, "single", add_env("AWS_SECRET_ACCESS_KEY", "sesame")),
    (policy.secrets, "single", setting(settings_map, "data.HF_TOKEN", "hf_sesame")),
    (policy.sizes, "single", setting(pod_template, "spec.volumes.0.emptyDir", {})),
    (policy.sizes, "single", setting(pod_template, "spec.volumes.0.emptyDir.sizeLimit", "150Gi")),
    (policy.sizes, "single", setting(pod_template, "spec.volumes.2.emptyDir.sizeLimit", "40Gi")),
    (policy.sizes, "single", setting(container, "resources.limits.memory", "128Gi")),
    (policy.sizes, "single", setting(container, "resources.requests", None)),
    (policy.places, "single", setting(container, "volumeMounts.1.mountPath", "/var/tmp")),
    (policy.places, "single", setting(container, "volumeMounts.0.readOnly", True)),
    (policy.places, "single", setting(container, "volumeMounts.0.name", "data")),
    (policy.places, "single", setting(pod_template, "spec.volumes.2.emptyDir.medium", None)),
    (policy.last_words, "single", setting(container, "terminationMessagePolicy", None)),
    (policy.last_words, "single", setting(container, "livenessProbe", None)),
    (policy.last_words, "single", setting(container, "startupProbe.timeoutSeconds", None)),
    (policy.names, "single", setting(controller, "metadata.name", "x" * 53)),
    (policy.names, "multi-node", setting(controller, "metadata.name", "x" * 47)),
    (policy.time_limit, "single", setting(job_spec, "activeDeadlineSeconds", None)),
    (policy.time_limit, "sweep", setting(job_spec, "activeDeadlineSeconds", 604800)),
    (policy.time_limit, "sweep", setting(pod_template, "spec.activeDeadlineSeconds", None)),
    (policy.time_limit, "multi-node", setting(controller, "spec.ttlSecondsAfterFinished", 60)),
]


def _variants(rendered):
    return manifests.config_map(rendered, "variants")


@pytest.mark.parametrize(("rule", "overlay", "mutate"), MUTATIONS)
def test_a_mutation_turns_its_policy_red(rule, overlay, mutate):
    rendered = manifests.rendered(overlay)
    assert not list(rule(rendered))
    mutate(rendered)
    assert list(rule(rendered))


def test_the_job_finds_its_place_in_the_shipped_set():
    """The variables of both pods, as the cluster would fill them in, to the job's own function."""
    rendered = manifests.rendered("multi-node")
    places = [nodes.resolve(ParallelSettings(), "run", kube_env.environ(rendered, index)) for index in range(2)]
    assert [(place.num_nodes, place.node_rank) for place in places] == [(2, 0), (2, 1)]
    assert {(place.main_address, place.main_port) for place in places} == {
        ("finetune-first-run-node-0-0.finetune-first-run", 29500)
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_of_two_runs_each_is_scraped_once(overlay, tmp_path):
    rendered = []
    for run in ("one", "two"):
        manifests.with_components(tmp_path / run, overlay, "prometheus")
        folder = tmp_path / run / "k8s/overlays" / overlay
        path = folder / "kustomization.yaml"
        path.write_text(path.read_text().replace("nameSuffix: -first", f"nameSuffix: -{run}"))
        rendered.append(manifests.kustomize(folder))
    labels = [pod_template(each)["metadata"]["labels"] for each in rendered]
    wanted = [next(manifests.of_kind(each, "PodMonitor"))["spec"]["selector"]["matchLabels"] for each in rendered]
    assert [[one.items() <= other.items() for other in labels] for one in wanted] == [[True, False], [False, True]]


def test_every_policy_has_a_mutation():
    assert {rule for rule, _, _ in MUTATIONS} == set(policy.POLICIES)
