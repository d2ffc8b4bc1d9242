from tests.support.environments import load, refusal


def test_all_weights_by_default():
    assert load().tuning.method == "full"
    assert "JOB_TUNING__METHOD: " in refusal(TUNING__METHOD="magic")
