from tests.support.environments import load, refusal


def test_a_run_is_stored_in_a_store():
    assert load(OUTPUT__URI="s3://bucket/runs").output.uri == "s3://bucket/runs"
    assert "JOB_OUTPUT__URI: the Hub is no store for a run" in refusal(OUTPUT__URI="hf://org/name")


def test_the_fence_is_on_unless_it_is_switched_off():
    assert load().output.fence == "required"
    assert "JOB_OUTPUT__FENCE: " in refusal(OUTPUT__FENCE="maybe")
