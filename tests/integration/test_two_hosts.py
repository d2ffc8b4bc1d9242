"""Two hosts that share nothing but a network and a store, with a node process on each, as schedulers start them.

One run is left alone.  Another is stopped at one host, then loses one host at a time, and is started again each time; it ends with
the same weights, bit for bit.
"""

import json
import signal
from types import SimpleNamespace

import boto3
import pytest

from tests.support import hosts, jobs, parts, recipes, tiny

BUCKET, NAME = "two-hosts", "tiny"
GONE_S = 90
"""Far more than a node needs to notice that another one is gone, and far less than any time-out of a collective."""
STEPS = {
    "TRAIN__MAX_STEPS": "200",
    "CHECKPOINT__EVERY_STEPS": "20",
    "EVAL__EVERY_STEPS": "100",
    "PARALLEL__THREADS_PER_WORKER": "1",
    "PARALLEL__NUM_NODES": "2",
    "PARALLEL__MAIN_ADDRESS": "main-node",
}


@pytest.fixture(scope="module")
def pair(ceph, tmp_path_factory):
    """The two hosts."""
    parts.need("two hosts in network namespaces (root, iproute2, util-linux)", there=hosts.are_possible())
    port = int(ceph.http.url.rpartition(":")[2])
    with hosts.two_hosts(tmp_path_factory.mktemp("hosts"), port) as found:
        yield found


@pytest.fixture(scope="module")
def client(ceph, tmp_path_factory):
    """The store as this machine sees it, with the inputs in it."""
    options = {"aws_access_key_id": ceph.http.key, "aws_secret_access_key": ceph.http.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=ceph.http.url, **options)
    folder = tmp_path_factory.mktemp("inputs")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "data/train.csv", tiny.sentences(300))
    tiny.write_csv(folder / "data/test.csv", tiny.sentences(60, seed=7))
    client.create_bucket(Bucket=BUCKET)
    for path, content in recipes.contents(folder).items():
        client.put_object(Bucket=BUCKET, Key=f"inputs/{path}", Body=content)
    yield client
    client.close()


@pytest.fixture(scope="module")
def begin(pair, ceph, client, tmp_path_factory):
    """``begin(folder, prefix, **more)``: the run on both hosts; ``only_b`` are variables of the second alone.  All down at the end."""
    started = []

    def start(folder, prefix, only_b=None, **more):
        processes = []
        for rank, host in enumerate(pair):
            places = {
                "MODEL__URI": f"s3://{BUCKET}/inputs/model",
                "DATA__TRAIN_URI": f"s3://{BUCKET}/inputs/data/train.csv",
                "DATA__TEST_URI": f"s3://{BUCKET}/inputs/data/test.csv",
                "OUTPUT__URI": f"s3://{BUCKET}/{prefix}",
                "PARALLEL__NODE_RANK": str(rank),
            }
            own = (only_b or {}) if rank else {}
            variables = tiny.environ(folder / host.name, **{**places, **STEPS, **more, **own}) | ceph.http.environment()
            processes.append(host.start(variables, folder / host.name))
        started.extend(processes)
        return processes

    yield start
    hosts.end(*started)


def ends(processes, folder, timeout_s=240):
    """(exit codes, outputs), hosts in their order."""
    codes = [process.wait(timeout_s) for process in processes]
    return codes, [(folder / f"host-{name}" / "log").read_text(errors="replace") for name in "ab"]


def content(client, key):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def keys(client, prefix):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def entries(client, prefix):
    return [json.loads(content(client, key)) for key in sorted(keys(client, f"{prefix}/{NAME}/log/"))]


def kinds(client, prefix):
    return [entry["kind"] for entry in entries(client, prefix)]


def last_step(client, prefix):
    return max((entry["fields"]["step"] for entry in entries(client, prefix) if entry["kind"] == "committed"), default=0)


def manifest_of(client, prefix, entry):
    return json.loads(content(client, f"{prefix}/{entry['fields']['manifest']}"))


def weights(client, prefix):
    (published,) = (entry for entry in entries(client, prefix) if entry["kind"] == "published")
    return content(client, f"{prefix}/{published['fields']['manifest'].rpartition('/')[0]}/model.safetensors")


def after_a_commit(client, prefix, processes, act):
    """Wait for a commit that is newer than all there are, then act."""
    before = last_step(client, prefix)
    jobs.wait_for(lambda: last_step(client, prefix) > before, processes[0])
    act()


@pytest.fixture(scope="module")
def undisturbed(begin, client, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    codes, outputs = ends(begin(folder, "undisturbed"), folder)
    return SimpleNamespace(codes=codes, outputs=outputs, folder=folder)


@pytest.fixture(scope="module")
def disturbed(begin, client, tmp_path_factory):
    """What became of both hosts in each of four starts: stopped at b, b killed, a killed, left alone."""
    folder, prefix = tmp_path_factory.mktemp("disturbed"), "disturbed"
    acts = {
        "stopped": lambda processes: hosts.send(processes[1], signal.SIGTERM),
        "without b": lambda processes: hosts.send(processes[1], signal.SIGKILL),
        "without a": lambda processes: hosts.send(processes[0], signal.SIGKILL),
    }
    found = SimpleNamespace(folder=folder, steps=[])
    for name, act in acts.items():
        processes = begin(folder, prefix)
        after_a_commit(client, prefix, processes, lambda act=act, processes=processes: act(processes))
        codes, outputs = ends(processes, folder, GONE_S)
        setattr(found, name.replace(" ", "_"), SimpleNamespace(codes=codes, outputs=outputs, kinds=kinds(client, prefix)))
        found.steps.append(last_step(client, prefix))
    codes, outputs = ends(begin(folder, prefix), folder)
    found.last = SimpleNamespace(codes=codes, outputs=outputs)
    return found


def test_it_trains_on_both_and_is_published_once(undisturbed, client):
    assert undisturbed.codes == [0, 0], undisturbed.outputs
    found = kinds(client, "undisturbed")
    assert found.count("started") == found.count("published") == found.count("complete") == 1
    trained = json.loads((undisturbed.folder / "host-a/runs" / NAME / "train.json").read_bytes())
    assert trained["engine"]["world_size"] == 2
    assert trained["engine"]["wrapped_class"] == "DistributedDataParallel"


def test_one_manifest_holds_the_parts_of_both(undisturbed, client):
    committed = [entry for entry in entries(client, "undisturbed") if entry["kind"] == "committed"]
    manifest = manifest_of(client, "undisturbed", committed[-1])
    assert (manifest["num_nodes"], manifest["world_size"]) == (2, 2)
    by_node = {node: {file["path"] for file in manifest["files"] if file["node"] == node} for node in (0, 1)}
    assert {"state.json", "model.safetensors"} <= by_node[0]
    assert by_node[1] == {"node-1.json"}


def test_the_second_host_wrote_no_model_and_left_nothing_to_upload(undisturbed):
    run = undisturbed.folder / "host-b/runs" / f"{NAME}.node-1"
    assert not (run / "model").exists()
    assert list((run / "checkpoints").iterdir()) == []
    assert not list((undisturbed.folder / "host-b/runs").glob(f"{NAME}/*"))


def test_logs_of_both_hosts_are_in_the_store(undisturbed, client):
    names = {key.rpartition("/")[2] for key in keys(client, f"undisturbed/{NAME}/attempts/")}
    assert {f"logs-node-{said}-000001.jsonl" for said in ("0-train", "1-train", "0-evaluate")} <= names


def test_a_stop_of_one_host_stops_both_with_one_commit(disturbed):
    assert disturbed.stopped.codes == [75, 75], disturbed.stopped.outputs
    assert disturbed.stopped.kinds[-1] == "stopped"
    assert disturbed.stopped.kinds.count("started") == 1
    records = [json.loads(output.strip().splitlines()[-1]) for output in disturbed.stopped.outputs]
    assert records[0]["last_commit"]
    assert "SIGTERM" in records[1]["message"] or "Stopped on request" in records[1]["message"]


@pytest.mark.parametrize(
    ("name", "left", "gone"), [("without_b", 0, "Node 1 (host-b) is gone"), ("without_a", 1, "Node 0 (host-a) is gone")]
)
def test_a_host_that_is_gone_ends_the_other_with_a_code_that_is_tried_again(disturbed, name, left, gone):
    start = getattr(disturbed, name)
    assert start.codes[left] == 70, start.outputs
    assert start.codes[1 - left] not in {0, 75}
    assert gone in json.loads(start.outputs[left].strip().splitlines()[-1])["message"]


def test_it_goes_on_from_the_last_commit_each_time(disturbed, client):
    assert disturbed.last.codes == [0, 0], disturbed.last.outputs
    assert disturbed.steps == sorted(set(disturbed.steps))
    plan = json.loads((disturbed.folder / "host-a/runs" / NAME / "plan.json").read_bytes())
    assert plan["start_step"] == disturbed.steps[-1]


def test_no_step_is_done_twice_or_left_out(disturbed):
    lines = (disturbed.folder / "host-a/runs" / NAME / "metrics.jsonl").read_text().splitlines()
    steps = [record["step"] for record in map(json.loads, lines) if "train/loss" in record]
    assert steps == sorted(set(steps))


def test_the_weights_are_those_of_the_undisturbed_run(undisturbed, disturbed, client):
    assert weights(client, "undisturbed") == weights(client, "disturbed")


@pytest.mark.parametrize(
    ("only_b", "said"),
    [
        ({"TRAIN__LEARNING_RATE": "2e-3"}, "differ in: JOB_TRAIN__LEARNING_RATE."),
        ({"PARALLEL__NUM_NODES": "3"}, "node 1 (host-b) of 3"),
    ],
)
def test_nodes_that_were_started_differently_do_not_start(begin, client, tmp_path, only_b, said):
    codes, outputs = ends(begin(tmp_path, "different", only_b), tmp_path)
    assert codes == [64, 64], outputs
    assert all(said in output for output in outputs)
    assert kinds(client, "different") == []


def test_a_node_whose_data_is_different_is_named(begin, client, tmp_path):
    other = tiny.write_csv(tmp_path / "other.csv", tiny.sentences(299))
    codes, outputs = ends(begin(tmp_path, "data", {"DATA__TRAIN_URI": str(other)}), tmp_path)
    assert codes == [65, 65], outputs
    assert "Node 0 (host-a) and node 1 (host-b) have different data: data/train." in outputs[1]
    assert kinds(client, "data") == ["started", "failed"]


def test_a_node_that_is_alone_says_so(pair, ceph, client, tmp_path):
    variables = tiny.environ(
        tmp_path, OUTPUT__URI=f"s3://{BUCKET}/alone", PARALLEL__NODE_RANK="1", PARALLEL__RENDEZVOUS_TIMEOUT_S="1", **STEPS
    )
    process = pair[1].start(variables | ceph.http.environment(), tmp_path / "b")
    assert process.wait(60) == 69
    assert "The main node was not met at port" in (tmp_path / "b/log").read_text()
