"""One thread for small matrices."""

import numpy as np
from threadpoolctl import threadpool_info

from equipoise.threads import one_thread


def threads():
    np.ones((4, 4)) @ np.ones((4, 4))
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def test_inside_there_is_one_and_afterwards_as_many_as_before():
    before = threads()
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
