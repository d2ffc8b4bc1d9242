import numpy as np

from job.workers.metrics.flags import predict


def test_a_label_is_predicted_above_one_half():
    assert predict(np.array([[0.0, 1e-3, -1e-3]])).tolist() == [[0, 1, 0]]


def test_half_precision_is_read_exactly():
    assert predict(np.array([[6e-8, -6e-8]], dtype=np.float16)).tolist() == [[1, 0]]
