import json

from job.submit import difference, docker
from tests.support.submissions import asked


def of_container(request, *env, image=(), name="old:1"):
    return difference.of_container({"Image": name, "Env": list(env)}, image, docker.command(request, "docker"), request)


def changed(text):
    return [line for line in text.splitlines() if line[0] in "+-" and not line.startswith(("---", "+++"))]


def same(request):
    """The variables of a container that was started by the same request."""
    return [*(f"{name}={value}" for name, value in request.variables.items()), "JOB_RUN__DIR=/work/runs", "JOB_RUN__GRACE_S=600"]


def test_the_same_is_no_difference(tmp_path):
    request = asked(tmp_path, SUBMIT_PASS_ENV="AWS_PROFILE")
    env = [*same(request), "AWS_PROFILE=x", "PATH=/bin", "container=podman", "HOSTNAME=c"]
    assert not of_container(request, *env, image=["PATH=/bin"], name=request.options.image)


def test_a_variable_that_is_set_no_more_is_shown(tmp_path):
    request = asked(tmp_path)
    text = of_container(request, *same(request), "JOB_TRAIN__EPOCHS=9", "HTTPS_PROXY=http://p", name=request.options.image)
    assert changed(text) == ["-HTTPS_PROXY=http://p", "-JOB_TRAIN__EPOCHS=9"]


def test_one_that_overrules_the_images_is_looked_at(tmp_path):
    request = asked(tmp_path, HF_HOME="/cache")
    env = [*same(asked(tmp_path)), "HF_HOME=/old"]
    text = of_container(request, *env, image=["HF_HOME=/old"], name=request.options.image)
    assert changed(text) == ["-HF_HOME=/old", "+HF_HOME=/cache"]


def test_a_secret_that_changed_is_shown_as_changed_and_not_what_it_is(tmp_path):
    names = ("JOB_MODEL__HUB_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY")
    request = asked(tmp_path, **dict.fromkeys(names, "sesame-new"))
    text = of_container(request, *same(asked(tmp_path)), *(f"{name}=sesame-old" for name in names))
    assert "sesame" not in text
    assert all(f"{sign}{name}=**********" in changed(text) for name in names for sign in "+-")


def test_what_is_handed_on_by_name_is_new_or_not_looked_at(tmp_path):
    request = asked(tmp_path, SUBMIT_PASS_ENV="AWS_PROFILE")
    assert changed(of_container(request, *same(request), name=request.options.image)) == ["+AWS_PROFILE=as it is here"]


def job(settings, **more):
    pod = {"containers": [{"envFrom": [{"configMapRef": {"name": settings}}]}], "volumes": [{"configMap": {"name": "variants-1"}}]}
    return {"kind": "Job", "metadata": {"name": "finetune-first"} | more, "spec": {"template": {"spec": pod}}}


def config_map(name, **data):
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def live(manifest):
    """As a cluster shows it: with what was applied, and more."""
    applied = manifest | {"metadata": manifest["metadata"] | {"namespace": "team", "annotations": {}}}
    metadata = {"uid": "1", "namespace": "team", "annotations": {difference.LAST_APPLIED: json.dumps(applied)}}
    return manifest | {"metadata": manifest["metadata"] | metadata, "status": {"active": 1}}


def test_config_maps_are_found_where_a_pod_reads_them():
    assert difference.config_maps(job("settings-1")) == {"settings-1", "variants-1"}


def test_what_was_applied_is_compared_and_not_what_the_cluster_made_of_it():
    before, after = (
        [job("settings-1"), config_map("settings-1", EPOCHS="1")],
        [job("settings-2"), config_map("settings-2", EPOCHS="2")],
    )
    assert not difference.of_manifests([live(manifest) for manifest in before], before)
    text = difference.of_manifests([live(manifest) for manifest in before], after)
    assert {"-  EPOCHS: '1'", "+  EPOCHS: '2'", "-  name: settings-1", "+  name: settings-2"} <= set(changed(text))
    assert not [line for line in changed(text) if "uid" in line or "status" in line or "namespace" in line]


def test_without_what_was_applied_there_is_what_lives():
    text = difference.of_manifests([config_map("settings-1", EPOCHS="1")], [config_map("settings-1", EPOCHS="2")])
    assert changed(text) == ["-  EPOCHS: '1'", "+  EPOCHS: '2'"]


def test_a_secret_of_an_older_config_map_is_hidden():
    before = live(config_map("settings-1", JOB_OUTPUT__HUB_TOKEN="sesame"))
    text = difference.of_manifests([before], [config_map("settings-1", JOB_RUN__SEED="1")])
    assert "JOB_OUTPUT__HUB_TOKEN: '**********'" in text or "JOB_OUTPUT__HUB_TOKEN: **********" in text
    assert "sesame" not in text
