import pytest

from equipoise.errors import InputError
from equipoise.seeds import child_seed


def test_a_child_depends_on_seed_and_path_only():
    assert child_seed(3, "a", 1) == child_seed(3, "a", "1") == child_seed(3, "a", 1)
    seeds = {child_seed(s, *path) for s in (0, 1) for path in [(), ("a",), ("a", "b"), ("ab",), ("b", "a")]}
    assert len(seeds) == 10


def test_children_are_valid_seeds():
    assert all(0 <= child_seed(s, "x") < 2**63 for s in (0, 1, 2**62))


def test_a_known_child_stays_what_it_was():
    assert child_seed(0, "split") == 3692668185207323792


def test_negative_seeds_are_refused():
    with pytest.raises(InputError, match="0 or larger; got -1"):
        child_seed(-1)
