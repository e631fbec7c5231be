"""The variational autoencoder on a model's features: its error is larger on what the model has not seen."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import VAE, Compose, Histogram
from equipoise.risk.layers import Dense, bounded
from equipoise.risk.vae import input_decoder


def network(inputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, 3))


def pictures(scene, count=240):
    table = scene(count, noise=0.05)
    return torch.from_numpy(table.batch(np.arange(count))).permute(
        0, 3, 1, 2
    ).float() / 255, torch.from_numpy(np.asarray(table.labels)).long()


def ring(count, seed=0):
    angle = torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 2 * torch.pi
    return torch.stack([angle.cos(), angle.sin()], 1)


@functools.cache
def taught(decoder):
    wrapped = VAE(latent=4, decoder=decoder)(network(), example=ring(2))
    chance = torch.Generator().manual_seed(1)
    return wrapped.fit(list(ring(256).split(64)), epochs=20, learning_rate=5e-3, generator=chance).eval()


def fitted(decoder=None):
    return copy.deepcopy(taught(decoder))


def test_the_error_is_larger_off_the_training_data():
    wrapped = fitted()
    _, seen = wrapped(ring(100, seed=1), return_risk=True)
    _, far = wrapped(ring(100, seed=1) * 3, return_risk=True)
    assert (far.epistemic[:, None] > seen.epistemic).float().mean() > 0.95
    assert far.epistemic.mean() > 3 * seen.epistemic.mean()
    assert seen.representation is None
    assert seen.aleatoric is None


def test_pictures_of_another_kind_are_told_in_the_users_own_loop(scene):
    images, labels = pictures(scene)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 2)
    )
    wrapped = VAE(latent=8)(model, example=images[:2]).train()
    optimizer = torch.optim.Adam(wrapped.parameters(), 2e-3)
    chance = torch.Generator().manual_seed(0)
    for _ in range(8):
        for rows in torch.randperm(len(images), generator=chance).split(40):
            prediction, extra = wrapped(images[rows], return_loss=True, generator=chance)
            optimizer.zero_grad()
            (functional.cross_entropy(prediction, labels[rows]) + extra).backward()
            optimizer.step()
    noise = torch.rand(60, 3, 16, 16, generator=chance)
    with torch.no_grad():
        _, known = wrapped.eval()(images, return_risk=True)
        _, strange = wrapped(noise, return_risk=True)
    assert strange.epistemic.min() > known.epistemic.median()
    assert strange.epistemic.mean() > 1.5 * known.epistemic.mean()


def test_the_loss_is_the_formula():
    wrapped = VAE(latent=3, kl_weight=0.25)(network(), example=ring(2))
    inputs = ring(16)
    _, extra = wrapped(inputs, return_loss=True, generator=torch.Generator().manual_seed(5))
    method = wrapped.methods["vae"]
    features = wrapped.model[:2](inputs)
    mean, log_variance = method.head(features)
    noise = torch.randn(16, 3, generator=torch.Generator().manual_seed(5))
    drawn = method.decoder(mean + (0.5 * log_variance).exp() * noise)
    total = 0.0
    for i in range(16):
        kl = sum(0.5 * (v.exp() + m**2 - 1 - v) for m, v in zip(mean[i], log_variance[i], strict=True))
        total += (inputs[i] - drawn[i]).abs().sum() / 2 + 0.25 * kl
    torch.testing.assert_close(extra, total / 16)


def test_scores_are_the_reconstruction_from_the_mean_and_the_kl():
    wrapped = fitted()
    inputs = ring(10, seed=2)
    _, risk = wrapped(inputs, return_risk=True)
    method = wrapped.methods["vae"]
    mean, log_variance = method.head(wrapped.model[:2](inputs))
    torch.testing.assert_close(risk.epistemic, (inputs - method.decoder(mean)).abs().mean(1))
    assert risk.raw["vae.reconstruction_error"] is risk.epistemic
    kl = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(1)
    torch.testing.assert_close(risk.raw["vae.kl"], kl)


@pytest.mark.parametrize(
    "shape", [(5,), (7, 4), (3, 16, 16), (3, 32, 32), (1, 28, 28), (3, 20, 12), (4, 5, 5), (2, 3, 4, 4)]
)
def test_a_decoder_gives_the_shape_of_the_inputs_and_any_sign(shape):
    decoder = input_decoder(shape, 6, generator=torch.Generator().manual_seed(0))
    drawn = decoder(torch.randn(9, 6, generator=torch.Generator().manual_seed(1)))
    assert drawn.shape == (9, *shape)
    assert drawn.min() < 0 < drawn.max()


def test_saved_and_loaded_it_gives_the_same_scores():
    wrapped, inputs = fitted(), ring(20, seed=3)
    other = VAE(latent=4, seed=9)(network(), example=inputs[:1])
    other.load_state_dict(wrapped.state_dict())
    expected, found = wrapped(inputs, return_risk=True)[1], other.eval()(inputs, return_risk=True)[1]
    assert torch.equal(expected.epistemic, found.epistemic)
    assert torch.equal(found.epistemic, other(inputs, return_risk=True)[1].epistemic)


def test_untrained_it_gives_no_scores_also_after_loading():
    wrapped = VAE(latent=4)(network(), example=ring(2))
    with pytest.raises(NotFittedError, match=r"not learned from any batch.*return_loss=True"):
        wrapped.eval()(ring(4), return_risk=True)
    other = VAE(latent=4)(network(), example=ring(2))
    other.load_state_dict(wrapped.state_dict())
    with pytest.raises(NotFittedError):
        other.eval()(ring(4), return_risk=True)
    wrapped(ring(4), return_loss=True)  # a validation loss trains nothing
    with pytest.raises(NotFittedError):
        wrapped(ring(4), return_risk=True)


@pytest.mark.parametrize("detach", [True, False])
def test_the_extra_term_reaches_the_model_unless_detached(detach):
    wrapped = VAE(latent=4, detach=detach)(network(), example=ring(2)).train()
    _, extra = wrapped(ring(16), return_loss=True)
    extra.backward()
    touched = [p.grad is not None and bool(p.grad.any()) for p in wrapped.model.parameters()]
    assert touched == [not detach, not detach, False, False]
    assert all(p.grad is not None for p in wrapped.methods.parameters())


def test_making_layers_leaves_torchs_chance_alone_and_follows_the_seed():
    images = torch.rand(2, 3, 20, 20)
    model = nn.Sequential(nn.Flatten(), nn.Linear(1200, 8), nn.ReLU(), nn.Linear(8, 2))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, same, other = (VAE(seed=seed)(model, example=images) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    pairs = zip(first.methods.parameters(), same.methods.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.methods["vae"].head.mean.weight, other.methods["vae"].head.mean.weight)


def test_a_decoder_of_ones_own_is_copied_and_trained():
    own = nn.Linear(4, 2)
    wrapped = fitted(own)
    assert wrapped.methods["vae"].decoder is not own
    assert not torch.equal(wrapped.methods["vae"].decoder.weight, own.weight)


@pytest.mark.parametrize(
    ("decoder", "match"),
    [
        (nn.Linear(4, 3), r"map \(batch, 4\) to \(batch, 2\); got shape \(2, 3\)"),
        (nn.Linear(5, 2), "got this error from it: .*shapes cannot be multiplied"),
        (lambda codes: codes, "decoder must be a torch nn.Module"),
    ],
)
def test_a_decoder_that_does_not_fit_is_refused(decoder, match):
    with pytest.raises(InputError, match=match):
        VAE(latent=4, decoder=decoder)(network(), example=ring(2))


@pytest.mark.parametrize(
    "settings", [{"latent": 0}, {"hidden": 0}, {"width": 0}, {"kl_weight": -1.0}, {"kl_weight": float("nan")}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="must be"):
        VAE(**settings)


def test_whole_numbers_cannot_be_reconstructed():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3))
    with pytest.raises(InputError, match=r"Expected float inputs.*int64 \(2, 3\)"):
        VAE()(model, example=torch.zeros(2, 3, dtype=torch.int64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_are_single_precision_whatever_the_models(dtype):
    wrapped, inputs = fitted(), ring(20, seed=4)
    expected = wrapped(inputs, return_risk=True)[1]
    found = wrapped.to(dtype)(inputs.to(dtype), return_risk=True)[1]
    assert found.epistemic.dtype == found.raw["vae.kl"].dtype == torch.float32
    torch.testing.assert_close(found.epistemic, expected.epistemic, atol=0.02, rtol=0.1)


def test_beside_another_method_a_named_parameter_is_trained_only_once():
    wrapped = Compose(Histogram(queue=100), VAE(latent=4))(network(), example=ring(2))
    wrapped.fit(list(ring(128).split(32)), epochs=2).eval()
    _, risk = wrapped(ring(5), return_risk=True)
    assert int(wrapped.methods["vae"].batches) == 8
    assert risk.representation.shape == risk.epistemic.shape == (5,)


def test_a_dense_layer_keeps_the_precision_of_its_input_in_autocast():
    layer = Dense(4, 3, torch.Generator().manual_seed(0)).half()
    inputs = torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(inputs)
    torch.testing.assert_close(found, inputs @ layer.weight.float().T)


def test_bounded_keeps_small_values_and_never_overflows():
    values = torch.tensor([-1e30, -1.0, 0.0, 1.0, 1e30], requires_grad=True)
    found = bounded(values)
    torch.testing.assert_close(found[1:4], values[1:4], atol=1e-3, rtol=0)
    assert found.detach()[[0, 4]].tolist() == [-30.0, 30.0]
