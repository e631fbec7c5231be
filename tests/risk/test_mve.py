"""Mean–variance estimation: noise that is planted in the targets is found, in its own unit."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import MVE
from equipoise.risk.mve import entropy, gaussian_nll, integrated


def network(inputs=1, outputs=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs)
    )


def noise_of(x):
    return 2 * torch.exp(-((x + 1) ** 2)) + 0.2


def cubic(count=3000, seed=0):
    """The reference task of regression: y = x³/6 and noise that peaks at −1."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.triangular(-4, 2, 4, (count, 1))).float()
    return x, x**3 / 6 + noise_of(x) * torch.from_numpy(rng.normal(size=(count, 1))).float()


def classes(count, number, seed=0):
    """Bands of a plane; right of 0.8, half of the labels are drawn anew."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (count, 2))
    labels = (np.floor(x[:, 1]) + 2).astype(int) % number
    noisy = x[:, 0] > 0.8
    flipped = noisy & (rng.random(count) < 0.5)
    labels[flipped] = rng.integers(0, number, flipped.sum())
    return torch.from_numpy(x).float(), torch.from_numpy(labels), torch.from_numpy(noisy)


def train(wrapped, inputs, targets, loss, epochs):
    optimizer = torch.optim.Adam(wrapped.parameters(), 3e-3)
    chance = torch.Generator().manual_seed(0)
    wrapped.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=chance).split(128):
            prediction, extra = wrapped(
                inputs[rows], return_loss=True, targets=targets[rows], generator=chance
            )
            optimizer.zero_grad()
            (loss(prediction, targets[rows]) + extra).backward()
            optimizer.step()
    return wrapped.eval()


@functools.cache
def regression(detach=True):
    x, y = cubic()
    wrapped = MVE(detach=detach)(network(), task="regression", example=x[:2])
    return train(wrapped, x, y, functional.mse_loss, 12)


@functools.cache
def classifier(number):
    x, labels, _ = classes(600, number)
    outputs, task = (1, "binary") if number == 2 else (number, "multiclass")

    def loss(prediction, targets):
        if number == 2:
            return functional.binary_cross_entropy_with_logits(prediction[:, 0], targets.float())
        return functional.cross_entropy(prediction, targets)

    wrapped = MVE()(network(2, outputs), task=task, example=x[:2])
    return train(wrapped, x, labels, loss, 60 if number == 2 else 30)


@pytest.mark.slow
@pytest.mark.parametrize("detach", [True, False])
def test_heteroscedastic_noise_is_recovered_in_the_users_own_loop(detach):
    x = torch.linspace(-3.5, 3.5, 200)[:, None]
    _, risk = regression(detach)(x, return_risk=True)
    found, planted = risk.aleatoric.detach(), noise_of(x[:, 0])
    assert np.corrcoef(found, planted)[0, 1] > 0.8
    assert 0.6 < (found / planted).median() < 1.6
    assert abs(float(x[found.argmax()]) + 1) < 0.7
    torch.testing.assert_close(risk.raw["mve.variance"].sqrt(), risk.aleatoric)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 4])
def test_regions_of_planted_label_noise_get_the_higher_risk(number):
    x, _, noisy = classes(2000, number, seed=9)
    wrapped = classifier(number)
    with torch.no_grad():
        _, risk = wrapped(x, return_risk=True)
    right = (risk.aleatoric[noisy][:, None] > risk.aleatoric[~noisy]).float().mean()
    assert right > 0.8
    assert risk.aleatoric.min() >= 0
    assert risk.aleatoric.max() <= np.log(number) + 1e-5
    for score in ("entropy", "expected_entropy", "logit_variance"):
        assert torch.isfinite(risk.raw[f"mve.{score}"]).all()


def test_noise_spread_by_fit_softens_a_model_that_is_too_sure():
    x, labels, _ = classes(1000, 3, seed=1)
    with torch.no_grad():
        model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
        model[2].weight.mul_(40)
    wrapped = MVE()(model).fit(
        list(zip(x.split(100), labels.split(100), strict=True)), epochs=20, learning_rate=1e-2
    )
    with torch.no_grad():
        logits, risk = wrapped.eval()(x, return_risk=True)
    assert risk.aleatoric.mean() > 1.5 * entropy(logits.log_softmax(1)).mean()


def test_the_unit_of_the_targets_does_not_matter():
    x, y = cubic(600)
    one, other = network(), network()
    with torch.no_grad():
        other[4].weight.mul_(1e4)
        other[4].bias.mul_(1e4)
    found = []
    for model, scale in ((one, 1.0), (other, 1e4)):
        batches = list(zip(x.split(100), (scale * y).split(100), strict=True))
        wrapped = MVE()(model, task="regression").fit(batches, epochs=5).eval()
        found.append(wrapped(x, return_risk=True)[1].aleatoric / scale)
    torch.testing.assert_close(*found, rtol=0.01, atol=0)


def test_several_outputs_have_a_variance_each():
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 3, generator=chance)
    spread = torch.tensor([0.1, 5.0])
    y = spread * torch.randn(2000, 2, generator=chance)
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    batches = list(zip(x.split(100), y.split(100), strict=True))
    wrapped = MVE()(model, task="regression").fit(batches, epochs=3).eval()
    with torch.no_grad():
        _, risk = wrapped(x, return_risk=True)
    assert float(risk.aleatoric.mean()) == pytest.approx(2.55, rel=0.15)
    assert float(risk.raw["mve.variance"].mean()) == pytest.approx(12.505, rel=0.3)


def test_likelihood_equals_torchs():
    chance = torch.Generator().manual_seed(0)
    mean, targets, log_variance = (torch.randn(9, 2, generator=chance, dtype=torch.float64) for _ in range(3))
    wanted = functional.gaussian_nll_loss(mean, targets, log_variance.exp(), reduction="none")
    torch.testing.assert_close(gaussian_nll(mean, targets, log_variance), wanted)


def test_integration_equals_a_loop():
    chance = torch.Generator().manual_seed(0)
    draws = torch.randn(5, 8, 3, generator=chance, dtype=torch.float64)
    weights = torch.rand(8, generator=chance, dtype=torch.float64)
    weights /= weights.sum()
    mean, expected = integrated(draws, weights.log())
    for i in range(5):
        p = sum(w * draws[i, t].softmax(0) for t, w in enumerate(weights))
        h = sum(w * -(q := draws[i, t].softmax(0)) @ q.log() for t, w in enumerate(weights))
        torch.testing.assert_close(mean[i].exp(), p)
        torch.testing.assert_close(expected[i], h)
    single, _ = integrated(draws[..., :1], weights.log())
    two, _ = integrated(functional.pad(draws[..., :1], (1, 0)), weights.log())
    torch.testing.assert_close(single, two)


def test_one_logit_is_integrated_as_closely_as_many_draws_do():
    method = classifier(2).methods["mve"]
    logits, deviation = torch.tensor([[-3.0], [0.5], [4.0]]), 2.0
    points = (logits[:, None] + deviation * method.noise).double()
    mean, _ = integrated(points, method.log_weights.double())
    rng = np.random.default_rng(0).normal(size=(1, 2_000_000))
    wanted = (1 / (1 + np.exp(-(logits.numpy() + deviation * rng)))).mean(1)
    np.testing.assert_allclose(mean[:, 1].exp(), wanted, atol=2e-3)
    torch.testing.assert_close(mean.exp().sum(1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize(("task", "outputs"), [("regression", 1), ("binary", 1), ("multiclass", 3)])
def test_detached_the_bare_models_gradients_are_untouched(task, outputs):
    x, labels, _ = classes(32, 2)
    targets = labels if task == "multiclass" else labels[:, None].float()
    loss = {
        "regression": functional.mse_loss,
        "binary": functional.binary_cross_entropy_with_logits,
        "multiclass": functional.cross_entropy,
    }[task]
    bare = network(2, outputs)
    loss(bare(x), targets).backward()
    for detach in (True, False):
        wrapped = MVE(detach=detach)(network(2, outputs), task=task, example=x[:2]).train()
        prediction, extra = wrapped(x, return_loss=True, targets=targets)
        (loss(prediction, targets) + extra).backward()
        same = [
            torch.equal(a.grad, b.grad)
            for a, b in zip(bare.parameters(), wrapped.model.parameters(), strict=True)
        ]
        assert all(same) if detach else not any(same)
        assert all(p.grad is not None for p in wrapped.methods.parameters())


def test_scores_do_not_depend_on_the_rest_of_the_batch_or_on_chance():
    x, _, _ = classes(40, 4, seed=3)
    wrapped = classifier(4)
    torch.manual_seed(1)
    whole = wrapped(x, return_risk=True)[1].aleatoric
    parts = torch.cat([wrapped(part, return_risk=True)[1].aleatoric for part in x.split(7)])
    torch.testing.assert_close(whole, parts)


@pytest.mark.parametrize("number", [None, 2, 4])
def test_saved_and_loaded_it_gives_the_same_scores(number):
    wrapped = regression() if number is None else classifier(number)
    outputs, task = {None: (1, "regression"), 2: (1, "binary"), 4: (4, "multiclass")}[number]
    x = torch.randn(20, 1 if number is None else 2, generator=torch.Generator().manual_seed(0))
    other = MVE()(network(x.shape[1], outputs), task=task, example=x[:1])
    untrained = copy.deepcopy(other.state_dict())
    other.load_state_dict(wrapped.state_dict())
    expected, found = wrapped(x, return_risk=True)[1], other.eval()(x, return_risk=True)[1]
    assert all(torch.equal(values, found.raw[name]) for name, values in expected.raw.items())
    other.load_state_dict(untrained)
    with pytest.raises(NotFittedError, match="not learned from any batch"):
        other(x, return_risk=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_are_single_precision_whatever_the_models(dtype):
    x, _, _ = classes(40, 4, seed=3)
    expected = classifier(4)(x, return_risk=True)[1].aleatoric
    wrapped = copy.deepcopy(classifier(4)).to(dtype)
    found = wrapped(x.to(dtype), return_risk=True)[1].aleatoric
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("size", [0.0, 1e6])
def test_extreme_features_overflow_nothing(task, size):
    outputs = 3 if task == "multiclass" else 1
    wrapped = MVE()(nn.Linear(2, outputs), task=task, example=torch.zeros(1, 2)).train()
    inputs = torch.full((8, 2), size)
    targets = torch.zeros(8, dtype=torch.int64) if outputs == 3 else torch.zeros(8)
    optimizer = torch.optim.Adam(wrapped.methods.parameters(), 1.0)
    for _ in range(5):
        _, extra = wrapped(inputs, return_loss=True, targets=targets)
        assert torch.isfinite(extra)
        optimizer.zero_grad()
        extra.backward()
        optimizer.step()
    _, risk = wrapped.eval()(inputs, return_risk=True)
    assert torch.isfinite(risk.aleatoric).all()


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "match"),
    [
        ("regression", 1, None, r"Expected targets.*targets=\.\.\."),
        ("regression", 2, torch.zeros(4), r"shape \(4, …\) of 2 values a sample.*got \(4,\)"),
        ("regression", 1, torch.tensor([0.0, 1.0, float("nan"), 0.0]), "finite targets"),
        ("binary", 1, torch.tensor([0, 1, 2, 0]), r"targets in \[0, 1\]; got values in \[0, 2\]"),
        ("multiclass", 3, torch.tensor([0, 1, 3, 0]), r"classes 0…2.*in \[0, 3\]"),
        ("multiclass", 3, torch.tensor([0, -1, 2, 0]), r"classes 0…2.*in \[-1, 2\]"),
        ("multiclass", 3, torch.zeros(4, 3), r"shape \(4,\).*got \(4, 3\)"),
        ("multiclass", 3, torch.zeros(4), "whole numbers; got torch.float32"),
    ],
)
def test_targets_that_do_not_fit_are_refused(task, outputs, targets, match):
    wrapped = MVE()(network(2, outputs), task=task, example=torch.zeros(2, 2)).train()
    with pytest.raises(InputError, match=match):
        wrapped(torch.zeros(4, 2), return_loss=True, targets=targets)


def test_a_task_that_does_not_fit_the_prediction_is_refused():
    with pytest.raises(InputError, match=r"one logit a sample for task='binary'; got .* \(2, 3\)"):
        MVE()(network(2, 3), task="binary", example=torch.zeros(2, 2))
    with pytest.raises(
        InputError, match=r"logits \(batch, 2 or more\) for task='multiclass'; got .* \(2, 1\)"
    ):
        MVE()(network(2, 1), task="multiclass", example=torch.zeros(2, 2))
    with pytest.raises(InputError, match="may be logits or values"):
        MVE()(network(2, 1), example=torch.zeros(2, 2))


@pytest.mark.parametrize("settings", [{"hidden": 0}, {"samples": 1}, {"samples": 0}, {"samples": 7}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="must be"):
        MVE(**settings)
