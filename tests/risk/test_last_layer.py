import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import LastLayer
from equipoise.risk.disagreement import disagreement
from equipoise.risk.last_layer import curvature


def model(outputs: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, outputs)).eval()


def with_one(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network[:2](x), torch.ones(len(x), 1)], 1).double()


def spread(network: nn.Module, x: torch.Tensor, precision: float) -> float:
    """The prior that means this precision of the weights."""
    return float((with_one(network, x).square().sum(1).mean() / precision).sqrt())


def test_values_have_the_deviation_of_bayesian_linear_regression():
    network, x, new = model(3), torch.randn(40, 2), 3 * torch.randn(7, 2)
    wrapped = LastLayer(prior=spread(network, x, 0.5))(network, task="regression").fit(x.split(16))
    _, risk = wrapped(new, return_risk=True)
    phi, its = with_one(network, x), with_one(network, new)
    covariance = torch.linalg.inv(phi.T @ phi + 0.5 * torch.eye(6, dtype=torch.float64))
    expected = torch.einsum("bi,ij,bj->b", its, covariance, its).sqrt()
    torch.testing.assert_close(risk.epistemic, expected.float())
    assert torch.equal(risk.raw["last_layer.relative_deviation"], risk.epistemic)


def test_a_logit_has_the_variance_of_the_exact_hessian():
    network, x, new = model(1), torch.randn(40, 2), 3 * torch.randn(7, 2)
    wrapped = LastLayer(prior=spread(network, x, 0.5))(network, task="binary").fit(x.split(16))
    phi, its = with_one(network, x), with_one(network, new)
    weights = torch.cat([network[2].weight[0], network[2].bias]).detach().double()
    targets = torch.randint(0, 2, (40,)).double()  # any: the curvature is the same

    def energy(w):
        return binary_cross_entropy_with_logits(phi @ w, targets, reduction="sum") + 0.25 * w.square().sum()

    covariance = torch.linalg.inv(torch.autograd.functional.hessian(energy, weights))
    expected = torch.einsum("bi,ij,bj->b", its, covariance, its)
    _, risk = wrapped(new, return_risk=True)
    torch.testing.assert_close(risk.raw["last_layer.logit_variance"].double(), expected, rtol=1e-5, atol=0)


def test_several_logits_have_the_kronecker_factored_posterior():
    network, x, new = model(3), torch.randn(40, 2), 3 * torch.randn(5, 2)
    wrapped = LastLayer(prior=spread(network, x, 0.5), draws=40_000)(network).fit(x.split(16))
    phi, its = with_one(network, x), with_one(network, new)
    bends = curvature(network(x).detach().double(), "multiclass")
    precision = torch.kron(bends.mean(0), phi.T @ phi) + 0.5 * torch.eye(18, dtype=torch.float64)
    covariance = torch.linalg.inv(precision).reshape(3, 6, 3, 6)
    logits = torch.einsum("bi,kilj,bj->bkl", its, covariance, its)
    centred = torch.eye(3, dtype=torch.float64) - 1 / 3
    expected = (centred @ logits @ centred).diagonal(dim1=1, dim2=2).mean(1)
    _, risk = wrapped(new, return_risk=True)
    torch.testing.assert_close(risk.raw["last_layer.logit_variance"].double(), expected, rtol=1e-5, atol=0)
    drawn = torch.distributions.MultivariateNormal(network(new).detach().double(), logits).sample((40_000,))
    torch.testing.assert_close(
        risk.epistemic, disagreement(drawn, "multiclass").epistemic, rtol=0.1, atol=2e-3
    )


def test_curvature_is_the_second_derivative():
    torch.manual_seed(0)
    for task, width in (("multiclass", 4), ("binary", 2)):
        logits = torch.randn(1, width, dtype=torch.float64)

        def loss(z, task=task):
            if task == "binary":
                return binary_cross_entropy_with_logits(z, torch.ones_like(z), reduction="sum")
            return cross_entropy(z, torch.tensor([2]))

        hessian = torch.autograd.functional.hessian(loss, logits)[0, :, 0]
        torch.testing.assert_close(curvature(logits, task)[0], hessian)


@pytest.mark.parametrize("classes", [1, 3])
def test_risk_is_higher_between_the_classes_and_far_away(classes):
    torch.manual_seed(0)
    count = max(2, classes)
    turn = torch.arange(count) * 2 * torch.pi / count
    centres = 3 * torch.stack([turn.cos(), turn.sin()], 1)
    y = torch.randint(0, count, (600,))
    x = centres[y] + 0.6 * torch.randn(600, 2)
    network = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        logits = network(x)
        loss = (
            binary_cross_entropy_with_logits(logits[:, 0], y.float())
            if classes == 1
            else cross_entropy(logits, y)
        )
        loss.backward()
        optimizer.step()
    wrapped = LastLayer()(network.eval(), task="binary" if classes == 1 else "multiclass").fit(x.split(100))
    turns = 2 * torch.pi * torch.rand(200)
    far = 12 * torch.stack([turns.cos(), turns.sin()], 1)
    seen, between, away = (
        wrapped(at, return_risk=True)[1].epistemic for at in (x, 0.4 * torch.randn(200, 2), far)
    )
    for strange in (between, away):
        assert (strange[:, None] > seen).float().mean() > 0.85
    shares = (network(far).sigmoid() if classes == 1 else network(far).softmax(1)).detach()
    assert shares.clamp(0, 1).sub(0.5).abs().amax(1).mean() > 0.45  # where the model itself is sure


def test_the_scale_of_large_features_does_not_matter():
    told = []
    for factor in (1e3, 1e5):
        torch.manual_seed(0)
        network, x, new = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1)), *torch.rand(2, 40, 2)
        with torch.no_grad():
            for parameter in network[0].parameters():
                parameter.copy_(factor * parameter.abs())  # no unit is off
            network[2].weight /= factor
        _, risk = LastLayer()(network, task="binary").fit([x])(new, return_risk=True)
        told.append(risk.raw["last_layer.logit_variance"])
    torch.testing.assert_close(*told, rtol=0.02, atol=0)


def test_only_fit_teaches_it_and_starts_anew():
    network, x = model(2), torch.randn(60, 2)
    wrapped = LastLayer()(network).train()
    wrapped(x)
    with pytest.raises(NotFittedError, match="training alone does not"):
        wrapped.eval()(x, return_risk=True)
    once = wrapped.fit([x]).eval()(x, return_risk=True)[1].epistemic
    state = copy.deepcopy(wrapped.state_dict())
    wrapped.train()(100 * x)
    assert torch.equal(state["methods.last_layer.gram"], wrapped.state_dict()["methods.last_layer.gram"])
    assert torch.equal(once, wrapped.fit([x]).eval()(x, return_risk=True)[1].epistemic)
    more = wrapped.fit([x] * 50).eval()(x, return_risk=True)[1].epistemic
    assert (more < once).all()


def test_mutual_information_has_its_bounds():
    network, x = model(4), torch.randn(30, 2)
    _, risk = LastLayer(prior=1e6)(network).fit([x])(1e4 * x, return_risk=True)
    assert (risk.epistemic >= 0).all()
    assert (risk.epistemic <= math.log(4) + 1e-6).all()
    assert (risk.raw["last_layer.predictive_entropy"] >= risk.epistemic - 1e-6).all()


def test_errors_say_what_to_do():
    for arguments, match in (({"prior": 0}, "larger than 0"), ({"draws": 3}, "even"), ({"seed": -1}, "seed")):
        with pytest.raises(InputError, match=match):
            LastLayer(**arguments)
    with pytest.raises(InputError, match=r"logits \(batch, classes\)"):
        LastLayer()(nn.Conv2d(1, 2, 1), task="multiclass", example=torch.ones(1, 1, 2, 2))


def test_logits_may_be_a_vector():
    network, x, new = model(1), torch.randn(40, 2), torch.randn(7, 2)
    flat = nn.Sequential(network, nn.Flatten(0)).eval()
    _, one = LastLayer()(network, task="binary").fit(x.split(16))(new, return_risk=True)
    _, same = LastLayer()(flat, task="binary").fit(x.split(16))(new, return_risk=True)
    assert torch.equal(one.epistemic, same.epistemic)


@pytest.mark.parametrize(("outputs", "task"), [(1, "binary"), (3, "multiclass"), (2, "regression")])
def test_halves_merged_are_the_whole(outputs, task):
    network, x, new = model(outputs), torch.randn(50, 2), 3 * torch.randn(6, 2)
    whole, first, second, nothing = (LastLayer()(network, task=task) for _ in range(4))
    whole.fit(x.split(16))
    first.fit(x[:20].split(16))
    second.fit(x[20:].split(16))
    first(new, return_risk=True)  # what was made of a half is made anew
    for one, other in ((first, second), (first, nothing)):
        one.methods["last_layer"].merge(other.methods["last_layer"])
        for ours, wanted in zip(first(new, return_risk=True), whole(new, return_risk=True), strict=True):
            if isinstance(ours, torch.Tensor):
                torch.testing.assert_close(ours, wanted)
            else:
                torch.testing.assert_close(ours.epistemic, wanted.epistemic, rtol=1e-4, atol=1e-6)
    nothing.methods["last_layer"].merge(whole.methods["last_layer"])
    assert nothing.methods["last_layer"].gram.equal(whole.methods["last_layer"].gram)


def test_sums_of_other_models_do_not_merge():
    x = torch.randn(20, 2)
    one, other = (LastLayer()(model(k)).fit(x.split(16)).methods["last_layer"] for k in (3, 4))
    with pytest.raises(InputError, match=r"one model and prior; .*\(3, 3\).*\(4, 4\)"):
        one.merge(other)
    with pytest.raises(InputError, match=r"prior 40\.0.*prior 2\.0"):
        one.merge(LastLayer(prior=2.0))
