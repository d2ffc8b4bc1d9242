"""A model of what the Job and JobSet controllers do when a pod has ended.  It is a model: no controller runs here.

It holds what was seen of the Job controller of Kubernetes 1.32 (rules in order, the first that fits decides; no rule: counted; the
wording of a Job's failure) and what JobSet documents of its failure policy.  Delays, evictions that find no pod, and everything
that depends on time are not in it.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from tests.support.manifests import Manifest, container, controller, job_spec

OF_THE_SET = -1
"""Where a JobSet's own restarts are counted, beside those of indices."""


@dataclass(frozen=True)
class PodEnd:
    """How a pod ended: its container's exit code, and whether Kubernetes itself had taken it away (condition DisruptionTarget)."""

    exit_code: int
    disrupted: bool = False
    index: int = 0


@dataclass(frozen=True)
class Next:
    """What happens next: ``restart`` with or without charge, ``complete``, ``failed``, or a sweep's ``index failed``."""

    what: str
    charged: bool = False
    reason: str = ""


@dataclass
class Cluster:
    """One overlay applied: which failures were counted so far."""

    manifests: list[Manifest]
    charged: dict[int, int] = field(default_factory=dict)

    def ended(self, pod: PodEnd) -> Next:
        """Tell the controllers of a pod's end."""
        if pod.exit_code == 0:
            return Next("complete")
        child = self._job(pod)
        return self._set(child) if controller(self.manifests)["kind"] == "JobSet" and child.what == "failed" else child

    def _job(self, pod: PodEnd) -> Next:
        spec = job_spec(self.manifests)
        for number, rule in enumerate(spec["podFailurePolicy"]["rules"]):
            if not _fits(rule, pod):
                continue
            if rule["action"] == "Ignore":
                return Next("restart")
            if rule["action"] == "FailIndex":
                return Next("index failed")
            return Next("failed", reason=_wording(container(self.manifests)["name"], rule, pod, number))
        if "backoffLimitPerIndex" in spec:
            return self._count(pod.index, spec["backoffLimitPerIndex"], Next("index failed"))
        return self._count(0, spec["backoffLimit"], Next("failed", reason="BackoffLimitExceeded"))

    def _set(self, child: Next) -> Next:
        policy = controller(self.manifests)["spec"]["failurePolicy"]
        self.charged.pop(0, None)  # the next Job is a new one, which has counted nothing
        reason, _, message = child.reason.partition(": ")
        for rule in policy["rules"]:
            patterns = rule.get("onJobFailureMessagePatterns", [""])
            if reason in rule["onJobFailureReasons"] and any(re.search(pattern, message) for pattern in patterns):
                return Next("failed", reason=child.reason) if rule["action"] == "FailJobSet" else Next("restart")
        return self._count(OF_THE_SET, policy["maxRestarts"], Next("failed", reason="maxRestarts"))

    def _count(self, index: int, limit: int, over: Next) -> Next:
        self.charged[index] = self.charged.get(index, 0) + 1
        return over if self.charged[index] > limit else Next("restart", charged=True)

    def past_its_time(self) -> Next:
        """The Job's active deadline is over; a sweep's Job has none, its pods have (and end with the code of their container)."""
        child = Next("failed", reason="DeadlineExceeded")
        return self._set(child) if controller(self.manifests)["kind"] == "JobSet" else child


def _fits(rule: dict[str, Any], pod: PodEnd) -> bool:
    if "onPodConditions" in rule:
        return pod.disrupted and {"type": "DisruptionTarget", "status": "True"} in rule["onPodConditions"]
    return pod.exit_code in rule["onExitCodes"]["values"]


def _wording(name: str, rule: dict[str, Any], pod: PodEnd, number: int) -> str:
    """The Job's failure as its controller words it, which is what a JobSet's patterns are matched with."""
    if "onPodConditions" in rule:
        return (
            f"PodFailurePolicy: Pod default/finetune-0-abcde has condition DisruptionTarget matching FailJob rule at index {number}"
        )
    return (
        f"PodFailurePolicy: Container {name} for pod default/finetune-0-abcde failed with exit code {pod.exit_code} "
        f"matching FailJob rule at index {number}"
    )
