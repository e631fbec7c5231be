"""Histograms of a variational autoencoder's codes: what is rare in training gets the higher risk."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import HistogramVAE


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))


def spread(count=2000, seed=0):
    """Points on a line through the plane; the further from its middle, the rarer."""
    place = torch.randn(count, 1, generator=torch.Generator().manual_seed(seed))
    return torch.cat([place, 0.5 * place], 1)


@functools.cache
def taught(settings):
    inputs = spread()
    method = HistogramVAE(**{"latent": 6, "bins": 10, "queue": 1000, **dict(settings)})
    chance = torch.Generator().manual_seed(1)
    wrapped = method(network(), example=inputs[:2])
    return wrapped.fit(list(inputs.split(100)), epochs=6, learning_rate=3e-3, generator=chance).eval()


def fitted(**settings):
    return copy.deepcopy(taught(tuple(settings.items())))


def ranks(values):
    return np.argsort(np.argsort(values.detach().numpy()))


@pytest.mark.parametrize("active", [True, False])
def test_risk_follows_planted_rarity(active):
    inputs = spread(500, seed=1)
    _, risk = fitted(active=active)(inputs, return_risk=True)
    rank_correlation = np.corrcoef(ranks(risk.representation), ranks(inputs[:, 0].abs()))[0, 1]
    assert rank_correlation > 0.6
    assert torch.equal(risk.representation, -risk.raw["histogram_vae.log_density"])
    assert risk.epistemic is None


def test_a_rare_colour_gets_the_higher_risk_in_the_users_own_loop(scene):
    table = scene(400, rare=0.08, noise=0.05)
    images = torch.from_numpy(table.batch(np.arange(400))).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(np.asarray(table.labels)).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 64), nn.ReLU(), nn.Linear(64, 2))
    wrapped = HistogramVAE(latent=20, queue=400)(model, example=images[:1]).train()
    optimizer = torch.optim.Adam(wrapped.parameters(), 1e-3)
    chance = torch.Generator().manual_seed(0)
    for _ in range(6):
        for rows in torch.randperm(400, generator=chance).split(40):
            prediction, extra = wrapped(images[rows], return_loss=True, generator=chance)
            optimizer.zero_grad()
            (nn.functional.cross_entropy(prediction, labels[rows]) + extra).backward()
            optimizer.step()
    with torch.no_grad():
        _, risk = wrapped.eval()(images, return_risk=True)
    colours = np.asarray(table.column("colour"), dtype=object)
    rare, common = risk.representation[colours == "blue"], risk.representation[colours == "red"]
    assert (rare[:, None] > common).float().mean() > 0.8


@pytest.mark.parametrize("active", [True, False])
def test_the_density_is_numpys_over_the_codes_of_the_last_samples(active):
    wrapped, inputs = fitted(active=active, kl_weight=0.05), spread(50, seed=2)
    method = wrapped.methods["histogram_vae"]
    with torch.no_grad():
        codes = method.head(wrapped.model[:2](spread()[-1000:]))[0].double().numpy()
        asked = method.head(wrapped.model[:2](inputs))[0].double().numpy()
        _, risk = wrapped(inputs, return_risk=True)
    kept = [i for i in range(6) if not active or method.kl[i] > 0.01]
    assert len(kept) == 6 or active
    total = np.zeros(50)
    for i in kept:
        density, edges = np.histogram(codes[:, i], bins=10, density=True)
        chance = (density + 1e-3) / (density + 1e-3).sum()
        total += np.log(chance[np.clip(np.digitize(asked[:, i], edges) - 1, 0, 9)])
    # a code on the edge of a bin may fall on either side
    off = np.abs(risk.raw["histogram_vae.log_density"].numpy() - total) > 1e-4
    assert off.sum() <= 1


def test_units_that_carry_nothing_are_left_out():
    wrapped, inputs = fitted(), spread(40, seed=3)
    method = wrapped.methods["histogram_vae"]
    wanted = method.running.log_prob(
        method.head(wrapped.model[:2](inputs))[0], dimensions=torch.arange(6) < 2
    )
    method.kl = torch.tensor([1.0, 0.02, 0.009, 0.0, 0.0, 0.0])
    _, risk = wrapped(inputs, return_risk=True)
    torch.testing.assert_close(risk.raw["histogram_vae.log_density"], wanted)
    method.kl = torch.zeros(6)
    with pytest.raises(NotFittedError, match=r"none of 6 has a mean KL above 0\.01 nats.*lower kl_weight"):
        wrapped(inputs, return_risk=True)


def test_a_large_kl_weight_collapses_the_code_and_is_told_as_such():
    wrapped = HistogramVAE(latent=4, kl_weight=10.0, detach=True)(network(), example=spread(2))
    chance = torch.Generator().manual_seed(0)
    wrapped.fit(list(spread().split(100)), epochs=8, learning_rate=3e-3, generator=chance)
    with pytest.raises(NotFittedError, match="carry something"):
        wrapped.eval()(spread(4), return_risk=True)


def test_the_mean_kl_of_units_is_that_of_the_samples_seen():
    wrapped = fitted()
    method, inputs = wrapped.methods["histogram_vae"], spread(300, seed=5)
    method.begin()
    with torch.no_grad():
        wrapped.train()(inputs[:100])
        wrapped(inputs[100:])
        mean, log_variance = method.head(wrapped.model[:2](inputs))
    wanted = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).mean(0)
    torch.testing.assert_close(method.kl, wanted)


def test_it_tells_epistemic_risk_too_if_asked():
    wrapped, inputs = fitted(epistemic=True), spread(20, seed=4)
    _, risk = wrapped(inputs, return_risk=True)
    _, far = wrapped(inputs.flip(1) * 4, return_risk=True)
    assert far.epistemic.mean() > 2 * risk.epistemic.mean()
    assert torch.equal(risk.epistemic, risk.raw["histogram_vae.reconstruction_error"])
    told = wrapped.calibrate([spread(200, seed=6)]).percentile(risk)
    assert 0 <= told.representation.min() <= told.epistemic.max() <= 1


def test_no_scores_before_enough_was_learned_and_seen():
    wrapped = HistogramVAE(latent=4, queue=100)(network(), example=spread(2))
    with pytest.raises(NotFittedError, match="not learned from any batch"):
        wrapped.eval()(spread(4), return_risk=True)
    wrapped.train()(spread(90))  # seen, and nothing learned
    with pytest.raises(NotFittedError, match="not learned from any batch"):
        wrapped.eval()(spread(4), return_risk=True)
    other = HistogramVAE(latent=4, queue=100)(network(), example=spread(2)).train()
    other(spread(20), return_loss=True)
    with pytest.raises(NotFittedError, match="at least 50 samples in the queue; got 20"):
        other.eval()(spread(4), return_risk=True)


def test_a_queue_smaller_than_a_batch_is_refused():
    wrapped = HistogramVAE(latent=4, queue=50)(network(), example=spread(2)).train()
    with pytest.raises(InputError, match="queue of 50 cannot take a batch of 51"):
        wrapped(spread(51))


def test_statistics_move_in_training_mode_only():
    wrapped = fitted()
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}
    wrapped(spread(40))
    wrapped(spread(40), return_risk=True)
    wrapped(spread(40), return_loss=True)
    assert all(torch.equal(before[name], value) for name, value in wrapped.state_dict().items())
    wrapped.train()(spread(40))
    assert not torch.equal(before["methods.histogram_vae.kl"], wrapped.methods["histogram_vae"].kl)


def test_saved_and_loaded_it_gives_the_same_scores():
    wrapped, inputs = fitted(), spread(30, seed=7)
    other = HistogramVAE(latent=6, bins=10, queue=1000, seed=5)(network(), example=inputs[:1])
    empty = copy.deepcopy(other.state_dict())
    other.load_state_dict({name: value.clone() for name, value in wrapped.state_dict().items()})
    expected = wrapped(inputs, return_risk=True)[1].representation
    assert torch.equal(expected, other.eval()(inputs, return_risk=True)[1].representation)
    other = HistogramVAE(latent=6, bins=10, queue=1000)(network(), example=inputs[:1])
    other.load_state_dict(empty)
    with pytest.raises(NotFittedError):
        other.eval()(inputs, return_risk=True)


def test_half_precision_keeps_the_statistics():
    wrapped, inputs = fitted(), spread(200, seed=8)
    expected = wrapped(inputs, return_risk=True)[1].representation
    wrapped.half()
    method = wrapped.methods["histogram_vae"]
    assert method.kl.dtype == method.running.codes.dtype == torch.float32
    found = wrapped(inputs.half(), return_risk=True)[1].representation
    assert found.dtype == torch.float32
    assert np.corrcoef(ranks(found), ranks(expected))[0, 1] > 0.9
