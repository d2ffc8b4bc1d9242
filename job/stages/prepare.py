"""Prepare: from fetched files to tokenized data and the token ledger, once per node, before any process group exists."""

from __future__ import annotations

from job import run_dir as run_dirs
from job.cluster import supervise
from job.errors import UnusableError
from job.records import FetchedInputs, PreparedData
from job.settings import resolved
from job.stages.agreement import agree_on_data
from job.stages.context import RunContext, digest


def prepare(context: RunContext, fetched: FetchedInputs) -> PreparedData:
    """Run the prepare program, unless this node already has what it would make.

    Raises:
        DataError: the data cannot be used as asked.
        UnusableError: the run to continue was trained on other inputs.
    """
    run_dir, settings = context.run_dir, context.settings
    limits = {name: value for name, value in resolved.dump(settings)["limits"].items() if name.endswith("_share")}
    request = digest([resolved.fingerprint(settings), limits, fetched.sources])
    marker = run_dir.marker("prepare")
    record = run_dir.prepared / "prepared.json"
    if not (marker.exists() and record.exists() and run_dirs.read_json(marker)["request"] == request):
        marker.unlink(missing_ok=True)
        supervise.run(context.crew.single(), "prepare")
        run_dirs.write_json(marker, {"request": request})
    prepared = PreparedData.read(record)
    identity = {
        "settings_fingerprint": resolved.fingerprint(settings),
        "data_fingerprint": digest(
            [prepared.fingerprint, *(fetched.sources[role]["sha256"] for role in ("model", "adapter") if role in fetched.sources)]
        ),
    }
    run_dirs.write_json(run_dir.identity, identity)
    agree_on_data(context, identity["data_fingerprint"], fetched.sources)
    if fetched.resumed_step is not None and fetched.resumed_data_fingerprint != identity["data_fingerprint"]:
        raise UnusableError(
            f"The checkpoint of step {fetched.resumed_step} was trained on other data or from another model than this start has fetched.",
            "Restore the former inputs, or start a new run under another JOB_RUN__NAME.",
        )
    return prepared
