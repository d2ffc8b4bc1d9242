"""What the check of access concludes from the Hub's answers; the requests themselves are in tests/integration/test_hub_push.py."""

import pytest

from job.errors import DeniedError, SettingsError
from job.storage import hub_push
from job.storage.hub import HubOptions

OPTIONS = HubOptions(variable="JOB_OUTPUT__HUB_REPO")


@pytest.fixture
def check(monkeypatch):
    """``check(repository, who, writes)``: ``writes`` is True, None for a repository that is not there, or an error."""

    def run(repo_id, who, writes):
        class Hub:
            def __init__(self, options):
                assert options is OPTIONS

            def require_token(self): ...

            def call(self, what, function):
                if "rights" in what:
                    return who
                if isinstance(writes, Exception):
                    raise writes
                if writes is None:
                    raise SettingsError("no such repository")
                return None

        monkeypatch.setattr(hub_push, "Hub", Hub)
        hub_push.check_access(repo_id, OPTIONS)

    return run


def who(role="write", org="write"):
    return {"name": "someone", "orgs": [{"name": "org", "roleInOrg": org}], "auth": {"accessToken": {"role": role}}}


@pytest.mark.parametrize("repo_id", ["org/new", "someone/new"])
def test_a_repository_can_be_made_in_ones_own_namespaces(check, repo_id):
    check(repo_id, who(), None)
    check(repo_id, who("fineGrained"), None)


def test_one_that_is_there_and_may_be_written_is_enough(check):
    check("elsewhere/shared", who(), True)


def test_what_would_fail_at_the_end_fails_at_the_start(check):
    with pytest.raises(DeniedError, match="may read only") as caught:
        check("org/name", who("read"), None)
    assert "JOB_OUTPUT__HUB_TOKEN_FILE" in caught.value.hint
    with pytest.raises(SettingsError, match="neither the token's user nor one of its organizations"):
        check("elsewhere/new", who(), None)
    with pytest.raises(DeniedError, match="may only read in the organization"):
        check("org/new", who(org="read"), None)
    with pytest.raises(DeniedError, match="forbids") as caught:
        check("org/name", who(), DeniedError("The Hub forbids it.", "another hint"))
    assert caught.value.hint == hub_push.HINT
