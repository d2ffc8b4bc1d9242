"""The whole job as a user runs it: settings in, a published model out."""

import hashlib
import json
import random
import time

import pytest

from tests.support import jobs, tiny


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "train.csv", tiny.sentences(300))
    tiny.write_csv(folder / "test.csv", tiny.sentences(60, seed=7))
    return folder


def _environ(inputs, folder, **more):
    places = {"RUN__DIR": str(folder / "runs"), "OUTPUT__URI": str(folder / "store"), "DATA__TEST_URI": str(inputs / "test.csv")}
    return tiny.environ(inputs, **{**places, **more})


@pytest.fixture(scope="module")
def complete(inputs, tmp_path_factory):
    """A run of two workers, from nothing to complete."""
    folder = tmp_path_factory.mktemp("complete")
    environ = _environ(inputs, folder, PARALLEL__WORKERS_PER_NODE="2", TRAIN__EPOCHS="6", TRAIN__LEARNING_RATE="3e-3")
    ended = jobs.run(environ, folder / "log", cold=True)
    assert ended.code == 0, ended.output
    return folder, environ, ended


def test_history_says_what_happened(complete):
    folder, _, _ = complete
    kinds = [entry["kind"] for entry in jobs.log_entries(folder / "store", "tiny")]
    assert kinds == ["started", "committed", "published", "complete"]


def test_published_files_are_those_of_the_manifest(complete):
    model = jobs.published(complete[0] / "store", "tiny")
    manifest = json.loads((model / "MANIFEST.json").read_bytes())
    listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    there = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()} - {"MANIFEST.json"}
    assert set(listed) == there
    assert all(hashlib.sha256((model / path).read_bytes()).hexdigest() == sha for path, sha in listed.items())
    reports = {
        f"report/{name}" for name in ("report.html", "metrics.json", "predictions.parquet", "settings.json", "versions.json")
    }
    assert (
        there
        >= {"model.safetensors", "config.json", "tokenizer.json", "README.md", "report/ledger.json", "report/metrics.jsonl"}
        | reports
    )


def test_published_model_loads_with_its_label_names(complete):
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(jobs.published(complete[0] / "store", "tiny")))
    answers = classify(["the film was superb and lovely", "the film was awful and grim"])
    assert [answer["label"] for answer in answers] == ["positive", "negative"]


def test_evaluation_is_of_the_test_data(complete):
    folder, _, ended = complete
    scores = json.loads((folder / "runs" / "tiny" / "report" / "metrics.json").read_bytes())
    assert (scores["split"], scores["num_examples"]) == ("test", 60)
    assert scores["metrics"]["accuracy"] > max(base["accuracy"] for base in scores["baselines"].values())
    assert scores["interval"]["low"] <= scores["metrics"]["accuracy"] <= scores["interval"]["high"]
    assert "report.html" in ended.output


def test_two_workers_were_engaged(complete):
    record = json.loads((complete[0] / "runs" / "tiny" / "report" / "training.json").read_bytes())
    assert (record["engine"]["wrapped_class"], record["engine"]["world_size"]) == ("DistributedDataParallel", 2)


def test_a_complete_run_is_not_run_again(complete):
    folder, environ, _ = complete
    before = jobs.log_entries(folder / "store", "tiny")
    ended = jobs.run(environ, folder / "again")
    assert ended.code == 0
    assert "complete already" in ended.output
    assert jobs.log_entries(folder / "store", "tiny") == before


def test_five_stops_lose_nothing(inputs, tmp_path):
    """SIGTERM at random moments: 75 each time, and in the end the weights of a run that was never stopped."""
    long = {"TRAIN__MAX_STEPS": "1200", "EVAL__EVERY_STEPS": "300", "CHECKPOINT__EVERY_STEPS": "150"}
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    reference = jobs.run(_environ(inputs, undisturbed, **long), undisturbed / "log")
    assert reference.code == 0, reference.output
    disturbed = tmp_path / "disturbed"
    disturbed.mkdir()
    environ = _environ(inputs, disturbed, **long)
    seed = random.SystemRandom().randrange(10**6)
    draw = random.Random(seed)
    print(f"seed {seed}")
    early = jobs.run(environ, disturbed / "log0", stop_after_s=draw.uniform(0.7, 3))
    assert early.code == 75, f"seed {seed}: {early.output}"
    for number in range(1, 5):
        log = disturbed / f"log{number}"
        code = _stop_while_training(environ, disturbed, log, draw.uniform(0, 2))
        assert code == 75, f"seed {seed}, stop {number}: {log.read_text()}"
        assert json.loads(log.read_text().strip().splitlines()[-1])["name"] == "stopped"
    last = jobs.run(environ, disturbed / "last")
    assert last.code == 0, last.output
    weights = [(jobs.published(folder / "store", "tiny") / "model.safetensors").read_bytes() for folder in (undisturbed, disturbed)]
    assert weights[0] == weights[1], f"seed {seed}"
    attempts = [entry for entry in jobs.log_entries(disturbed / "store", "tiny") if entry["kind"] == "started"]
    assert len(attempts) <= 6


def _stop_while_training(environ, folder, log, delay_s):
    """SIGTERM so many seconds after training has begun; the whole run takes longer than all these delays, however fast the machine."""
    plan = folder / "runs" / "tiny" / "plan.json"
    plan.unlink(missing_ok=True)
    process = jobs.start(environ, log)
    jobs.wait_for(plan.exists, process)
    time.sleep(delay_s)
    process.terminate()
    return process.wait(120)


def test_a_stop_continues_on_another_machine(inputs, tmp_path):
    """The run directory is gone: everything needed is in the store."""
    import shutil

    environ = _environ(inputs, tmp_path, TRAIN__MAX_STEPS="400", CHECKPOINT__EVERY_STEPS="20")
    process = jobs.start(environ, tmp_path / "first")
    _wait_for(lambda: any(entry["kind"] == "committed" for entry in jobs.log_entries(tmp_path / "store", "tiny")), process)
    process.terminate()
    assert process.wait(120) == 75, (tmp_path / "first").read_text()
    stopped_at = max(
        entry["fields"]["step"] for entry in jobs.log_entries(tmp_path / "store", "tiny") if entry["kind"] == "committed"
    )
    shutil.rmtree(tmp_path / "runs")
    ended = jobs.run(environ, tmp_path / "second")
    assert ended.code == 0, ended.output
    assert stopped_at >= 20
    plan = json.loads((tmp_path / "runs" / "tiny" / "plan.json").read_bytes())
    assert plan["start_step"] == stopped_at


def test_two_processes_in_one_folder(inputs, tmp_path):
    """The second is told so, and the first is not disturbed."""
    environ = _environ(inputs, tmp_path)
    first = jobs.start(environ, tmp_path / "first")
    _wait_for(lambda: jobs.log_entries(tmp_path / "store", "tiny"), first)
    second = jobs.run(environ, tmp_path / "second")
    assert (second.code, second.failure["name"]) == (76, "fenced")
    assert first.wait(300) == 0, (tmp_path / "first").read_text()


def _wait_for(condition, process, timeout_s=120):
    import time

    end = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, "the job ended early"
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)
