"""Settings that cannot be: told in one message by the names of the variables, before anything is made anywhere."""

from __future__ import annotations

import pytest

from tests.support import starts
from tests.support.starts import CANARY, Answer, bench

__all__ = ["bench"]

FILES = {
    "list.yaml": b"- epochs\n",
    "broken.yaml": b"train: {epochs: 3\n",
    "group.yaml": b"trian:\n  epochs: 3\n",
    "key.yaml": b"train:\n  epoch: 3\n",
    "value.yaml": f"train:\n  epochs: {CANARY}\n".encode(),
    "flat.yaml": f"train: {CANARY}\n".encode(),
    "nul.yaml": b'run: {dir: "a\\0b"}\n',
    "latin1.yaml": b"run: {name: \xe4}\n",
    "empty": b"",
    "binary": b"\xff\xfe",
}
WHERE = "`job settings`"
# fmt: off
SETTINGS: dict[str, tuple[dict[str, str | None], str]] = {
    # name: (what is changed, what the message says)
    "a letter missing": ({"JOB_TRAIN__EPOCH": "3"}, r"JOB_TRAIN__EPOCH is no setting\. Nearest: JOB_TRAIN__EPOCHS\."),
    "letters swapped": ({"JOB_TRIAN__EPOCHS": CANARY}, r"JOB_TRIAN__EPOCHS is no setting\. Nearest: JOB_TRAIN__EPOCHS\."),
    "one underscore": ({"JOB_MODEL__URI": None, "JOB_MODEL_URI": "x"}, r"JOB_MODEL_URI is no setting\. Nearest: JOB_MODEL__URI\..*JOB_MODEL__URI is missing"),
    "small letters": ({"job_train__epochs": "3"}, r"job_train__epochs is no setting\. Nearest: JOB_TRAIN__EPOCHS\."),
    "a word for a number": ({"JOB_TRAIN__EPOCHS": CANARY}, "JOB_TRAIN__EPOCHS: .*valid number"),
    "no epoch": ({"JOB_TRAIN__EPOCHS": "0"}, "JOB_TRAIN__EPOCHS: .*greater than 0"),
    "a learning rate over one": ({"JOB_TRAIN__LEARNING_RATE": "3"}, "JOB_TRAIN__LEARNING_RATE: .*less than or equal to 1"),
    "a learning rate that is no number": ({"JOB_TRAIN__LEARNING_RATE": "nan"}, "JOB_TRAIN__LEARNING_RATE: .*(finite|greater)"),
    "half an example": ({"JOB_TRAIN__GLOBAL_BATCH_SIZE": "1.5"}, "JOB_TRAIN__GLOBAL_BATCH_SIZE: .*integer"),
    "an unknown choice": ({"JOB_TRAIN__SCHEDULE": CANARY}, "JOB_TRAIN__SCHEDULE: .*'linear', 'cosine' or 'constant'"),
    "an unknown task": ({"JOB_TASK": CANARY}, "JOB_TASK: .*'text-classification'"),
    "a name with a slash": ({"JOB_RUN__NAME": f"a/{CANARY}"}, "JOB_RUN__NAME: "),
    "a name that leads out": ({"JOB_RUN__NAME": ".."}, "JOB_RUN__NAME: "),
    "an encoding nobody knows": ({"JOB_DATA__ENCODING": CANARY}, "JOB_DATA__ENCODING: no character encoding"),
    "bytes that are no text": ({"JOB_DATA__TRAIN_URI": "/data/\udcff.csv"}, "JOB_DATA__TRAIN_URI: .*unicode"),
    "no name": ({"JOB_RUN__NAME": None}, "JOB_RUN__NAME is missing"),
    "an empty name": ({"JOB_RUN__NAME": ""}, "JOB_RUN__NAME is missing"),
    "no data": ({"JOB_DATA__TRAIN_URI": None}, "JOB_DATA__TRAIN_URI is missing"),
    "data of commas": ({"JOB_DATA__TRAIN_URI": ",,"}, "JOB_DATA__TRAIN_URI: .*at least 1"),
    "nothing at all": (dict.fromkeys(("JOB_RUN__NAME", "JOB_RUN__DIR", "JOB_MODEL__URI", "JOB_DATA__TRAIN_URI", "JOB_OUTPUT__URI")), "4 settings are .*JOB_RUN__NAME is missing.*JOB_MODEL__URI is missing.*JOB_DATA__TRAIN_URI is missing.*JOB_OUTPUT__URI is missing"),
    "several at once": ({"JOB_TRAIN__EPOCH": "3", "JOB_TRAIN__LEARNING_RATE": "fast", "JOB_MODEL__URI": None}, "3 settings are wrong or missing"),
    "micro over global": ({"JOB_TRAIN__MICRO_BATCH_SIZE": "32"}, "JOB_TRAIN__MICRO_BATCH_SIZE is larger than JOB_TRAIN__GLOBAL_BATCH_SIZE"),
    "nothing left to train on": ({"JOB_DATA__EVAL_FRACTION": "0.6", "JOB_DATA__TEST_FRACTION": "0.4"}, "JOB_DATA__EVAL_FRACTION and JOB_DATA__TEST_FRACTION"),
    "no header, no names": ({"JOB_DATA__HEADER": "false"}, "JOB_DATA__HEADER=false needs JOB_DATA__COLUMN_NAMES"),
    "one column for both": ({"JOB_DATA__TEXT_COLUMN": CANARY, "JOB_DATA__LABEL_COLUMN": CANARY}, "name the same column"),
    "no checkpoints": ({"JOB_CHECKPOINT__EVERY_MINUTES": "0"}, "JOB_CHECKPOINT__EVERY_STEPS or JOB_CHECKPOINT__EVERY_MINUTES"),
    "patience for nothing": ({"JOB_EVAL__BEST_METRIC": "none", "JOB_EVAL__EARLY_STOPPING_PATIENCE": "2"}, "JOB_EVAL__EARLY_STOPPING_PATIENCE needs"),
    "a time limit within the grace": ({"JOB_RUN__TIME_LIMIT_S": "20"}, "JOB_RUN__TIME_LIMIT_S leaves nothing to train in"),
    "a store nobody knows": ({"JOB_OUTPUT__URI": f"gs://{CANARY}/x"}, "JOB_OUTPUT__URI: a URI begins with file://, s3://, hf://"),
    "the Hub as a store": ({"JOB_OUTPUT__URI": "hf://org/name"}, "JOB_OUTPUT__URI: the Hub is no store"),
    "a method nobody knows": ({"JOB_TUNING__METHOD": CANARY}, "JOB_TUNING__METHOD: .*'full', 'freeze', 'lora' or 'qlora'"),
    "an adapter's rank for all weights": ({"JOB_TUNING__LORA_RANK": "8"}, "JOB_TUNING__LORA_RANK is for JOB_TUNING__METHOD=lora or qlora, and JOB_TUNING__METHOD is full"),
    "an adapter's targets for frozen layers": ({"JOB_TUNING__METHOD": "freeze", "JOB_TUNING__LORA_TARGETS": CANARY}, "JOB_TUNING__LORA_TARGETS is for JOB_TUNING__METHOD=lora or qlora, and JOB_TUNING__METHOD is freeze"),
    "last layers for an adapter": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__TRAIN_LAST_LAYERS": "2"}, "JOB_TUNING__TRAIN_LAST_LAYERS is for JOB_TUNING__METHOD=freeze, and JOB_TUNING__METHOD is lora"),
    "publishing an adapter that there is not": ({"JOB_TUNING__PUBLISH": "merged"}, "JOB_TUNING__PUBLISH is for JOB_TUNING__METHOD=lora"),
    "less than no layers": ({"JOB_TUNING__METHOD": "freeze", "JOB_TUNING__TRAIN_LAST_LAYERS": "-1"}, "JOB_TUNING__TRAIN_LAST_LAYERS: .*greater than or equal to 0"),
    "rank 0": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_RANK": "0"}, "JOB_TUNING__LORA_RANK: .*greater than or equal to 1"),
    "alpha 0": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_ALPHA": "0"}, "JOB_TUNING__LORA_ALPHA: .*greater than 0"),
    "all dropped": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_DROPOUT": "1"}, "JOB_TUNING__LORA_DROPOUT: .*less than 1"),
    "targets of commas": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_TARGETS": ",,"}, "JOB_TUNING__LORA_TARGETS: .*at least 1"),
    "all linear and more": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_TARGETS": f"all-linear,{CANARY}"}, "JOB_TUNING__LORA_TARGETS names all-linear beside others"),
    "biases of another kind": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_BIAS": CANARY}, "JOB_TUNING__LORA_BIAS: .*'none', 'all' or 'lora_only'"),
    "four bits with ZeRO": ({"JOB_TUNING__METHOD": "qlora", "JOB_PARALLEL__ENGINE": "deepspeed", "JOB_PARALLEL__ZERO_STAGE": "3"}, "JOB_PARALLEL__ENGINE=deepspeed does not take JOB_TUNING__METHOD=qlora"),
    "DoRA by a word": ({"JOB_TUNING__METHOD": "lora", "JOB_TUNING__LORA_DORA": CANARY}, "JOB_TUNING__LORA_DORA: .*valid boolean"),
    "four bits merged": ({"JOB_TUNING__METHOD": "qlora", "JOB_TUNING__PUBLISH": "both"}, "JOB_TUNING__PUBLISH=both needs JOB_TUNING__METHOD=lora"),
    "a repository of one part": ({"JOB_OUTPUT__HUB_REPO": CANARY}, "JOB_OUTPUT__HUB_REPO: a repository on the Hub is written org/name"),
    "a repository with a scheme": ({"JOB_OUTPUT__HUB_REPO": f"hf://org/{CANARY}"}, "JOB_OUTPUT__HUB_REPO: a repository on the Hub is written org/name"),
    "a branch for no repository": ({"JOB_OUTPUT__HUB_REVISION": "first"}, "JOB_OUTPUT__HUB_REVISION without JOB_OUTPUT__HUB_REPO"),
    "a branch that is none": ({"JOB_OUTPUT__HUB_REPO": "org/name", "JOB_OUTPUT__HUB_REVISION": f"a..{CANARY}"}, "JOB_OUTPUT__HUB_REVISION: a branch is named"),
    "a token for no repository": ({"JOB_OUTPUT__HUB_TOKEN": CANARY}, "JOB_OUTPUT__HUB_TOKEN without JOB_OUTPUT__HUB_REPO"),
    "a base with keys in its address": ({"JOB_MODEL__BASE_URI": f"s3://key:{CANARY}@bucket/x"}, "JOB_MODEL__BASE_URI: a URI holds no credentials"),
    "keys in the address": ({"JOB_OUTPUT__URI": f"s3://key:{CANARY}@bucket/x"}, "JOB_OUTPUT__URI: a URI holds no credentials"),
    "NUL in a path": ({"JOB_RUN__DIR": None, "JOB_CONFIG": "{folder}/nul.yaml"}, "JOB_RUN__DIR: no path holds a NUL character"),
    "YAML that is not there": ({"JOB_CONFIG": f"{{folder}}/{CANARY}"}, "JOB_CONFIG names a file that cannot be read: No such file"),
    "YAML that is a folder": ({"JOB_CONFIG": "{folder}"}, "JOB_CONFIG names a file that cannot be read: Is a directory"),
    "YAML that is none": ({"JOB_CONFIG": "{folder}/broken.yaml"}, "JOB_CONFIG names a file that is not valid YAML at line"),
    "YAML that is a list": ({"JOB_CONFIG": "{folder}/list.yaml"}, "JOB_CONFIG must hold a mapping of groups"),
    "YAML in another encoding": ({"JOB_CONFIG": "{folder}/latin1.yaml"}, "JOB_CONFIG names a file that cannot be read: it is not UTF-8"),
    "YAML with an unknown group": ({"JOB_CONFIG": "{folder}/group.yaml"}, r"`trian` \(from JOB_CONFIG\) is no group of settings\. Nearest: `train`"),
    "YAML with an unknown key": ({"JOB_CONFIG": "{folder}/key.yaml"}, r"JOB_TRAIN__EPOCH \(from JOB_CONFIG\) is no setting\. Nearest: JOB_TRAIN__EPOCHS"),
    "YAML with a wrong value": ({"JOB_TRAIN__EPOCHS": None, "JOB_CONFIG": "{folder}/value.yaml"}, "JOB_TRAIN__EPOCHS: .*valid number"),
    "YAML with a value for a group": ({"JOB_TRAIN__EPOCHS": None, "JOB_TRAIN__LEARNING_RATE": None, "JOB_TRAIN__GLOBAL_BATCH_SIZE": None, "JOB_TRAIN__PRECISION": None, "JOB_CONFIG": "{folder}/flat.yaml"}, "`train` .*must be a group"),
    "a secret file that is not there": ({"JOB_MODEL__HUB_TOKEN_FILE": "{folder}/none"}, "JOB_MODEL__HUB_TOKEN_FILE names a file that cannot be read: No such file"),
    "a secret file that is empty": ({"JOB_MODEL__HUB_TOKEN_FILE": "{folder}/empty"}, "JOB_MODEL__HUB_TOKEN_FILE names a file that is empty"),
    "a secret file of bytes": ({"JOB_MODEL__HUB_TOKEN_FILE": "{folder}/binary"}, "JOB_MODEL__HUB_TOKEN_FILE names .* not UTF-8"),
}
CONTRADICTIONS: dict[str, tuple[dict[str, str | None], str, str]] = {
    # name: (what is changed, what the message says, what the hint names)
    "one process, two workers": ({"JOB_PARALLEL__ENGINE": "single", "JOB_PARALLEL__WORKERS_PER_NODE": "2"}, "JOB_PARALLEL__ENGINE=single runs one process", "Leave one of the two out"),
    "replicas of one": ({"JOB_PARALLEL__ENGINE": "ddp"}, "JOB_PARALLEL__ENGINE=ddp needs at least two workers", "JOB_PARALLEL__WORKERS_PER_NODE"),
    "a GPU that is not there": ({"JOB_PARALLEL__DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": ""}, "JOB_PARALLEL__DEVICE=cuda", "auto or cpu"),
    "four bits on a CPU": ({"JOB_TUNING__METHOD": "qlora", "CUDA_VISIBLE_DEVICES": ""}, "JOB_TUNING__METHOD=qlora needs a GPU", "JOB_TUNING__METHOD=lora"),
    "random weights that stay": ({"JOB_TUNING__METHOD": "freeze", "JOB_MODEL__FROM_CONFIG": "true"}, "JOB_MODEL__FROM_CONFIG makes them random", "JOB_TUNING__METHOD=full"),
    "the base in the run directory": ({"JOB_MODEL__BASE_URI": "{folder}/runs/tiny/model"}, "JOB_MODEL__BASE_URI lies within the run directory", "JOB_RUN__DIR"),
    "the store in the run directory": ({"JOB_OUTPUT__URI": "{folder}/runs/tiny/checkpoints"}, "JOB_OUTPUT__URI and JOB_RUN__DIR lead to the same folder", "Choose another JOB_RUN__DIR or JOB_OUTPUT__URI"),
    "the run directory in the store": ({"JOB_OUTPUT__URI": "file://{folder}/runs"}, "JOB_OUTPUT__URI and JOB_RUN__DIR lead to the same folder", "Choose another JOB_RUN__DIR or JOB_OUTPUT__URI"),
    "the model in the run directory": ({"JOB_MODEL__URI": "{folder}/runs/tiny/model"}, "JOB_MODEL__URI lies within the run directory", "JOB_RUN__DIR"),
    "data in the run directory": ({"JOB_DATA__TRAIN_URI": "{folder}/train.csv,{folder}/runs/tiny/inputs/data/train/*.csv"}, "JOB_DATA__TRAIN_URI lies within the run directory", "JOB_RUN__DIR"),
    "the run directory in the data": ({"JOB_DATA__TEST_URI": "{folder}"}, "JOB_DATA__TEST_URI is a folder with the run directory", "JOB_RUN__DIR"),
}
NO_RUN_DIR: dict[str, tuple[dict[str, str | None], str]] = {
    "a file": ({"JOB_RUN__DIR": "{folder}/train.csv"}, "JOB_RUN__DIR cannot hold the run directory .*: Not a directory"),
    "below a file": ({"JOB_RUN__DIR": "{folder}/train.csv/below"}, "JOB_RUN__DIR cannot hold the run directory .*: Not a directory"),
    "too long a name": ({"JOB_RUN__DIR": "{folder}/" + "x" * 300}, "JOB_RUN__DIR cannot hold the run directory .*: File name too long"),
}
# fmt: on
AS_PROCESS = ("a letter missing", "several at once")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting_is_told_before_anything_is_made(bench, capfd, name):
    for file, content in FILES.items():
        (bench.folder / file).write_bytes(content)
    before = sorted(bench.folder.rglob("*"))
    changes, says = SETTINGS[name]
    ended = starts.in_process(bench.environ(changes), capfd)
    starts.check_answer(ended, Answer(64, says, WHERE))
    assert ended.failure["stage"] == "settings"
    assert sorted(bench.folder.rglob("*")) == before
    assert ended.seconds < 1


@pytest.mark.parametrize("name", AS_PROCESS)
def test_the_process_says_the_same(bench, tmp_path, capfd, name):
    changes, says = SETTINGS[name]
    ended = starts.as_process(bench.environ(changes), tmp_path)
    starts.check_answer(ended, Answer(64, says, WHERE))
    assert ended.failure == starts.in_process(bench.environ(changes), capfd).failure
    assert not bench.run_dir.exists()


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_settings_that_contradict_each_other_or_the_machine(bench, capfd, name):
    kept = [bench.run_dir / "model" / "config.json", bench.run_dir / "inputs" / "data" / "train" / "a.csv"]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_text("the user's own")
    changes, says, remedy = CONTRADICTIONS[name]
    ended = starts.in_process(bench.environ(changes), capfd)
    starts.check_answer(ended, Answer(64, says, remedy))
    starts.check_run_dir(ended, bench.run_dir)
    assert [path.read_text() for path in kept] == ["the user's own"] * 2
    assert not bench.store.exists()


@pytest.mark.parametrize("name", NO_RUN_DIR)
def test_a_run_directory_that_cannot_be(bench, capfd, name):
    before = sorted(bench.folder.rglob("*"))
    changes, says = NO_RUN_DIR[name]
    ended = starts.in_process(bench.environ(changes), capfd)
    starts.check_answer(ended, Answer(64, says, ""))
    assert ended.failure["hint"]
    assert sorted(bench.folder.rglob("*")) == before
