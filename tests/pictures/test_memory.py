"""A budget that threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from equipoise.pictures.memory import Budget


def test_never_more_than_there_is_and_all_of_it_comes_back(rng):
    budget, least, lock = Budget(100), [100], threading.Lock()

    def work(needed):
        with budget.share(needed), lock:
            least.append(budget.free)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, rng.integers(1, 101, 500).tolist()))
    assert min(least) >= 0
    assert budget.free == 100


def test_who_needs_more_than_there_is_is_told():
    with pytest.raises(ValueError, match="101 bytes are needed, more than the 100"), Budget(100).share(101):
        pass


def test_an_error_gives_its_share_back():
    budget = Budget(10)
    with pytest.raises(KeyError), budget.share(10):
        raise KeyError
    assert budget.free == 10


def test_who_waits_goes_on_when_there_is_room():
    budget, order = Budget(10), []

    def second():
        with budget.share(8):
            order.append("second")

    with budget.share(5):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.05)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]
