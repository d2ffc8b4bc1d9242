"""What is in the image and what is not; the commands that need no run."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support import house, parts, tiny
from tests.support.containers.podman import is_installed, podman, variables

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
import importlib.metadata, importlib.util, json, pathlib
found = {found.name.lower().replace("_", "-"): found.version for found in importlib.metadata.distributions()}
folders = [pathlib.Path(importlib.util.find_spec(name).origin).parent for name in ("torch", "transformers", "job")]
compiled = [len(list(folder.glob("**/*.pyc"))) / len(list(folder.glob("**/*.py"))) for folder in folders]
print(json.dumps([found, compiled]))
"""
    found, compiled = python(image, program)
    assert {name: found[name].partition("+")[0] for name in LOCKED if name != "setuptools"} == {
        name: version for name, version in LOCKED.items() if name != "setuptools"
    }
    assert "pip" not in found
    assert "uv" not in found
    assert min(compiled) > 0.95


def test_the_bill_of_materials_names_all_python_packages(image):
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
package = [os.path.relpath(os.path.join(folder, name), "/opt/job/job") for folder, _, files in os.walk("/opt/job/job") for name in files]
print(json.dumps([found, sorted(os.listdir("/opt/job")), package]))
"""
    found, beside, package = python(image, program)
    assert found == []
    assert [name for name in beside if not name.endswith(".dist-info")] == ["bin", "job"]
    here = [path.relative_to(house.ROOT) for folder in ("job", "k8s", "slurm") for path in house.ROOT.glob(f"{folder}/**/*")]
    expected = {str(path.relative_to("job") if path.parts[0] == "job" else Path("submit") / path) for path in here}
    sources = {name for name in package if not name.endswith(".pyc")}
    assert len(sources) > 100, "the package is where it is looked for"
    assert not sources - expected
    assert {Path(name).suffix for name in sources} <= {".py", ".j2", ".css", ".yaml", ".env", ".md", ".sbatch", ".txt"}
    assert not [name for name in sources if Path(name).name.startswith(".")]


def test_what_a_working_folder_holds_beside_the_sources_does_not_reach_the_builder(tmp_path):
    """As the builder reads `.dockerignore`: whatever a later COPY may ask for, a secret is not there to be copied."""
    parts.need("podman with runc and mmdebstrap", there=is_installed())
    sources = {"job/a.py", "k8s/base/pod.yaml", "slurm/job.sbatch", "README.md", "LICENSE", "pyproject.toml", "requirements.lock"}
    secrets = {".env", "run.env", "uv.toml", "key.pem", ".git/config", "job/.env", "job/a/.token", "k8s/base/.secret"}
    others = {"runs/a/log", "published/a", "data/train.csv", "tests/test_a.py", ".venv/a", "job/__pycache__/a.pyc"}
    context, found = tmp_path / "context", tmp_path / "found"
    for name in sources | secrets | others:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("planted")
    shutil.copy(house.ROOT / ".dockerignore", context)
    recipe = tmp_path / "Containerfile"
    recipe.write_text("FROM scratch\nCOPY . /\n")
    podman("build", f"--file={recipe}", f"--output=type=local,dest={found}", str(context))
    assert {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()} == sources
