"""What is right in itself and would not work in a pod: secrets in plain text, local paths, variables that the pod sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from job.errors import SettingsError
from job.settings import root
from job.settings.config_file import CONFIG_VARIABLE
from job.settings.root import Settings
from job.storage import uri
from job.submit import secret_names
from job.submit.request import Request

WORK = "/work/"
HUB_MOUNT = "/var/run/secrets/hub/"
"""Where the component `hub-token` mounts its secret."""
DEEPSPEED = "JOB_PARALLEL__DEEPSPEED_CONFIG"
FILES_OF_LIBRARIES = ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "HF_TOKEN_PATH")


def check(request: Request, set_by_the_pod: set[str]) -> None:
    """See that a request can run in a pod.

    Args:
        request: what was asked for.
        set_by_the_pod: variables that the manifests set themselves; they are stronger than the settings file.

    Raises:
        SettingsError: naming everything that would go wrong, without values.
    """
    given = {name for name, value in _lines(request) if value}
    problems = [] if request.options.image else ["SUBMIT_IMAGE is missing: a pod runs an image."]
    problems += [
        f"{name} is a secret, and everybody who may read the namespace could read it here: use SUBMIT_S3_SECRET, SUBMIT_S3_ROLE or "
        "SUBMIT_HUB_TOKEN_SECRET."
        for name in sorted(given)
        if secret_names.is_secret(name)
    ]
    named = {name for name, _ in _lines(request)}
    problems += [f"{name} comes from the pod; leave it out here." for name in sorted(named & set_by_the_pod)]
    mounted = _mounted(request)
    lost = {name for name, path in _local_paths(request) if not path.startswith(mounted)}
    problems += [f"{name} names a local path, which no pod has: use {_instead(name)}." for name in sorted(lost - set_by_the_pod)]
    if CONFIG_VARIABLE in given:
        problems.append(f"{CONFIG_VARIABLE} names a file, which no pod has: write its settings as lines.")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(f"The settings file cannot run on Kubernetes:\n{lines}", "docs/kubernetes.md has an example.")


def _lines(request: Request) -> Iterator[tuple[str, str]]:
    """Every line that the pods would read: the settings file's, and each variant's, which lie in a ConfigMap as well."""
    yield from request.for_the_job().items()
    for variant in request.variants:
        yield from variant.items()


def _local_paths(request: Request) -> Iterator[tuple[str, str]]:
    """Every local path that the runs would read from or write to, by the variable that says so."""
    for settings in request.runs:
        for name, place in _places(settings):
            location = uri.parse(place)
            if location.scheme == "file":
                yield name, location.path
        if settings.parallel.deepspeed_config is not None:
            yield DEEPSPEED, str(PurePosixPath(settings.parallel.deepspeed_config))
    for name, value in _lines(request):
        if value and (name in FILES_OF_LIBRARIES or _is_setting_in_a_file(name)):
            yield name, str(PurePosixPath(value))


def _is_setting_in_a_file(name: str) -> bool:
    return name.endswith(root.FILE_SUFFIX) and name.removesuffix(root.FILE_SUFFIX) in root.variables()


def _places(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every place of one run, by its setting: those whose names end with URI."""
    for name in root.variables():
        group, _, field = name.removeprefix(root.PREFIX).lower().partition(root.DELIMITER)
        if field.endswith("uri"):
            value = getattr(getattr(settings, group), field) or ()
            yield from ((name, place) for place in ((value,) if isinstance(value, str) else value))


def _mounted(request: Request) -> tuple[str, ...]:
    """The folders of the pod that hold something when it starts."""
    asked = request.options
    mounts = {WORK: asked.cache_claim, HUB_MOUNT: asked.hub_token_secret}
    return tuple(folder for folder, secret_or_claim in mounts.items() if secret_or_claim is not None)


def _instead(name: str) -> str:
    """What to use in place of a local path."""
    on_a_claim = f"SUBMIT_CACHE_CLAIM and a path below {WORK}"
    setting = name.removesuffix(root.FILE_SUFFIX)
    if name.startswith("AWS_"):
        return "SUBMIT_S3_SECRET or SUBMIT_S3_ROLE"
    if name == "HF_TOKEN_PATH" or secret_names.is_secret(setting):
        return "SUBMIT_HUB_TOKEN_SECRET"
    if name == DEEPSPEED:
        return on_a_claim
    return f"{'s3:// or the Hub' if setting == name else f'{setting} with its text'}, or {on_a_claim}"
