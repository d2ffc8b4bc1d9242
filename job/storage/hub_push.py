"""A folder to a repository on the Hub: whether that is possible, asked before any work is done, and then doing it in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.errors import DeniedError, SettingsError
from job.run_dir import TEMPORARY_PREFIX
from job.storage.hub import Hub, HubOptions

HINT = (
    "Give a token that may write to this repository in JOB_OUTPUT__HUB_TOKEN_FILE, or another JOB_OUTPUT__HUB_REPO; "
    "without JOB_OUTPUT__HUB_REPO nothing is pushed."
)
REPLACED = (
    *("config.json", "generation_config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("adapter_config.json", "adapter_base.json", "adapter_model.safetensors", "adapter/*", "report/*"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)
"""What an earlier publication may have left and the new one does not have: an old adapter_config.json beside a whole model would
be loaded in its place.  Files of other names are the repository's own and stay."""


@dataclass(frozen=True)
class Destination:
    """Where to, and what the commit says.

    ``branch`` None is the main branch; ``title`` and ``description`` are the commit's.
    """

    repo_id: str
    private: bool = True
    branch: str | None = None
    title: str = "Publish a model"
    description: str = ""


def check_access(repo_id: str, options: HubOptions) -> None:
    """See, without changing anything, that the token may push to a repository, or make it.

    Raises:
        DeniedError: the token is not valid, may only read, or may not write to this repository.
        SettingsError: the namespace is neither the token's user nor one of its organizations.
        UnavailableError: the Hub failed for longer than ``timeout_s``.
    """
    hub = Hub(options)
    try:
        hub.require_token()
        who: dict[str, Any] = hub.call("Asking the Hub for the token's rights", lambda api: api.whoami())
        exists = _may_write(hub, repo_id)
    except DeniedError as error:
        raise DeniedError(error.message, HINT) from error
    token = who.get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        raise DeniedError("The token used for JOB_OUTPUT__HUB_REPO may read only.", HINT)
    roles = {str(who.get("name")): "admin"} | {str(each["name"]): str(each.get("roleInOrg", "")) for each in who.get("orgs", [])}
    role = roles.get(repo_id.partition("/")[0])
    if role is None and not exists:
        raise SettingsError(
            "JOB_OUTPUT__HUB_REPO names a namespace that is neither the token's user nor one of its organizations.", HINT
        )
    if role == "read" and not exists:
        raise DeniedError("The token's user may only read in the organization that JOB_OUTPUT__HUB_REPO names.", HINT)


def push_folder(folder: Path, to: Destination, options: HubOptions) -> str:
    """Upload a folder to a model repository as one commit; the commit's URL.

    The repository and the branch are made if they are not there.  Repeating is safe: files that arrived are not sent again, and a
    folder that is there already makes no commit.

    Raises:
        DeniedError: the token may not write there.
        UnavailableError: the Hub failed for longer than ``timeout_s``.
    """
    hub, branch = Hub(options), to.branch or "main"
    hub.call("Creating the repository on the Hub", lambda api: api.create_repo(to.repo_id, private=to.private, exist_ok=True))
    if to.branch:
        hub.call("Creating the branch", lambda api: api.create_branch(to.repo_id, branch=branch, exist_ok=True))

    def commit(api: Any) -> str:
        # On top of what was there when it was looked at: a branch that moved in between is looked at again.
        head = api.repo_info(to.repo_id, revision=branch).sha
        made = api.upload_folder(
            repo_id=to.repo_id,
            folder_path=folder,
            revision=branch,
            parent_commit=head,
            commit_message=to.title,
            commit_description=to.description,
            ignore_patterns=[f"{TEMPORARY_PREFIX}*", f"*/{TEMPORARY_PREFIX}*"],
            delete_patterns=list(REPLACED),
        )
        return str(made.commit_url)

    return hub.call("Uploading to the Hub", commit)


def _may_write(hub: Hub, repo_id: str) -> bool:
    """Whether the repository is there; `DeniedError` when it is and may not be written."""
    try:
        hub.call("Asking the Hub for the right to write", lambda api: api.auth_check(repo_id, write=True))
    except SettingsError:
        return False
    return True
