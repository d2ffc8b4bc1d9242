"""What is in the image and what is not; the commands that need no run."""

import json
import re

import pytest

from tests.support import house, tiny
from tests.support.containers.podman import podman, variables

OFFLINE = ["--rm", "--pull=never", "--network=none", "--read-only", "--cap-drop=ALL"]
LOCKED = dict(re.findall(r"^([\w.-]+)==(\S+)", (house.ROOT / "requirements.lock").read_text(), re.MULTILINE))


def run(image, *command, options=(), check=True):
    return podman("run", *OFFLINE, *options, image, *command, check=check)


def python(image, program):
    return json.loads(podman("run", *OFFLINE, "--entrypoint=python", image, "-c", program).stdout)


@pytest.fixture(scope="module")
def config(image):
    return json.loads(podman("image", "inspect", image).stdout)[0]


def test_the_contract_with_whoever_starts_it(config):
    about = config["Config"]
    assert (about["Entrypoint"], about["Cmd"]) == (["tini", "--", "python", "-m", "job"], ["run"])
    assert (about["User"], about["WorkingDir"], about["StopSignal"]) == ("10001:10001", "/work", "SIGTERM")
    assert {"title", "description", "licenses", "version", "revision"} <= {
        name.removeprefix("org.opencontainers.image.") for name in about["Labels"]
    }
    caches = {name: value for name, value in (entry.split("=", 1) for entry in about["Env"]) if re.search("CACHE|HOME|DIR$", name)}
    assert len(caches) >= 7
    assert all(value.startswith("/work") for value in caches.values()), caches
    assert not [entry for entry in about["Env"] if entry.startswith("JOB_")], "they would win over a user's YAML file"


def test_a_wrong_setting_is_64_before_anything_else(image):
    done = run(image, "check", options=variables(tiny.environ(tiny.Path("/x"), TRAIN__EPOCHS="many")), check=False)
    assert done.returncode == 64
    assert "JOB_TRAIN__EPOCHS" in done.stderr
    done = run(image, options=variables({"JOB_RUN__NAME": "a"}), check=False)
    assert done.returncode == 64
    assert json.loads(done.stderr.strip().splitlines()[-1])["name"] == "settings"


def test_check_and_settings(image):
    assert "The settings are right" in run(image, "check", options=variables(tiny.environ(tiny.Path("/x")))).stdout
    assert run(image, "settings").stdout.strip() == (house.ROOT / "docs/settings.md").read_text().strip()


def test_everything_is_there_at_its_locked_version_and_as_byte_code(image):
    program = """
import importlib.metadata, json, pathlib, sysconfig
found = {found.name.lower().replace("_", "-"): found.version for found in importlib.metadata.distributions()}
site = pathlib.Path(sysconfig.get_paths()["purelib"])
compiled = [len(list(site.glob(f"{name}/**/*.pyc"))) / len(list(site.glob(f"{name}/**/*.py"))) for name in ("torch", "transformers", "job")]
print(json.dumps([found, compiled]))
"""
    found, compiled = python(image, program)
    assert {name: found[name].partition("+")[0] for name in LOCKED if name != "setuptools"} == {
        name: version for name, version in LOCKED.items() if name != "setuptools"
    }
    assert "pip" not in found
    assert "uv" not in found
    assert min(compiled) > 0.95


def test_the_bill_of_materials_names_it_all(image):
    path = "/usr/share/sbom/finetune-job.cdx.json"
    bill = python(image, f"print(open('{path}').read())")
    assert bill["bomFormat"] == "CycloneDX"
    found = {component["name"].lower().replace("_", "-"): component for component in bill["components"]}
    assert {name for name in LOCKED if name != "setuptools"} <= found.keys()
    assert found["torch"]["version"].partition("+")[0] == LOCKED["torch"]
    assert found["torch"]["purl"].startswith("pkg:pypi/torch@")
    assert all(found[name].get("licenses") for name in ("torch", "numpy", "boto3"))


def test_nothing_of_this_folder_is_in_it_but_the_package(image):
    """Names that a working folder may hold, secrets among them; and what the build itself needed."""
    program = """
import json, os
names = {".git", ".env", "runs", "published", "tests", "benchmarks", "Dockerfile", "uv.toml", ".cache", "source"}
skipped = ("/proc", "/sys", "/dev", "/opt/venv/lib/python3.11/site-packages")
found = []
for folder, below, files in os.walk("/"):
    below[:] = [name for name in below if not os.path.join(folder, name).startswith(skipped)]
    found += [os.path.join(folder, name) for name in {*below, *files} & names]
job = "/opt/venv/lib/python3.11/site-packages/job"
found += [os.path.join(folder, name) for folder, _, files in os.walk(job) for name in files if not name.endswith((".py", ".pyc", ".j2", ".css"))]
print(json.dumps(found))
"""
    assert python(image, program) == []
