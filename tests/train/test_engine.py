"""One engine for all jobs."""

import pytest
import torch

from equipoise.errors import InputError
from equipoise.train import Engine, recipe
from equipoise.train.engine import precision_of


def test_auto_means_what_this_machine_has():
    found = Engine().resolved()
    assert found.device == (torch.accelerator.current_accelerator() or torch.device("cpu")).type
    assert found.precision == precision_of("auto", found.device)
    assert found.resolved() == found


def test_the_recipe_says_the_precision_where_the_user_does_not():
    from dataclasses import replace

    single = replace(recipe("equipoise"), precision="32-true")
    assert Engine(device="cpu").resolved(single).precision == "32-true"
    assert Engine(device="cpu", precision="bf16-mixed").resolved(single).precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"precision": "float"}, "`precision` must be one of"),
        ({"precision": "bf16"}, "Did you mean 'bf16-mixed'"),
        ({"processes": 0}, "`processes` must be 1 or more"),
        ({"device": "abacus"}, "Expected a device"),
    ],
)
def test_what_does_not_exist_is_refused(asked, words):
    with pytest.raises(InputError, match=words):
        Engine(**asked).resolved()


def test_half_precision_of_a_cpu_is_refused_before_it_is_replaced():
    with pytest.raises(InputError, match="`precision` bf16-mixed or 32-true"):
        Engine(device="cpu", precision="16-mixed").fabric()


def test_bars_are_no_setting():
    assert "progress" not in Engine().settings()
    assert Engine(device="cpu").settings() == Engine(device="cpu", progress=False).settings()
