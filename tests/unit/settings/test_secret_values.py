"""Every secret this process holds is known to the log filter."""

from job.settings import root
from job.settings.secret_values import SECRET_VARIABLES, secret_values

NEEDED = {"JOB_RUN__NAME": "n", "JOB_MODEL__URI": "m", "JOB_DATA__TRAIN_URI": "d", "JOB_OUTPUT__URI": "o"}


def test_settings_and_libraries_variables_are_found():
    environ = {**NEEDED, "JOB_MODEL__HUB_TOKEN": "from-settings", **{name: f"value-of-{name}" for name in SECRET_VARIABLES}}
    found = secret_values(root.load(environ), environ)
    assert set(found) == {"from-settings", *(f"value-of-{name}" for name in SECRET_VARIABLES)}


def test_what_is_not_there_is_no_secret():
    assert secret_values(root.load(NEEDED), {**NEEDED, "HF_TOKEN": ""}) == ()
