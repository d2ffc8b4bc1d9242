"""What is right in itself and would not work in a pod: secrets in plain text, local paths, variables that the pod sets."""

from __future__ import annotations

from job.errors import SettingsError
from job.settings.config_file import CONFIG_VARIABLE
from job.settings.secret_values import SECRET_VARIABLES
from job.storage import uri
from job.submit.request import Request

SECRETS = ("JOB_MODEL__HUB_TOKEN", "AWS_ACCESS_KEY_ID", *SECRET_VARIABLES)
WORK = "/work/"


def check(request: Request, set_by_the_pod: set[str]) -> None:
    """See that a request can run in a pod.

    Args:
        request: what was asked for.
        set_by_the_pod: variables that the manifests set themselves; they are stronger than the settings file.

    Raises:
        SettingsError: naming everything that would go wrong, without values.
    """
    given, asked = request.for_the_job(), request.options
    problems = [] if asked.image else ["SUBMIT_IMAGE is missing: a pod runs an image."]
    problems += [
        f"{name} is a secret, and everybody who may read the namespace could read it here: use SUBMIT_S3_SECRET, SUBMIT_S3_ROLE or "
        "SUBMIT_HUB_TOKEN_SECRET."
        for name in SECRETS
        if given.get(name)
    ]
    of_the_pod = sorted(given.keys() & set_by_the_pod)
    problems += [f"{name} comes from the pod; leave it out here." for name in of_the_pod]
    problems += [
        f"{name} names a local path, which no pod has: use s3:// or the Hub, or SUBMIT_CACHE_CLAIM and a path below {WORK}."
        for name, places in _places(request).items()
        if any(not _in_reach(place, mounted=asked.cache_claim is not None) for place in places)
    ]
    if given.get(CONFIG_VARIABLE):
        problems.append(f"{CONFIG_VARIABLE} names a file, which no pod has: write its settings as lines.")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(f"The settings file cannot run on Kubernetes:\n{lines}", "docs/kubernetes.md has an example.")


def _places(request: Request) -> dict[str, set[str]]:
    """Every place the runs read from or write to, by the setting that says so."""
    places: dict[str, set[str]] = {}
    for settings in request.runs:
        data = settings.data
        of_a_run = {
            "JOB_MODEL__URI": (settings.model.uri,),
            "JOB_DATA__TRAIN_URI": data.train_uri,
            "JOB_DATA__EVAL_URI": data.eval_uri or (),
            "JOB_DATA__TEST_URI": data.test_uri or (),
            "JOB_OUTPUT__URI": (settings.output.uri,),
        }
        for name, found in of_a_run.items():
            places.setdefault(name, set()).update(found)
    return places


def _in_reach(place: str, *, mounted: bool) -> bool:
    location = uri.parse(place)
    return location.scheme != "file" or (mounted and location.path.startswith(WORK))
