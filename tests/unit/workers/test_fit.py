import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from job.errors import SettingsError
from job.run_dir import RunDir
from job.settings.tuning import TuningSettings
from job.workers import fit
from job.workers.fit import ModelSize, Place, choose, need
from job.workers.tuning import adapters
from tests.support import seq2seq, tiny

N = 1_000_000_000
SIZE = ModelSize(N, N, 24, 2048)
GB = 10**9


def place(world_size, gigabytes, precision="fp32"):
    return Place(world_size, gigabytes * GB, precision)


@pytest.mark.parametrize(
    ("mode", "world", "weights", "gradients", "optimizer"),
    [
        ("single", 1, 4.0, 4.0, 8.0),
        ("ddp", 4, 4.0, 4.0, 8.0),
        ("zero1", 4, 4.0, 4.0, 3.0),
        ("zero2", 4, 4.0, 1.0, 3.0),
        ("zero3", 4, 1.0, 1.0, 3.0),
    ],
)
def test_the_formula(mode, world, weights, gradients, optimizer):
    found = need(mode, SIZE, place(world, 1))
    assert (found.weights / N, found.gradients / N, found.optimizer / N) == pytest.approx((weights, gradients, optimizer))
    assert found.total == found.weights + found.gradients + found.optimizer + found.buffers + fit.LIBRARIES_BYTES


@pytest.mark.parametrize(
    ("mode", "world", "precision", "buffers"),
    [
        ("ddp", 4, "fp32", 0.0),
        ("zero1", 4, "fp32", 0.2),
        ("zero1", 1, "fp32", 4.0),  # nothing to let go of before the flat copy is made
        ("zero1", 4, "bf16", 0.1),
        ("zero2", 4, "fp32", 1.0),  # the flat gradients of the update
        ("zero2", 16, "fp32", 0.4),  # two buckets of the backward pass
        ("zero3", 2, "fp32", 2.0),
        ("zero3", 4, "fp32", 1.4),  # gathered weights and three buckets
        ("zero3", 4, "bf16", 1.0),
    ],
)
def test_what_is_there_for_a_part_of_a_step(mode, world, precision, buffers):
    assert need(mode, SIZE, place(world, 1, precision)).buffers / N == pytest.approx(buffers)


def test_16_bits_halve_what_is_worked_with_and_not_what_is_kept():
    full, half = (need("zero3", SIZE, place(4, 1, precision)) for precision in ("fp32", "bf16"))
    assert half.weights == full.weights / 2
    assert half.optimizer == full.optimizer


def test_only_what_is_trained_has_gradients_and_moments():
    found = need("ddp", ModelSize(N, N // 100, 24, 2048), place(2, 1))
    assert (found.weights, found.gradients, found.optimizer) == (4 * N, 4 * N // 100, 8 * N // 100)


@pytest.mark.parametrize(
    ("world", "gigabytes", "expected"), [(1, 80, "single"), (8, 80, "ddp"), (8, 17, "zero1"), (8, 13, "zero2"), (8, 10, "zero3")]
)
def test_the_simplest_engine_that_fits(tmp_path, world, gigabytes, expected):
    found = choose(SIZE, place(world, gigabytes), tiny.settings(tmp_path))
    assert (found.mode, found.fits) == (expected, True)
    assert list(found.needs) == (["single"] if world == 1 else ["ddp", "zero1", "zero2", "zero3"])
    assert f"Engine {expected} on {world} process(es)" in found.sentence
    assert ("too large: ddp 16.43 GB" in found.sentence) == (expected.startswith("zero"))


def test_nothing_fits_and_it_is_said(tmp_path):
    found = choose(SIZE, place(1, 8), tiny.settings(tmp_path))
    assert (found.mode, found.fits) == ("single", False)
    assert "does not fit" in found.sentence


@pytest.mark.parametrize(("given", "mode"), [({"PARALLEL__ENGINE": "ddp"}, "ddp"), ({"PARALLEL__ENGINE": "deepspeed"}, "zero2")])
def test_an_engine_that_was_asked_for_is_kept(tmp_path, given, mode):
    assert choose(SIZE, place(8, 4), tiny.settings(tmp_path, **given)).mode == mode


def test_the_micro_batch_is_halved_until_it_fits(tmp_path):
    settings = tiny.settings(tmp_path, TRAIN__MICRO_BATCH_TOKENS="16384")
    per_token = fit.activation_bytes_per_token(SIZE, "fp32")
    room = need("single", SIZE, place(1, 1)).total + 5000 * per_token
    found = choose(SIZE, Place(1, int(room / fit.USABLE_SHARE) + 1, "fp32"), settings)
    assert (found.micro_batch_tokens, found.fits) == (4096, True)
    applied = found.apply(settings)
    assert (applied.train.micro_batch_tokens, applied.parallel.engine) == (4096, "single")
    assert choose(SIZE, place(1, 10_000), settings).micro_batch_tokens == 16384


def test_zero_becomes_settings(tmp_path):
    settings = tiny.settings(tmp_path)
    applied = choose(SIZE, place(8, 10), settings).apply(settings).parallel
    assert (applied.engine, applied.zero_stage) == ("deepspeed", 3)


def test_logits_of_every_token_count_where_words_are_predicted():
    plain, words = (fit.activation_bytes_per_token(ModelSize(1, 1, 2, 8, vocabulary), "fp32") for vocabulary in (0, 1000))
    assert plain == fit.ACTIVATION_VALUES * 2 * 8 * 4
    assert words - plain == fit.LOGIT_VALUES * 4 * 1000


def test_a_model_s_size_from_its_files(tmp_path):
    run_dir, settings = RunDir(tmp_path / "run"), tiny.settings(tmp_path)
    tiny.write_model(run_dir.input_model)
    found = fit.measure(run_dir, settings)
    assert (found.layers, found.width, found.vocabulary) == (2, 32, 0)
    assert found.trained == found.parameters
    assert fit.measure(run_dir, settings.model_copy(update={"task": "causal-lm"})).vocabulary > 0
    lora = tiny.settings(tmp_path, TUNING__METHOD="lora")
    assert fit.measure(run_dir, lora).trained == fit.trained(found, lora.tuning)
    run_dir.input_adapter.mkdir()
    save_file({"a": torch.zeros(7, 3)}, run_dir.input_adapter / "adapter_model.safetensors")
    assert fit.measure(run_dir, lora).trained == 21
    (run_dir.input_model / "model.safetensors").unlink()
    alone = fit.measure(run_dir, tiny.settings(tmp_path, MODEL__FROM_CONFIG="true"))
    assert 0 < alone.parameters <= found.parameters  # without the head that the file holds
    with pytest.raises(SettingsError, match="no weights"):
        fit.measure(run_dir, settings)


@pytest.mark.parametrize("kind", seq2seq.CONFIGS)
def test_a_decoder_s_layers_count_beside_its_encoder_s(tmp_path, kind):
    run_dir = RunDir(tmp_path / "run")
    seq2seq.write_model(run_dir.input_model, kind)
    found = fit.measure(run_dir, tiny.settings(tmp_path, TASK="seq2seq"))
    assert (found.layers, found.width) == (4, 32)
    assert found.vocabulary > 0


def test_what_a_method_trains():
    size = ModelSize(N, N, 24, 2048)
    assert fit.trained(size, TuningSettings()) == N
    assert fit.trained(size, TuningSettings(method="freeze")) == 0
    assert fit.trained(size, TuningSettings(method="freeze", train_last_layers=6)) == N // 4
    assert fit.trained(size, TuningSettings(method="freeze", train_last_layers=99)) == N
    assert fit.trained(size, TuningSettings(method="lora")) == fit.trained(size, TuningSettings(method="lora", lora_rank=16)) / 2
    assert fit.trained(size, TuningSettings(method="lora"), continued=123) == 123


def test_an_adapter_s_estimate_is_no_less_than_the_adapter(tmp_path):
    """Every linear map of a Llama-like layer, its widest kind."""
    width, layers, rank = 64, 2, 8
    config = LlamaConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=4, vocab_size=50
    )
    made = adapters.add(LlamaForCausalLM(config), TuningSettings(method="lora", lora_rank=rank))
    real = sum(parameter.numel() for parameter in made.parameters() if parameter.requires_grad)
    assert real == fit.trained(ModelSize(10**9, 10**9, layers, width), TuningSettings(method="lora", lora_rank=rank))


def test_only_methods_that_deepspeed_trains_lead_there(tmp_path):
    refused = choose(SIZE, place(8, 10), tiny.settings(tmp_path, TUNING__METHOD="qlora"))
    assert (refused.mode, list(refused.needs), refused.fits) == ("ddp", ["ddp"], False)
    found = choose(SIZE, place(8, 10), tiny.settings(tmp_path, TUNING__METHOD="freeze"))
    assert (found.mode, found.fits) == ("zero3", True)


def test_a_worker_s_share_of_the_host(monkeypatch):
    monkeypatch.setattr(fit.topology, "host_memory", lambda: 100)
    assert fit.bytes_of(torch.device("cpu"), 4) == 25
