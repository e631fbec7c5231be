"""What every risk method promises, on every kind of network and task."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from equipoise.errors import NotFittedError
from equipoise.risk import (
    MVE,
    VAE,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    LastLayer,
    Method,
    Neighbours,
    Wrapped,
)

METHODS: dict[str, Callable[[Callable[[], nn.Module]], Method]] = {
    "Histogram": lambda make: Histogram(bins=3, queue=80),
    "VAE": lambda make: VAE(latent=3, width=2),
    "HistogramVAE": lambda make: HistogramVAE(latent=3, bins=3, queue=80, width=2, active=False),
    "Neighbours": lambda make: Neighbours(k=3, reference=50),
    "Dropout": lambda make: Dropout(passes=3),
    "Ensemble": lambda make: Ensemble(members=2, make=make),
    "LastLayer": lambda make: LastLayer(draws=8),
    "MVE": lambda make: MVE(hidden=4),
}
TEACHES_ITSELF = {"Dropout"}  # tells risk of any model, without data
TASKS = {"regression": 1, "binary": 1, "multiclass": 3}
LOSSES = {"regression": mse_loss, "binary": binary_cross_entropy_with_logits, "multiclass": cross_entropy}


def mlp(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, outputs)
    )


def cnn(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, outputs),
    )


def resnet(outputs: int) -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(
        ResNetConfig(
            embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=outputs
        )
    )


def vit(outputs: int) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(
            image_size=16,
            patch_size=8,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            num_labels=outputs,
        )
    )


NETWORKS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "vit": vit}


class Scene(NamedTuple):
    make: Callable[[], nn.Module]
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    task: str
    output: str | None

    def wrapped(self, method: str, **arguments) -> Wrapped:
        return METHODS[method](self.make)(self.model, output=self.output, task=self.task, **arguments)

    def prediction(self, returned) -> Tensor:
        return returned if self.output is None else returned[self.output]

    def loss(self, prediction: Tensor) -> Tensor:
        wanted = self.targets if self.task == "multiclass" else self.targets.to(prediction).reshape(-1, 1)
        return LOSSES[self.task](prediction, wanted)


def scene(network: str, task: str) -> Scene:
    torch.manual_seed(3)
    make = functools.partial(NETWORKS[network], TASKS[task])
    model = make().eval()
    inputs = torch.randn(64, 6) if network == "mlp" else torch.randn(64, 3, 16, 16)
    targets = torch.randint(0, max(2, TASKS[task]), (64,))
    return Scene(make, model, inputs, targets, task, "logits" if from_transformers(network) else None)


def from_transformers(network: str) -> bool:
    needed = network in ("resnet", "vit")
    if needed:
        pytest.importorskip("transformers")
    return needed


@functools.cache
def fitted(method: str, network: str, task: str) -> tuple[Scene, Wrapped]:
    """Tests only read it."""
    given = scene(network, task)
    wrapped = given.wrapped(method)
    wrapped.fit(list(zip(given.inputs.split(32), given.targets.split(32), strict=True)), learning_rate=0.01)
    return given, wrapped.eval()


def risks(wrapped: Wrapped, inputs: Tensor) -> dict[str, Tensor]:
    _, risk = wrapped(inputs, return_risk=True)
    told = {kind: getattr(risk, kind) for kind in ("representation", "epistemic", "aleatoric")}
    return {name: values for name, values in (told | risk.raw).items() if values is not None}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


every_method = pytest.mark.parametrize("method", METHODS)
every_network = pytest.mark.parametrize("network", NETWORKS)
every_task = pytest.mark.parametrize("task", TASKS)


@every_method
@every_network
@pytest.mark.parametrize("training", [False, True])
def test_the_wrapped_model_is_the_model(method, network, training):
    given = scene(network, "multiclass")
    bare = copy.deepcopy(given.model).train(training)
    wrapped = given.wrapped(method).train(training)
    predictions, chances = [], []
    for model in (bare, wrapped):
        torch.manual_seed(0)
        predictions.append(given.prediction(model(given.inputs)))
        given.loss(predictions[-1]).backward()
        chances.append(torch.rand(()))
    assert chances[0] == chances[1]
    assert torch.equal(*predictions)
    for (name, mine), its in zip(bare.named_parameters(), wrapped.model.parameters(), strict=True):
        assert torch.equal(mine.grad, its.grad), name
    assert equal(bare.state_dict(), wrapped.model.state_dict())


@every_method
@every_network
@every_task
def test_risk_of_each_sample(method, network, task):
    given, wrapped = fitted(method, network, task)
    before, chance = copy.deepcopy(wrapped.state_dict()), torch.get_rng_state()
    told = risks(wrapped, given.inputs)
    assert {kind for kind in told if "." not in kind} == set(
        wrapped.methods[next(iter(wrapped.methods))].kinds
    )
    for name, values in told.items():
        assert values.shape == (64,), name
        assert torch.isfinite(values).all(), name
        assert values.dtype.itemsize >= 4, name
        assert values.std() > 0, name
    assert equal(told, risks(wrapped, given.inputs))
    assert equal(before, wrapped.state_dict())
    assert torch.equal(chance, torch.get_rng_state())
    assert not any(module.training for module in wrapped.modules())
    for name, values in risks(wrapped, given.inputs[:5]).items():  # whatever else is in the batch
        torch.testing.assert_close(values, told[name][:5], rtol=1e-3, atol=1e-5)


@every_method
@every_network
def test_what_is_saved_tells_the_same(method, network):
    given, wrapped = fitted(method, network, "binary")
    torch.manual_seed(99)
    other = given._replace(model=given.make()).wrapped(method, example=given.inputs[:2]).eval()
    other.load_state_dict(wrapped.state_dict())
    with torch.inference_mode():  # what is made on the way must serve outside, too
        first = risks(other, given.inputs)
    assert equal(first, risks(wrapped, given.inputs))
    assert equal(first, risks(other, given.inputs))


@every_method
@every_network
def test_fit_leaves_the_model_as_it_is(method, network):
    given = scene(network, "binary")
    given.model.train()
    next(given.model.parameters()).requires_grad_(False)
    before = copy.deepcopy(given.model.state_dict())
    wrapped = given.wrapped(method)
    wrapped.fit([(given.inputs, given.targets)])
    assert equal(before, given.model.state_dict())
    assert all(module.training for module in wrapped.modules())
    assert [p.requires_grad for p in given.model.parameters()].count(False) == 1
    assert all(p.grad is None for p in given.model.parameters())
    mine = set(map(id, given.model.parameters()))
    assert all(p.requires_grad for p in wrapped.methods.parameters() if method != "Ensemble")
    assert not any(id(p) in mine for p in wrapped.methods.parameters())


@every_method
def test_no_score_before_anything_was_seen(method):
    given = scene("mlp", "binary")
    wrapped = given.wrapped(method).eval()
    if method in TEACHES_ITSELF:
        assert risks(wrapped, given.inputs)
        return
    with pytest.raises(NotFittedError, match=r"Expected .*; .*fit"):
        wrapped(given.inputs, return_risk=True)


@every_method
def test_layers_that_are_missing_are_no_parameters_yet(method):
    given = scene("mlp", "binary")
    wrapped = given.wrapped(method)
    if not METHODS[method](given.make).learns:
        assert len(list(wrapped.parameters())) == len(list(given.model.parameters()))
        return
    with pytest.raises(NotFittedError, match="example=inputs"):
        wrapped.parameters().__next__()
    wrapped(given.inputs, return_loss=True, targets=given.targets)
    assert len(list(wrapped.parameters())) > len(list(given.model.parameters()))


@every_method
def test_a_copy_is_its_own(method):
    given, wrapped = fitted(method, "cnn", "multiclass")
    before = risks(wrapped, given.inputs)
    twin = copy.deepcopy(wrapped)
    assert equal(before, risks(twin, given.inputs))
    twin.fit([(5 * given.inputs, given.targets)], learning_rate=0.1)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    assert not equal(before, risks(twin.eval(), given.inputs))
    assert equal(before, risks(wrapped, given.inputs))


@every_method
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_other_precisions(method, dtype, network):
    given = scene(network, "multiclass")
    given = given._replace(
        model=given.model.to(dtype),
        inputs=given.inputs.to(dtype),
        make=lambda: NETWORKS[network](3).to(dtype),
    )
    wrapped = given.wrapped(method)
    wrapped.fit([(given.inputs, given.targets)]).eval()
    for name, values in risks(wrapped, given.inputs).items():
        assert torch.isfinite(values).all(), name
        assert values.dtype in (torch.float32, torch.float64), name
        assert len(values.unique()) > 16, name  # not rounded to the model's precision
    moved = copy.deepcopy(wrapped).to(torch.float32)
    assert risks(moved, given.inputs.float())


@every_method
@every_task
def test_extra_loss_trains_the_methods_in_ones_own_loop(method, task):
    given = scene("mlp", task)
    wrapped = given.wrapped(method, example=given.inputs[:2]).train()
    before = copy.deepcopy(wrapped.state_dict())
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        returned, extra = wrapped(given.inputs, return_loss=True, targets=given.targets)
        (given.loss(given.prediction(returned)) + extra).backward()
        optimizer.step()
    for name, parameter in wrapped.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    after = wrapped.state_dict()
    assert sum(not torch.equal(before[name], after[name]) for name in before) >= 4
    assert torch.isfinite(extra)
    assert repr(wrapped)


@every_method
def test_one_step_of_the_engine_s_loss(method):
    given = scene("mlp", "binary")
    losses = given.wrapped(method).train().losses(given.inputs, given.targets)
    expected = given.loss(given.prediction(given.model(given.inputs)))
    assert losses.logits.shape == (64,)
    torch.testing.assert_close(losses.total, losses.parts["classification"] + losses.parts["risk"])
    assert torch.isfinite(expected)
