from pathlib import Path

from job.submit import slurm
from tests.support.submissions import asked, variants

FOLDER = Path("/opt/slurm")


def test_one_run(tmp_path):
    request = asked(
        tmp_path,
        SUBMIT_NODES="2",
        SUBMIT_TIME_LIMIT_S="90061",
        SUBMIT_PARTITION="gpu",
        SUBMIT_ACCOUNT="lab",
        SUBMIT_MEMORY_GIB="32",
    )
    assert slurm.command(request, FOLDER) == [
        "sbatch", "--job-name=finetune-first", "--nodes=2", "--cpus-per-task=8", "--mem=32G", "--time=1-01:01:01", "--gpus-per-node=1",
        "--export=JOB_SETTINGS_FILE", "--partition=gpu", "--account=lab", "/opt/slurm/job.sbatch",
    ]  # fmt: skip
    assert slurm.environment(request) == {"JOB_SETTINGS_FILE": str(tmp_path / "run.env")}


def test_a_sweep_is_an_array(tmp_path):
    request = asked(tmp_path, SUBMIT_VARIANTS_PATH=variants(tmp_path, 5), SUBMIT_GPUS="0")
    command = slurm.command(request, FOLDER)
    assert "--array=0-4%2" in command
    assert "--export=JOB_SETTINGS_FILE,JOB_SWEEP__VARIANTS_PATH" in command
    assert not [option for option in command if option.startswith("--gpus")]
    assert slurm.environment(request)["JOB_SWEEP__VARIANTS_PATH"] == str(tmp_path / "variants.txt")


def test_what_runs_is_found_by_its_name(tmp_path):
    assert "--name=finetune-first" in slurm.running(asked(tmp_path))


def test_the_warning_comes_as_early_as_the_grace_says(tmp_path):
    assert not [option for option in slurm.command(asked(tmp_path), FOLDER) if option.startswith("--signal")]
    assert "--signal=B:USR2@901" in slurm.command(asked(tmp_path, JOB_RUN__GRACE_S="900.5"), FOLDER)
