"""What a run held for a moment counts, on the fullest of its machines."""

import json
import time

from tests.faults import peak
from tests.faults.bench import BALLAST, NAME, Subject
from tests.faults.peak import Peak


def subject_in(folder, size, *, checkpoint=100):
    """A run that holds ``size`` bytes here and committed a checkpoint of so many."""
    subject = Subject(None, folder)
    subject.started.append(("here", None))
    write(subject.run_dir() / "inputs", size)
    entry = {"kind": "committed", "fields": {"size_bytes": checkpoint}}
    (subject.store / NAME / "log").mkdir(parents=True)
    (subject.store / NAME / "log" / "1.json").write_text(json.dumps(entry))
    return subject


def write(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def test_what_lay_there_while_it_ran_counts(tmp_path):
    subject = subject_in(tmp_path / "run", 50)
    with Peak(subject) as watched:
        write(subject.run_dir() / "checkpoints", 1000)
        end = time.monotonic() + 20
        while watched.most_bytes < 1050 and time.monotonic() < end:
            time.sleep(0.01)
        (subject.run_dir() / "checkpoints").unlink()
    assert watched.most_bytes == 1050
    assert subject.local_bytes() == 50


def test_the_bound_is_twice_an_undisturbed_run_and_four_checkpoints(tmp_path):
    reference = subject_in(tmp_path / "undisturbed", 50)
    subject = subject_in(tmp_path / "run", 0, checkpoint=200)
    assert peak.bound_bytes(subject, reference) == 2 * 50 + 4 * 200
    watched = Peak(subject, most_bytes=900)
    assert watched.check(reference) == []
    watched.most_bytes += 1
    assert "901 bytes lay on one machine's disk" in watched.check(reference)[0]
    assert watched.check(reference, input_bytes=1) == []
    watched.most_bytes += 1
    assert watched.check(reference, input_bytes=1) != []


def test_machines_are_counted_apart_and_neither_store_nor_ballast(tmp_path):
    subject = subject_in(tmp_path, 50)
    subject.started.append(("there", None))
    write(subject.run_dir("there") / "inputs", 70)
    write(subject.folder / "here" / BALLAST, 1000)
    write(subject.store / "object", 1000)
    assert subject.local_bytes() == 70
