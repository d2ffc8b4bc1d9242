"""Whether a method of tuning can be used here at all: known before anything is fetched."""

from __future__ import annotations

import importlib.util

from job.errors import SettingsError
from job.settings.root import Settings

QUANTIZER = "bitsandbytes"


def check_method(settings: Settings, device: str) -> None:
    """See that this machine and these settings go with the method.

    Args:
        settings: the run's.
        device: ``cpu`` or ``cuda``, what the workers will use.

    Raises:
        SettingsError: when they do not.
    """
    method = settings.tuning.method
    if method != "full" and settings.model.from_config:
        raise SettingsError(
            f"JOB_TUNING__METHOD={method} leaves most weights as they come, and JOB_MODEL__FROM_CONFIG makes them random.",
            "Use JOB_TUNING__METHOD=full, or start from pretrained weights.",
        )
    if method != "qlora":
        return
    if device != "cuda":
        raise SettingsError(
            "JOB_TUNING__METHOD=qlora needs a GPU, and this run uses none.",
            "Run where a GPU is visible, or use JOB_TUNING__METHOD=lora, which trains the same adapter on the base as it is.",
        )
    if importlib.util.find_spec(QUANTIZER) is None:
        raise SettingsError(
            f"JOB_TUNING__METHOD=qlora needs the package {QUANTIZER}, which is not installed.",
            "Use an image with the extra qlora (pip install 'finetune-job[qlora]'), or JOB_TUNING__METHOD=lora.",
        )
