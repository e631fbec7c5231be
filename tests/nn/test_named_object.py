"""`package.module:name`."""

import sys

import pytest
import torch
from torch import nn

from equipoise.errors import InputError, MissingExtraError
from equipoise.nn.named_object import is_named, made_by, named_network, named_object

MODULE = """
from torch import nn

network = nn.Linear(2, 3)
number = 4


class Models:
    small = staticmethod(lambda: nn.Linear(2, 3))


def made():
    return nn.Linear(2, 3)
"""


@pytest.fixture(autouse=True)
def theirs(tmp_path, monkeypatch):
    """A module in the working directory."""
    (tmp_path / "theirs_here.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("theirs_here", None)


@pytest.mark.parametrize("text", ["a:b", "a.b.c:d", "a_1:B.c"])
def test_names(text):
    assert is_named(text)


@pytest.mark.parametrize(
    "text", ["a", "a:", ":b", "runs/a", "C:\\runs", "a:b:c", "1a:b", "timm:x-y", "a b:c"]
)
def test_what_is_no_name(text):
    assert not is_named(text)


def test_a_module_beside_the_user_is_found_and_the_path_left_as_it_was():
    before = list(sys.path)
    assert named_object("theirs_here:number") == 4
    assert named_object("theirs_here:Models.small")().weight.shape == (3, 2)
    assert sys.path == before


def test_a_network_stands_for_itself_and_a_function_for_what_it_makes():
    assert named_network("theirs_here:network") is named_object("theirs_here:network")
    assert isinstance(named_network("theirs_here:made"), nn.Linear)
    assert made_by("theirs_here:number") == 4


def test_weights_that_it_draws_come_from_the_seed_and_leave_torchs_chance_alone():
    named_object("theirs_here:made")
    before = torch.get_rng_state()
    one, same, other = (named_network("theirs_here:made", seed=seed).weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("nowhere_at_all:x", MissingExtraError, "Install it, or start from its folder"),
        ("theirs_here:absent", InputError, "theirs_here has no 'absent'"),
        ("theirs_here:number", InputError, "to give a torch nn.Module; got int"),
    ],
)
def test_what_is_not_there_or_no_network(text, error, words):
    with pytest.raises(error, match=words):
        named_network(text)
