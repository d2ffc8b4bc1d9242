"""Our LoRA beside peft's own in the same process: same batches, same seeds, the losses of 20 steps agree.

Tolerance: 1e-5 absolute, on losses about 0.7 in float32.  Both sides do the same products in the same order, so that in practice
they are equal; a different scaling, initialization, learning rate or set of trained weights is off by more than 1e-3 at once.
"""

import peft
import pytest
import torch
import transformers

from job.settings import resolved
from job.workers import train
from job.workers.boundary import Boundary, StopFile, Work
from job.workers.engine import Engine
from job.workers.loop import Loop
from tests.support import tiny

STEPS = 20


def ours(run_dir):
    """Losses of our loop, and its batches, in the order they were used."""
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    trainee = train.build(run_dir, settings, engine)
    boundary = Boundary(engine, settings, StopFile(engine, run_dir), Work(lambda _: True, lambda _: None, 100), lambda: None)
    records = []
    Loop(engine, settings, trainee.parts, trainee.state).run(STEPS, boundary, records.append)
    steps = [trainee.parts.feed[number] for number in range(STEPS)]
    return [record["train/loss"] for record in records], steps, trainee.model


def theirs(run_dir, steps, **config):
    """The usual loop over the same batches: get_peft_model, AdamW, one update a step."""
    settings = resolved.read(run_dir.settings)
    torch.manual_seed(settings.run.seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(run_dir.input_model, num_labels=2)
    model = peft.get_peft_model(
        model, peft.LoraConfig(task_type="SEQ_CLS", modules_to_save=["pre_classifier", "classifier"], **config)
    )
    model.train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2, weight_decay=0.0)
    losses = []
    for number, step in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - number / STEPS)
        (batch,) = step.batches
        loss = model(**batch.inputs, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses, model


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("variant", ["lora", "rslora and dora"])
def test_losses_and_weights_of_20_steps_agree(tmp_path, variant):
    tiny.write_model(tmp_path / "model", dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    both = {"TUNING__LORA_RSLORA": "true", "TUNING__LORA_DORA": "true"} if "dora" in variant else {}
    run_dir = tiny.prepared_run(
        tmp_path,
        "reference",
        TRAIN__MAX_STEPS=str(STEPS),
        TRAIN__LOG_EVERY_STEPS="1",
        TRAIN__LEARNING_RATE="1e-2",
        TRAIN__PADDING="longest",
        TUNING__METHOD="lora",
        TUNING__LORA_RANK="4",
        TUNING__LORA_ALPHA="32",
        TUNING__LORA_TARGETS="q_lin,v_lin",
        **both,
    )
    found, steps, model = ours(run_dir)
    config = {"r": 4, "lora_alpha": 32, "target_modules": ["q_lin", "v_lin"], "use_rslora": bool(both), "use_dora": bool(both)}
    expected, reference = theirs(run_dir, steps, **config)
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.02, "the weights moved"
    same = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert torch.allclose(parameter, same[name], atol=1e-4), name
