"""Which labels a multi-label model predicts: those whose probability is above one half.  N examples, C labels.

Apart from their metrics, because programs that compute none need not load scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Flags = npt.NDArray[np.int64]

THRESHOLD = 0.5


def predict(logits: npt.NDArray[Any]) -> Flags:
    """The predicted labels [N, C], 0 or 1, of logits [N, C]."""
    found: Flags = (expit(logits.astype(np.float64)) > THRESHOLD).astype(np.int64)
    return found
