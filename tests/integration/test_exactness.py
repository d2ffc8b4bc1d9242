"""A run that continues from a checkpoint ends with the weights of one that was never stopped, bit for bit."""

import hashlib
import shutil

import pytest

from tests.support import tiny

SAVED, LAST = 9, 17
"""13 steps are an epoch: the checkpoint lies in the middle of the first, the end in the second."""


def _run(folder, name, micro_batch_size, data_workers):
    return tiny.prepared_run(
        folder,
        name,
        TRAIN__MAX_STEPS=str(LAST),
        TRAIN__MICRO_BATCH_SIZE=str(micro_batch_size),
        TRAIN__DATA_WORKERS=str(data_workers),
        TRAIN__SCHEDULE="cosine",
        TRAIN__WARMUP_RATIO="0.1",
        TRAIN__WEIGHT_DECAY="0.01",
        CHECKPOINT__EVERY_STEPS=str(SAVED),
        EVAL__EVERY_STEPS="4",
    )


def _weights(run_dir):
    return hashlib.sha256((run_dir.model / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("world", [1, 2])
def test_continuing_is_bit_exact(tmp_path, world):
    variants = [(16, 0), (2, 2), (16 // world // 2, 0)]
    whole = [_run(tmp_path, f"whole{n}", *variant) for n, variant in enumerate(variants)]
    tiny.train_all(whole, world)
    halves = []
    for n, (variant, reference) in enumerate(zip(variants, whole, strict=True)):
        half = _run(tmp_path, f"half{n}", variant[0], 2 - variant[1])  # other data workers than before
        shutil.copytree(reference.checkpoint(SAVED), half.input_checkpoint)
        halves.append(half)
    tiny.train_all(halves, world)
    for reference, half in zip(whole, halves, strict=True):
        assert (half.checkpoint(LAST) / "model.safetensors").read_bytes() == (
            reference.checkpoint(LAST) / "model.safetensors"
        ).read_bytes()
        assert (half.checkpoint(LAST) / "optimizer.safetensors").read_bytes() == (
            reference.checkpoint(LAST) / "optimizer.safetensors"
        ).read_bytes()
        assert _weights(half) == _weights(reference)
    assert len({_weights(run) for run in whole}) == len(whole)  # dropout was on: other cuts draw other masks
