"""float16's loss scale in a checkpoint: the same numbers for torch's scaler and for DeepSpeed's, so another engine can go on with them.

Without them a continued run begins with the highest scale and skips steps until it has found the right one again: it trains on fewer
examples than the run that was never stopped.
"""

from __future__ import annotations

from typing import Any

import torch

SCALE, GOOD_STEPS, HYSTERESIS = "scale", "good_steps", "hysteresis"


def read(scaler: Any) -> dict[str, float] | None:
    """What a scaler has come to: its scale, the updates since it last changed or was too high, and DeepSpeed's patience.

    Returns None where the losses are not scaled, or by a number that never changes.
    """
    if isinstance(scaler, torch.amp.GradScaler):
        state = scaler.state_dict()
        return {SCALE: state["scale"], GOOD_STEPS: state["_growth_tracker"]} if state else None
    if not getattr(scaler, "dynamic", False):
        return None
    good = scaler.cur_iter - scaler.last_overflow_iter - 1
    return {SCALE: float(scaler.cur_scale), GOOD_STEPS: good, HYSTERESIS: scaler.cur_hysteresis}


def restore(scaler: Any, values: dict[str, float] | None) -> None:
    """Let a scaler go on where another one stopped; nothing where either of them does not scale."""
    if values is None or read(scaler) is None:
        return
    good = int(values[GOOD_STEPS])
    if isinstance(scaler, torch.amp.GradScaler):
        state = scaler.state_dict()
        # It looks for its interval exactly: a longer count, of another scaler, would never meet it.
        scaler.load_state_dict({**state, "scale": values[SCALE], "_growth_tracker": good % int(state["growth_interval"])})
        return
    scaler.cur_scale, scaler.cur_iter, scaler.last_overflow_iter = values[SCALE], good, -1
    scaler.cur_hysteresis = int(values.get(HYSTERESIS, scaler.cur_hysteresis))
