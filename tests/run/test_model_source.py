"""Which network an audit works on, and what is said when it cannot be had."""

import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.nn.preprocessing import Normalised
from equipoise.run.model_source import Network, model_source

MODULE = """
from torch import nn
def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
ready = network()
class Models:
    small = staticmethod(network)
number = 3
def wrong():
    return "no network"
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A module in the current folder."""
    (tmp_path / "their_models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "their_models"
    sys.modules.pop("their_models", None)


@pytest.mark.parametrize("attribute", ["network", "ready", "Models.small"])
def test_a_callable_or_a_module_in_the_current_folder(named, attribute):
    path = list(sys.path)
    found = model_source(f"{named}:{attribute}")
    assert found.network(torch.zeros(2, 3, 2, 2)).shape == (2, 1)
    assert found.title == attribute
    assert found.framing is None
    assert sys.path == path


def test_weights_are_filled_in(named, tmp_path):
    tensors = {"1.weight": torch.ones(1, 12), "1.bias": torch.full((1,), 7.0)}
    save_file(tensors, tmp_path / "w.safetensors")
    found = model_source(Network(f"{named}:network", weights=tmp_path / "w.safetensors"))
    assert found.network(torch.ones(1, 3, 2, 2)).item() == 19


def test_normalised_images_and_the_layer_behind_them(named):
    found = model_source(
        Network(f"{named}:network", layer="1", mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 2.0), output="0")
    )
    assert found.layer == "model.1"
    assert found.output == 0
    plain = model_source(f"{named}:network")
    plain.network.load_state_dict(found.network.model.state_dict())
    images = torch.rand(4, 3, 2, 2)
    shifted = (images - torch.tensor([0.5, 0.25, 0.0])[:, None, None]) / torch.tensor([0.5, 0.5, 2.0])[
        :, None, None
    ]
    assert torch.allclose(found.network(images), plain.network(shifted))


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("nowhere", {}, InputError, "the folder of a run, or timm:NAME"),
        ("no_such_module:f", {}, MissingExtraError, "no_such_module"),
        ("their_models:missing", {}, InputError, "has no 'missing'"),
        ("their_models:number", {}, InputError, "got int"),
        ("their_models:wrong", {}, InputError, "got str"),
        ("their_models:network", {"weights": "nowhere.safetensors"}, DataError, "Check `weights`"),
        ("their_models:network", {"mean": (0.5,)}, InputError, "as many means"),
        ("their_models:network", {"mean": (0.5,), "std": (0.0,)}, InputError, "above 0"),
        (".", {"output": "logits"}, InputError, "`output` are for package.module:callable"),
    ],
)
def test_errors_say_what_to_do(named, name, options, error, words):
    with pytest.raises(error, match=words):
        model_source(Network(name, **options))


def test_weights_of_another_network(named, tmp_path):
    save_file({"other": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"do not fit the network: .*1\.weight"):
        model_source(Network(f"{named}:network", weights=tmp_path / "w.safetensors"))


def test_a_network_is_taken_as_it_is():
    network = nn.Linear(2, 1)
    assert model_source(network).network is network
    assert isinstance(model_source(Network(network, mean=(0.0,), std=(1.0,))).network, Normalised)
