import pytest
import yaml

from job.errors import SettingsError
from job.submit import kubernetes, shipped
from tests.support.submissions import asked, variants

SHIPPED = kubernetes.read(shipped.folder("k8s"))


def filled(request):
    files = kubernetes.fill(SHIPPED, request)
    return {name: yaml.safe_load(text) if name.endswith(".yaml") else text for name, text in files.items()}


@pytest.mark.parametrize("changes", [{}, {"SUBMIT_NODES": "4"}, {"SUBMIT_VARIANTS_PATH": "yes"}])
def test_the_overlay_follows_from_the_request(tmp_path, changes):
    changes = {name: variants(tmp_path) if value == "yes" else value for name, value in changes.items()}
    expected = {"": "single", "SUBMIT_NODES": "multi-node", "SUBMIT_VARIANTS_PATH": "sweep"}["".join(changes)]
    assert kubernetes.overlay(asked(tmp_path, **changes)) == expected


def test_nothing_is_lost_and_nothing_added(tmp_path):
    assert filled(asked(tmp_path)).keys() == SHIPPED.keys()


def test_what_was_not_asked_for_stays_as_it_is_shipped(tmp_path):
    files = kubernetes.fill(SHIPPED, asked(tmp_path))
    changed = {name for name in SHIPPED if files[name] != SHIPPED[name]}
    assert changed == {"base/settings.env", "base/pod.yaml", "overlays/single/kustomization.yaml", "overlays/single/job.yaml"}


def test_settings_are_the_jobs(tmp_path):
    text = filled(asked(tmp_path, JOB_TRAIN__EPOCHS="2", AWS_REGION="r"))["base/settings.env"]
    assert "JOB_TRAIN__EPOCHS=2\n" in text
    assert "AWS_REGION=r\n" in text
    assert "SUBMIT_" not in text


def test_size(tmp_path):
    pod = filled(asked(tmp_path, SUBMIT_GPUS="8", SUBMIT_CPUS="96", SUBMIT_MEMORY_GIB="900", SUBMIT_DISK_GIB="500"))[
        "base/pod.yaml"
    ]
    spec = pod["template"]["spec"]
    size = {"cpu": "96", "memory": "900Gi", "ephemeral-storage": "520Gi", "nvidia.com/gpu": "8"}
    assert spec["containers"][0]["resources"] == {"requests": size, "limits": size}
    assert spec["volumes"][0]["emptyDir"]["sizeLimit"] == "500Gi"


def test_without_gpus_none_is_asked_for(tmp_path):
    pod = filled(asked(tmp_path, SUBMIT_GPUS="0"))["base/pod.yaml"]
    assert not [name for name in pod["template"]["spec"]["containers"][0]["resources"]["limits"] if "gpu" in name]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("host:5000/a/b:1", {"newName": "host:5000/a/b", "newTag": "1"}),
        ("b", {"newName": "b"}),
        ("a/b@sha256:ff", {"newName": "a/b", "digest": "sha256:ff"}),
    ],
)
def test_image(tmp_path, image, expected):
    kustomization = filled(asked(tmp_path, SUBMIT_IMAGE=image))["overlays/single/kustomization.yaml"]
    assert kustomization["images"] == [{"name": "finetune-job"} | expected]


def test_names(tmp_path):
    kustomization = filled(asked(tmp_path, SUBMIT_NAMESPACE="team"))["overlays/single/kustomization.yaml"]
    assert (kustomization["nameSuffix"], kustomization["namespace"]) == ("-first", "team")


def test_components_and_what_they_refer_to(tmp_path):
    files = filled(
        asked(
            tmp_path,
            SUBMIT_QUEUE="team-a", SUBMIT_SPOT="true", SUBMIT_S3_SECRET="keys", SUBMIT_HUB_TOKEN_SECRET="hub", SUBMIT_CACHE_CLAIM="claim",
            SUBMIT_METRICS="true",
        )
    )  # fmt: skip
    named = files["overlays/single/kustomization.yaml"]["components"]
    assert [name.rpartition("/")[2] for name in named] == ["kueue", "spot", "s3-secret", "hub-token", "pvc-cache", "prometheus"]
    everything = yaml.safe_dump(files)
    assert all(f"name: {name}" in everything or f"Name: {name}" in everything for name in ("keys", "hub", "claim"))
    assert files["components/kueue/queue.yaml"]["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "team-a"}
    assert "finetune-s3" not in everything


def test_role(tmp_path):
    files = filled(asked(tmp_path, SUBMIT_S3_ROLE="arn:aws:iam::1:role/x"))
    assert "arn:aws:iam::1:role/x" in yaml.safe_dump(files["components/s3-irsa/service-account.yaml"])


def test_nodes_stand_in_all_places(tmp_path):
    files = filled(asked(tmp_path, SUBMIT_NODES="4", SUBMIT_TIME_LIMIT_S="3600"))
    spec = files["overlays/multi-node/jobset.yaml"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["activeDeadlineSeconds"]) == (4, 4, 3600)
    env = files["overlays/multi-node/nodes.yaml"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "PET_NNODES", "value": "4"} in env


def test_a_sweep(tmp_path):
    files = filled(asked(tmp_path, SUBMIT_VARIANTS_PATH=variants(tmp_path, 5), SUBMIT_VARIANTS_AT_ONCE="3"))
    spec = files["overlays/sweep/job.yaml"]["spec"]
    assert (spec["completions"], spec["maxFailedIndexes"], spec["parallelism"]) == (5, 5, 3)
    assert files["overlays/sweep/variants.txt"] == (tmp_path / "variants.txt").read_text()


def test_a_sweeps_time_limit_is_each_pods(tmp_path):
    """The Job's own would end variants that have not begun."""
    files = filled(asked(tmp_path, SUBMIT_VARIANTS_PATH=variants(tmp_path), SUBMIT_TIME_LIMIT_S="3600"))
    assert files["overlays/sweep/variants.yaml"]["template"]["spec"]["activeDeadlineSeconds"] == 3600
    assert "activeDeadlineSeconds" not in files["overlays/sweep/job.yaml"]["spec"]


@pytest.mark.parametrize(
    "changes",
    [
        {"JOB_RUN__DIR": "/x"},
        {"JOB_LIMITS__STORE_TIMEOUT_S": "9", "SUBMIT_SPOT": "true"},
        {"JOB_MODEL__HUB_TOKEN_FILE": "run.env", "SUBMIT_HUB_TOKEN_SECRET": "hub"},
    ],
)
def test_what_the_chosen_parts_set_may_not_be_set(tmp_path, monkeypatch, changes):
    (tmp_path / "run.env").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="comes from the pod"):
        kubernetes.fill(SHIPPED, asked(tmp_path, **changes))


def test_written_as_it_was_read(tmp_path):
    kubernetes.write(SHIPPED, tmp_path)
    assert kubernetes.read(tmp_path) == SHIPPED
