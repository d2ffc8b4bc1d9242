from tests.support.environments import load, refusal


def test_a_run_is_stored_in_a_store():
    assert load(OUTPUT__URI="s3://bucket/runs").output.uri == "s3://bucket/runs"
    assert "JOB_OUTPUT__URI: the Hub is no store for a run" in refusal(OUTPUT__URI="hf://org/name")


def test_the_fence_is_on_unless_it_is_switched_off():
    assert load().output.fence == "required"
    assert "JOB_OUTPUT__FENCE: " in refusal(OUTPUT__FENCE="maybe")


def test_a_repository_on_the_hub_has_two_parts():
    assert load(OUTPUT__HUB_REPO="org/name").output.hub_private
    for wrong in ("name", "hf://org/name", "org/name@main", "org/na--me", "org/name.git", "org/a/b"):
        assert "JOB_OUTPUT__HUB_REPO: a repository on the Hub is written org/name" in refusal(OUTPUT__HUB_REPO=wrong)


def test_a_branch_is_one_that_git_takes():
    assert load(OUTPUT__HUB_REPO="o/n", OUTPUT__HUB_REVISION="candidates/first").output.hub_revision == "candidates/first"
    for wrong in ("a..b", "-a", "refs/pr/1", "a b", "a/", "a//b"):
        assert "JOB_OUTPUT__HUB_REVISION: a branch is named" in refusal(OUTPUT__HUB_REPO="o/n", OUTPUT__HUB_REVISION=wrong)


def test_the_rest_of_the_hub_needs_a_repository():
    text = refusal(OUTPUT__HUB_TOKEN="hf_sesame", OUTPUT__HUB_REVISION="first")
    assert "JOB_OUTPUT__HUB_REVISION and JOB_OUTPUT__HUB_TOKEN without JOB_OUTPUT__HUB_REPO" in text
    assert "sesame" not in text
