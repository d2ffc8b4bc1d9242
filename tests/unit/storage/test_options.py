import dataclasses

import pytest

from job.storage.options import MEBIBYTE, StoreOptions


def test_defaults_fit_s3s_limits():
    options = StoreOptions()
    assert 5 * MEBIBYTE <= options.part_bytes <= 5 * 1024 * MEBIBYTE
    assert options.single_put_bytes <= 8 * MEBIBYTE
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.timeout_s = 1
