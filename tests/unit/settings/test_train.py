import pytest

from tests.support.environments import load, refusal


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("EPOCHS", ("0", "-1", "inf", "nan", "three")),
        ("MAX_STEPS", ("0", "1.5")),
        ("LEARNING_RATE", ("0", "1.01")),
        ("WARMUP_RATIO", ("-0.1", "1")),
        ("ADAM_BETA1", ("1",)),
        ("ADAM_EPSILON", ("0",)),
        ("MAX_GRAD_NORM", ("-1",)),
        ("GLOBAL_BATCH_SIZE", ("0",)),
        ("MICRO_BATCH_TOKENS", ("0",)),
        ("MAX_SEQ_LENGTH", ("1",)),
        ("DATA_WORKERS", ("-1", "65")),
        ("MAX_NONFINITE_STEPS", ("-1",)),
        ("SCHEDULE", ("Linear",)),
        ("PRECISION", ("fp8",)),
    ],
)
def test_bounds(name, values):
    for value in values:
        assert f"JOB_TRAIN__{name}: " in refusal(**{f"TRAIN__{name}": value}), value


def test_numbers_as_people_write_them():
    train = load(TRAIN__LEARNING_RATE="2e-5", TRAIN__EPOCHS="0.25", TRAIN__MAX_GRAD_NORM="0").train
    assert (train.learning_rate, train.epochs, train.max_grad_norm) == (2e-5, 0.25, 0.0)


def test_a_micro_batch_is_part_of_a_global_batch():
    assert "JOB_TRAIN__MICRO_BATCH_SIZE is larger than" in refusal(TRAIN__MICRO_BATCH_SIZE="9", TRAIN__GLOBAL_BATCH_SIZE="8")
    assert load(TRAIN__MICRO_BATCH_SIZE="8", TRAIN__GLOBAL_BATCH_SIZE="8").train.micro_batch_size == 8
