"""What Ray adds to a pass, as the benchmark counts it."""

import numpy as np
import pytest

ray_overhead = pytest.importorskip("ray_overhead")


def test_both_passes_see_each_picture_once():
    images = 7
    rows = {
        name: np.arange(*(round(share * images) for share in shares))
        for name, shares in ray_overhead.STEPS.items()
    }
    np.testing.assert_array_equal(np.concatenate([rows["plain before"], rows["plain after"]]), rows["ray"])


def test_the_ratio_is_of_the_whole_plain_pass():
    steps = {
        "plain before": {"s": 4.0, "rows": [1.0, 2.0]},
        "ray": {"s": 11.0, "rows": [1.0, 2.5]},
        "plain after": {"s": 6.0, "rows": [0.0, 0.0]},
    }
    found = ray_overhead.summary(steps)
    assert found["ratio"] == pytest.approx(1.1)
    assert found["apart"] == 0.5
    assert found["steps"]["ray"] == {"s": 11.0}
