"""What a schema cannot know: each policy is a function from the rendered manifests to what breaks it.

They are apart from the tests so that each is also shown manifests that break it.
"""

import re
from collections.abc import Iterator
from typing import Any

from job.cluster import nodes
from job.cluster.nodes import NodePlace
from job.errors import ERRORS, Retry, SettingsError
from job.settings import root
from job.settings.limits import LimitsSettings
from job.settings.parallel import ParallelSettings
from tests.support import kube_env
from tests.support.manifests import (
    Manifest,
    bytes_of,
    config_map,
    container,
    controller,
    job_spec,
    of_kind,
    plain_env,
    pod_template,
)

NEVER = [code for code, error in sorted(ERRORS.items()) if error.retry is Retry.NEVER]
FREE = [code for code, error in sorted(ERRORS.items()) if error.retry is Retry.FREE]
ACTIONS = {"multi-node": ("FailJob",) * 3, "single": ("Ignore", "FailJob", "Ignore"), "sweep": ("Ignore", "FailIndex", "Ignore")}
UID = 10001
SECRET_NAMES = re.compile(r"(SECRET|TOKEN|PASSWORD|ACCESS_KEY|CREDENTIAL)", re.IGNORECASE)
LONGEST_POD_NAME = 63
STATED_BOUND = "finetune-job/save-and-upload-s"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
KARPENTERS_SPOT = "karpenter.sh/capacity-type"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
INSTANCE = "app.kubernetes.io/instance"


def overlay_of(manifests: list[Manifest]) -> str:
    if controller(manifests)["kind"] == "JobSet":
        return "multi-node"
    return "sweep" if "backoffLimitPerIndex" in job_spec(manifests) else "single"


def failure_rules(manifests: list[Manifest]) -> Iterator[str]:
    """DisruptionTarget, then the codes that are not retried, then the one that is free: in this order, equal to the table in code."""
    rules = job_spec(manifests)["podFailurePolicy"]["rules"]
    if [rule["action"] for rule in rules] != list(ACTIONS[overlay_of(manifests)]):
        yield "the rules' actions are not those of the overlay"
    if rules[0].get("onPodConditions") != [{"type": "DisruptionTarget", "status": "True"}]:
        yield "the first rule is not about DisruptionTarget"
    for rule, codes in zip(rules[1:], (NEVER, FREE), strict=True):
        asked = rule.get("onExitCodes", {})
        if asked.get("values") != codes:
            yield f"the exit codes {asked.get('values')} are not the table's {codes}"
        if asked.get("operator") != "In" or asked.get("containerName") != container(manifests)["name"]:
            yield "a rule does not look at the job's container"


def set_rules(manifests: list[Manifest]) -> Iterator[str]:
    """A JobSet fails on the same codes, by the message of its Job; what is left of the pod failure policy is free."""
    if overlay_of(manifests) != "multi-node":
        return
    policy = controller(manifests)["spec"]["failurePolicy"]
    codes = "|".join(str(code) for code in NEVER)
    expected = [
        ("FailJobSet", ["PodFailurePolicy"], [f"failed with exit code ({codes}) matching"]),
        ("FailJobSet", ["DeadlineExceeded"], None),
        ("RestartJobSetAndIgnoreMaxRestarts", ["PodFailurePolicy"], None),
    ]
    found = [(rule["action"], rule.get("onJobFailureReasons"), rule.get("onJobFailureMessagePatterns")) for rule in policy["rules"]]
    if found != expected:
        yield "the JobSet's rules do not follow the table of exit codes"
    if policy["restartStrategy"] != "BlockingRecreate" or policy["maxRestarts"] < 1:
        yield "an attempt could begin beside the last one, or never"


def server_rules(manifests: list[Manifest]) -> Iterator[str]:
    """What the API server refuses although the schema allows it."""
    spec, pod = job_spec(manifests), pod_template(manifests)["spec"]
    if pod["restartPolicy"] != "Never":
        yield "podFailurePolicy needs restartPolicy Never"
    if spec["podReplacementPolicy"] != "Failed":
        yield "podFailurePolicy needs podReplacementPolicy Failed"
    for rule in spec["podFailurePolicy"]["rules"]:
        values = rule.get("onExitCodes", {}).get("values", [])
        if values != sorted(set(values)) or 0 in values:
            yield "exit codes stand in order, once each, and 0 is none"
        if rule["action"] == "FailIndex" and "backoffLimitPerIndex" not in spec:
            yield "FailIndex needs backoffLimitPerIndex"
    if spec["completionMode"] != "Indexed" or spec["parallelism"] > spec["completions"]:
        yield "the pods have no index of their own"
    if any("generateName" in manifest["metadata"] for manifest in manifests) or list(of_kind(manifests, "PodTemplate")):
        yield "something cannot be applied twice"


def back_off(manifests: list[Manifest]) -> Iterator[str]:
    """Who counts the failures: the Job on one node, the JobSet on several, each index of a sweep for itself."""
    spec, kind = job_spec(manifests), overlay_of(manifests)
    if kind == "single" and not spec.get("backoffLimit", 0) >= 1:
        yield "one crash would end the run"
    if kind == "multi-node" and spec.get("backoffLimit") != 0:
        yield "a node alone would be replaced, and its peers wait for it"
    if kind == "sweep" and (spec["backoffLimitPerIndex"] < 1 or spec["maxFailedIndexes"] != spec["completions"]):
        yield "a variant that fails would take others with it"


def numbers(manifests: list[Manifest]) -> Iterator[str]:
    """The same number wherever it stands: nodes, variants."""
    spec, kind, env = job_spec(manifests), overlay_of(manifests), plain_env(manifests)
    if kind == "single" and (spec["completions"], spec["parallelism"]) != (1, 1):
        yield "a single run has one pod"
    if kind == "multi-node" and {str(spec["completions"]), str(spec["parallelism"])} != {env["PET_NNODES"]}:
        yield "the number of nodes is not the same in all places"
    if kind == "sweep" and spec["completions"] != len(_variants(manifests)):
        yield "not as many completions as variants"


def rendezvous(manifests: list[Manifest]) -> Iterator[str]:
    """Rank by completion index and the main node by its stable name: what the job itself makes of each node's variables."""
    if overlay_of(manifests) != "multi-node":
        return
    spec, jobset = job_spec(manifests), controller(manifests)
    given = {entry["name"]: entry for entry in container(manifests)["env"]}
    rank = given.get("PET_NODE_RANK", {}).get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
    if rank != f"metadata.annotations['{kube_env.INDEX}']":
        yield "the rank is not the completion index"
    network, name = jobset["spec"]["network"], jobset["metadata"]["name"]
    if not network.get("enableDNSHostnames") or not network.get("publishNotReadyAddresses"):
        yield "the nodes have no names, or none before they are ready"
    main = f"{name}-{jobset['spec']['replicatedJobs'][0]['name']}-0-0.{network.get('subdomain', name)}"
    ports = {port["containerPort"] for port in container(manifests).get("ports", ())}
    for index in range(spec["completions"]):
        try:
            place = nodes.resolve(ParallelSettings(), "run", kube_env.environ(manifests, index))
        except SettingsError as error:
            yield f"node {index}: {error.message}"
            continue
        if place.main_port not in ports:
            yield f"node {index} would meet the others at a port that the pod does not name"
        if place != NodePlace(spec["parallelism"], index, main, place.main_port, "jobset-0"):
            yield f"node {index} would take itself for node {place.node_rank} of {place.num_nodes} at {place.main_address}"


def evictable(manifests: list[Manifest]) -> Iterator[str]:
    """Only where machines are not taken away may the autoscaler be asked to wait: on the others it has to evict while there is time."""
    template = pod_template(manifests)
    keys = {
        expression["key"]
        for term in template["spec"].get("affinity", {}).get("nodeAffinity", {}).get(REQUIRED, {}).get("nodeSelectorTerms", ())
        for expression in term["matchExpressions"]
    }
    if KARPENTERS_SPOT in keys and DO_NOT_DISRUPT in template["metadata"]["annotations"]:
        yield "Karpenter would not evict the pod from a machine that is taken away"


def scraped(manifests: list[Manifest]) -> Iterator[str]:
    """A pod has its run's own label, and a monitor selects by it: of several runs in a namespace each scrapes its own pods."""
    name, labels = controller(manifests)["metadata"]["name"], pod_template(manifests)["metadata"]["labels"]
    if labels.get(INSTANCE) != name:
        yield "the pods have no label of their run"
    for monitor in of_kind(manifests, "PodMonitor"):
        wanted = monitor["spec"]["selector"].get("matchLabels", {})
        if not wanted.items() <= labels.items():
            yield "the monitor does not find the pods"
        if wanted.get(INSTANCE) != name:
            yield "the monitor finds other runs' pods as well"


def grace(manifests: list[Manifest]) -> Iterator[str]:
    """Time for the last save and its upload, and for a store that is retried; the job knows it."""
    template, env = pod_template(manifests), plain_env(manifests)
    seconds = template["spec"].get("terminationGracePeriodSeconds", 30)
    if env.get("JOB_RUN__GRACE_S") != str(seconds):
        yield "JOB_RUN__GRACE_S is not the grace period"
    store_s = float(env.get("JOB_LIMITS__STORE_TIMEOUT_S", LimitsSettings().store_timeout_s))
    if seconds <= int(template["metadata"]["annotations"][STATED_BOUND]) + store_s:
        yield "the grace period is too short for save, upload and a store that is retried"


def restricted(manifests: list[Manifest]) -> Iterator[str]:
    """Pod Security's level `restricted`, field by field, and a root file system that is read-only."""
    pod = pod_template(manifests)["spec"]
    context, own = pod.get("securityContext", {}), container(manifests).get("securityContext", {})
    wanted = {
        "runAsNonRoot": (context.get("runAsNonRoot"), True),
        "runAsUser": (context.get("runAsUser"), UID),
        "runAsGroup": (context.get("runAsGroup"), UID),
        "fsGroup": (context.get("fsGroup"), UID),
        "seccompProfile": (context.get("seccompProfile"), {"type": "RuntimeDefault"}),
        "allowPrivilegeEscalation": (own.get("allowPrivilegeEscalation"), False),
        "readOnlyRootFilesystem": (own.get("readOnlyRootFilesystem"), True),
        "capabilities": (own.get("capabilities"), {"drop": ["ALL"]}),
        "privileged": (own.get("privileged", False), False),
    }
    yield from (f"{name} is {found}" for name, (found, value) in wanted.items() if found != value)
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers")):
        yield "the pod shares what is the host's, or has containers that are not checked"
    if any(own.get(name) for name in ("runAsUser", "seccompProfile", "procMount", "runAsNonRoot", "seLinuxOptions")):
        yield "the container goes its own way"
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "name"}
    yield from (f"volume {volume['name']} is of a kind that is not allowed" for volume in pod["volumes"] if volume.keys() - allowed)
    if any("hostPort" in port for port in container(manifests).get("ports", ())):
        yield "a port of the host is used"


def identity(manifests: list[Manifest]) -> Iterator[str]:
    """A service account of its own, whose token is not handed out."""
    (account,) = of_kind(manifests, "ServiceAccount")
    pod = pod_template(manifests)["spec"]
    if account.get("automountServiceAccountToken") is not False or pod.get("automountServiceAccountToken") is not False:
        yield "the cluster's token is mounted"
    if pod.get("serviceAccountName") != account["metadata"]["name"]:
        yield "the pod does not use the service account"


def settings(manifests: list[Manifest]) -> Iterator[str]:
    """The container's variables are settings that the job accepts, each from one place only; in a sweep each variant's as well."""
    given, own = config_map(manifests, "settings"), plain_env(manifests)
    referred = {entry["name"] for entry in container(manifests)["env"]} - own.keys()
    yield from (f"{name} stands in two places" for name in sorted(given.keys() & (own.keys() | referred)))
    known = root.variables().keys() | root.NOT_SETTINGS
    every = [name for name in {*given, *own, *referred} if name.startswith("JOB_")]
    yield from (f"{name} is no setting" for name in every if name.removesuffix(root.FILE_SUFFIX) not in known)
    environ = {name: value for name, value in {**given, **own}.items() if not name.endswith((root.FILE_SUFFIX, "_PATH"))}
    for variant in _variants(manifests) or [{}]:
        try:
            root.load(environ | variant)
        except SettingsError as error:
            yield error.message
    if pod_template(manifests)["spec"].get("enableServiceLinks") is not False:
        yield "a service called `job` would add variables that look like settings"
    (source,) = container(manifests)["envFrom"]
    names = {manifest["metadata"]["name"] for manifest in of_kind(manifests, "ConfigMap")}
    if source["configMapRef"]["name"] not in names:
        yield "the pod does not read the settings"


def secrets(manifests: list[Manifest]) -> Iterator[str]:
    """A secret is a reference, and its value stands nowhere."""
    if list(of_kind(manifests, "Secret")):
        yield "a Secret is among the manifests"
    plain = {**config_map(manifests, "settings"), **plain_env(manifests)}
    yield from (
        f"{name} stands in plain text" for name in plain if SECRET_NAMES.search(name) and not name.endswith(root.FILE_SUFFIX)
    )


def sizes(manifests: list[Manifest]) -> Iterator[str]:
    """Every volume in the pod has a bound, the bounds fit what is asked for, and requests equal limits."""
    resources = container(manifests)["resources"]
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    if requests != limits or not {"cpu", "memory", "ephemeral-storage"} <= requests.keys():
        yield "requests are not limits, or one of them is missing"
        return
    on_disk = 0
    for volume in pod_template(manifests)["spec"]["volumes"]:
        empty = volume.get("emptyDir")
        if empty is None:
            continue
        if "sizeLimit" not in empty:
            yield f"volume {volume['name']} has no bound"
        elif empty.get("medium") != "Memory":
            on_disk += bytes_of(empty["sizeLimit"])
        elif bytes_of(empty["sizeLimit"]) > bytes_of(limits["memory"]) / 2:
            yield f"volume {volume['name']} takes more than half of the memory"
    if on_disk > bytes_of(limits["ephemeral-storage"]):
        yield "the volumes may hold more than ephemeral-storage allows"


def places(manifests: list[Manifest]) -> Iterator[str]:
    """With a read-only root, what the job writes to is mounted; shared memory is memory."""
    volumes = {volume["name"]: volume for volume in pod_template(manifests)["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container(manifests)["volumeMounts"]}
    yield from (
        f"{path} is not writable"
        for path in ("/work", "/tmp", "/dev/shm")
        if mounts.get(path, {}).get("readOnly", path not in mounts)
    )
    yield from (f"{mount['name']} is mounted and is no volume" for mount in mounts.values() if mount["name"] not in volumes)
    if volumes.get("shm", {}).get("emptyDir", {}).get("medium") != "Memory":
        yield "/dev/shm is not memory"
    if not plain_env(manifests)["JOB_RUN__DIR"].startswith("/work/"):
        yield "the run directory is not on its volume"


def last_words(manifests: list[Manifest]) -> Iterator[str]:
    """The termination message, and probes that ask the job itself and leave a stalled one its own watchdog's time."""
    own = container(manifests)
    if (own.get("terminationMessagePath"), own.get("terminationMessagePolicy")) != (
        "/dev/termination-log",
        "FallbackToLogsOnError",
    ):
        yield "the outcome is not shown"
    for name in ("startupProbe", "livenessProbe"):
        probe = own.get(name, {})
        if probe.get("exec", {}).get("command") != ["python", "-m", "job", "alive"]:
            yield f"{name} does not ask the job"
        if probe.get("timeoutSeconds", 1) < 5:
            yield f"{name} is shorter than the start of an interpreter on a busy node"


def names(manifests: list[Manifest]) -> Iterator[str]:
    """Room in a name for what the controllers add: indices and five random letters."""
    more = "-node-0-999-abcde" if overlay_of(manifests) == "multi-node" else "-9999-abcde"
    if len(controller(manifests)["metadata"]["name"] + more) > LONGEST_POD_NAME:
        yield "a pod's name would be too long"


def time_limit(manifests: list[Manifest]) -> Iterator[str]:
    """A pod that cannot start, for want of its image say, ends some day; what ended can be looked at for a day at least.

    In a sweep the limit is each pod's: the Job's would end all variants at once, also those that have not begun.
    """
    day_s, is_sweep = 24 * 3600, overlay_of(manifests) == "sweep"
    of_the_job, of_the_pod = (
        spec.get("activeDeadlineSeconds", 0) for spec in (job_spec(manifests), pod_template(manifests)["spec"])
    )
    if (of_the_pod if is_sweep else of_the_job) < day_s:
        yield "no time limit, or one of less than a day"
    if (of_the_job if is_sweep else of_the_pod) != 0:
        yield "a time limit of what it is not meant for"
    kept = controller(manifests)["spec"].get("ttlSecondsAfterFinished", 0)
    if kept < day_s:
        yield "gone before anybody looked"


POLICIES = (
    failure_rules, set_rules, server_rules, back_off, numbers, rendezvous, evictable, scraped, grace, restricted, identity, settings,
    secrets, sizes, places, last_words, names, time_limit,
)  # fmt: skip


def _variants(manifests: list[Manifest]) -> list[dict[str, Any]]:
    if overlay_of(manifests) != "sweep":
        return []
    text = config_map(manifests, "variants")["variants.txt"]
    return [dict(word.split("=", 1) for word in line.split()) for line in text.splitlines() if line and not line.startswith("#")]
