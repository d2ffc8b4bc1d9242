"""The text of docs/troubleshooting.md, code by code; the headings and the table come from `job.errors`."""

INTRODUCTION = """\
# Troubleshooting, by exit code

Every end but success leaves one JSON object (code, name, message, hint, stage, step, last commit, attempt): as the last line on standard
error, in `failure.json` in the run directory and in the store below `attempts/<nonce>/`, and on Kubernetes in the pod's termination
message. Its message says what happened and why, its hint what to do. This page says where to look next.

Where the code itself is: `docker inspect --format '{{.State.ExitCode}}' NAME`; `kubectl describe pod POD`, last state;
`scontrol show job ID`, ExitCode and Comment.
"""

TEXTS = {
    64: """\
Everything that is wrong is in one message, by the name of its variable, without values. `job check` gives the same answer in under a
second, on any machine, without a GPU; `job settings --format resolved` shows what is in force.

- *is no setting. Nearest: …*: a misspelt variable. On Kubernetes a service called `job` would add such variables; the pod switches that off.
- It is right here and wrong there: compare `job settings --format resolved` in both places; the environment is stronger than the YAML file.
- A store without a sound put-if-absent is a setting as well: see [s3.md](s3.md).""",
    65: """\
The message names file, row and column. Limits on what may be cut, dropped or leaked are settings (`JOB_LIMITS__MAX_TRUNCATED_SHARE`,
`JOB_LIMITS__MAX_EMPTY_SHARE`, `JOB_LIMITS__MAX_UNKNOWN_LABEL_SHARE`, `JOB_LIMITS__MAX_LEAKED_SHARE`); the ledger in the report counts
what became of every example. Look at the data before raising a limit.""",
    69: """\
Requests are retried for `JOB_LIMITS__STORE_TIMEOUT_S` before this. Look for a name that does not resolve, a proxy, a certificate
(`AWS_CA_BUNDLE`), a wrong endpoint (`AWS_ENDPOINT_URL_S3`, `HF_ENDPOINT`). After uploads that failed in a row
(`JOB_CHECKPOINT__MAX_FAILED_UPLOADS`), what was trained since the last commit is trained again.""",
    70: """\
The stack is in the log above the last line; a worker's own log is in the run directory, `logs/train.log`.

- *vanished without an outcome … killed by signal 9*: nearly always memory of the machine (not of the GPU). Lower
  `JOB_TRAIN__MICRO_BATCH_TOKENS` or `JOB_TRAIN__DATA_WORKERS`, or give the job more. `/dev/shm` counts as memory of a pod.
- *Bus error*: `/dev/shm` is too small: `--shm-size` for Docker; on Kubernetes its volume is 8 GiB.""",
    71: """\
No worker made progress within `JOB_LIMITS__STALL_TIMEOUT_S`; the stacks of all of them, and each rank's last collectives with their
numbers, are in the worker's log. Most stand in a collective that is *not finished*: the rank that began fewer, or says nothing because its
process is frozen, is the one to look at. In reading: a network disk. A first step that compiles or a very large evaluation may need a
higher limit. On GPUs NCCL also writes its own record to `logs/nccl-trace-rank-*` of the run directory when a collective itself times out
(a minute after the watchdog's limit, so raise that one to see it); `torchfrtrace` compares the ranks.""",
    74: """\
The disk of `JOB_RUN__DIR` is full, read-only or broken. It holds inputs, prepared data, and two checkpoints (each about three times the
size of the weights in fp32). In a container only `/work`, `/tmp` and `/dev/shm` are writable. On Kubernetes the volume's size is
`SUBMIT_DISK_GIB`; a pod that outgrows it is evicted, with code 137.""",
    75: """\
Nothing is wrong: start the same run again and it continues. The message names the cause: a signal, the stop file, the end of the
allocation. If it comes back too early, look at the time limit and at the grace period (`JOB_RUN__GRACE_S`), which has to be the scheduler's.""",
    76: """\
A newer attempt began and owns the run; this one wrote nothing after that. Two jobs with the same `JOB_RUN__NAME` under the same
`JOB_OUTPUT__URI` are running: give one of them another name. After a node was lost and came back this is what ought to happen.
*Another process is running this job in …*: the same on one machine.""",
    77: """\
The message names the operation and the place. See the policy in [s3.md](s3.md): without the right to list, a missing object looks like a
forbidden one. For gated models accept the terms on the Hub with the token's account, and hand the token on as a file
(`JOB_MODEL__HUB_TOKEN_FILE`). Credentials that worked and do not any more have run out: use a role that is renewed.""",
    78: """\
Commits exist, and none of them can be used; the log says for each of them why: a file is missing or has another hash, or the settings or data
that decide the result are not the same. Put the settings back, or give the run a new name. The job never starts afresh over a run that has
commits.""",
    93: """\
Another start would end the same way.

- *diverged*: the message has the step and the examples' ids. A lower `JOB_TRAIN__LEARNING_RATE`, more warm-up, a look at those examples.
- *too large for memory*: one example alone does not fit: lower `JOB_TRAIN__MAX_SEQ_LENGTH`, use a smaller model or more memory.
- *no progress*: several attempts in a row ended without a commit (`JOB_LIMITS__MAX_FRUITLESS_ATTEMPTS`). Put right what ended them, see their
  `failure.json`; then raise the limit for one start, or make checkpoints more often than machines are lost.""",
}

ELSEWHERE = """\
## Other codes

| code | what it is |
|---|---|
| 1 | the interpreter or the container did not get as far as the job: a wrong command, a missing module |
| 137 | killed (SIGKILL): out of memory, evicted, or the grace period was too short for the last save; the next start continues from the last commit |
| 139 | the interpreter crashed in native code: look at the versions of driver, CUDA and torch |
| 143 | ended by SIGTERM before the job listened, in its first second |

A pod that is *Pending*, a Slurm job that is *PD*, and a container that is not there have no code: `kubectl describe pod`, `squeue --start`
and `docker ps --all` say what they wait for.
"""
