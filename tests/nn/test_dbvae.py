import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from equipoise.errors import InputError
from equipoise.nn import DBVAE, kl_divergence
from equipoise.nn.losses import l1_reconstruction, squared_l2_reconstruction

SMALL = {"latent": 5, "width": 4, "image_size": 32}


@pytest.fixture
def images(generator):
    return torch.rand(6, 3, 32, 32, generator=generator, dtype=torch.float64)


@pytest.fixture
def labels():
    return torch.tensor([1, 0, 0, 1, 1, 0])


@pytest.mark.parametrize(
    ("name", "error"), [("l1", l1_reconstruction), ("squared_l2", squared_l2_reconstruction)]
)
def test_total_and_gradients_equal_decoding_everything(name, error, images, labels, generator):
    """The naive twin decodes all images and multiplies by the indicator, as the formula is written."""
    model = DBVAE(**SMALL, reconstruction=name, kl_weight=0.1, generator=generator).double()
    losses = model.losses(images, labels, generator=torch.Generator().manual_seed(1))
    logit, mean, log_variance = model.encode(images)
    noise = torch.zeros_like(mean)
    noise[labels == 1] = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    decoded = model.decode(mean + torch.exp(0.5 * log_variance) * noise)
    vae = 0.1 * kl_divergence(mean, log_variance) + error(images, decoded)
    entropy = functional.binary_cross_entropy_with_logits(logit, labels.double(), reduction="none")
    twin = (entropy + labels * vae).mean()
    torch.testing.assert_close(losses.total, twin)
    weights = list(model.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(losses.total, weights), torch.autograd.grad(twin, weights), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(losses.codes, mean.detach())
    torch.testing.assert_close(losses.logits, logit.detach())
    parts = {
        "classification": entropy.mean(),
        "kl": (labels * 0.1 * kl_divergence(mean, log_variance)).mean(),
    }
    for part, value in parts.items():
        torch.testing.assert_close(losses.parts[part], value.detach())


def test_negatives_have_classification_gradients_and_exactly_no_others(images, generator):
    """Regression: with the indicator on L_y in place of L_VAE, negatives would train the VAE, not the classifier."""
    model = DBVAE(**SMALL, generator=generator).double().eval()
    negatives = torch.zeros(6, dtype=torch.long)
    model.losses(images, negatives, generator=generator).total.backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in model.decoder.parameters())
    assert model.head.weight.grad[0].any()
    assert not model.head.weight.grad[1:].any()


def test_changing_a_negative_leaves_the_decoder_gradient(images, labels, generator):
    model = (
        DBVAE(**SMALL, generator=generator).double().eval()
    )  # batch norm apart: it mixes the images of a batch
    found = []
    for change in (0.0, 0.5):
        other = images.clone()
        other[labels == 0] += change
        total = model.losses(other, labels, generator=torch.Generator().manual_seed(1)).total
        found.append(torch.autograd.grad(total, list(model.decoder.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_batch_without_positives_or_with_nothing_else(images, generator):
    model = DBVAE(**SMALL, generator=generator).double()
    none = model.losses(images, torch.zeros(6, dtype=torch.long), generator=generator)
    none.total.backward()
    assert none.parts["kl"] == none.parts["reconstruction"] == 0
    assert math.isfinite(none.total.item())
    everyone = model.losses(images, torch.ones(6, dtype=torch.long), generator=generator)
    assert everyone.parts["reconstruction"] > 0


def test_permuting_a_batch_permutes_logits_and_keeps_deterministic_terms(images, labels, generator):
    model = DBVAE(**SMALL, generator=generator).double()
    order = torch.randperm(6, generator=generator)
    first = model.losses(images, labels, generator=torch.Generator().manual_seed(1))
    second = model.losses(images[order], labels[order], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(first.logits[order], second.logits)
    for part in ("classification", "kl"):
        torch.testing.assert_close(first.parts[part], second.parts[part])


def test_noise_comes_from_the_generator_only(images, labels, generator):
    model = DBVAE(**SMALL, generator=generator).double()
    state = torch.get_rng_state()
    first, again = (
        model.losses(images, labels, generator=torch.Generator().manual_seed(1)).total for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(state, torch.get_rng_state())


def test_head_is_logit_then_mean_then_log_variance(images, generator):
    model = DBVAE(**SMALL, generator=generator).double().eval()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.arange(11.0))
    encoding = model.encode(images)
    assert encoding.logit[0] == 0
    assert encoding.mean[0].tolist() == [1, 2, 3, 4, 5]
    assert encoding.log_variance[0].tolist() == [6, 7, 8, 9, 10]
    assert torch.equal(model(images), encoding.logit)


def test_reconstruction_is_decoded_from_the_mean(images, generator):
    model = DBVAE(**SMALL, generator=generator).double().eval()
    assert torch.equal(model.reconstruct(images), model.decode(model.encode(images).mean))


def test_the_labs_sizes():
    model = DBVAE()
    assert model.head.weight.shape == (201, 512)
    assert model.encoder.hidden.weight.shape == (512, 1152)


class Featureless(nn.Module):
    """An encoder that gives maps, not vectors."""

    def forward(self, images):
        return images


def test_own_encoder_is_measured_and_left_as_it_was(generator):
    encoder = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    encoder[1].eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = DBVAE(encoder, **SMALL, generator=generator)
    assert model.head.in_features == 4
    assert encoder.training
    assert not encoder[1].training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_own_lazy_encoder(images, generator):
    encoder = nn.Sequential(nn.Flatten(), nn.LazyLinear(9))
    model = DBVAE(encoder, **SMALL, generator=generator)
    assert model.losses(images.float(), torch.ones(6, dtype=torch.long), generator=generator).codes.shape == (
        6,
        5,
    )


def test_own_encoder_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"feature vectors.*got shape \(1, 3, 32, 32\).*nn.Flatten"):
        DBVAE(Featureless(), **SMALL)
    with pytest.raises(InputError, match=r"must take images of shape \(batch, 3, 32, 32\)"):
        DBVAE(nn.Linear(7, 3), **SMALL)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="reconstruction must be one of l1, squared_l2; got 'l2'"):
        DBVAE(reconstruction="l2")
    with pytest.raises(InputError, match="kl_weight must be 0 or larger; got -1"):
        DBVAE(kl_weight=-1)


def test_k_outputs_stand_before_the_codes(generator):
    model = DBVAE(outputs=4, latent=3, width=4, depth=2, image_size=8, generator=generator)
    images, labels = torch.rand(6, 3, 8, 8, generator=generator), torch.tensor([0, 1, 2, 3, 0, 1])
    encoding = model.encode(images)
    assert [tuple(part.shape) for part in encoding] == [(6, 4), (6, 3), (6, 3)]
    raw = model.head(model.encoder(images))
    assert torch.equal(torch.cat(list(encoding), 1), raw)
    losses = model.losses(images, labels, generator=generator)
    assert losses.logits.shape == (6, 4)
    assert sum(losses.parts.values()).item() == pytest.approx(losses.total.item(), rel=1e-5)


def test_only_classes_that_carry_the_vae_are_rebuilt(generator):
    shape = {"latent": 3, "width": 4, "depth": 2, "image_size": 8}
    model = DBVAE(outputs=3, vae_classes=[2, 0], generator=generator, **shape).eval()
    assert model.vae_classes == (0, 2)
    images = torch.rand(4, 3, 8, 8, generator=generator)
    seen = []
    model.decoder.register_forward_hook(lambda _, given, made: seen.append(len(made)))
    model.losses(images, torch.tensor([0, 1, 2, 1]), generator=generator)
    assert seen == [2]
    alone = model.losses(images[1:2], torch.tensor([1]), generator=generator)
    assert alone.parts["reconstruction"] == alone.parts["kl"] == 0
    for wrong in ([3], [], [-1]):
        with pytest.raises(InputError, match="class ids 0…2, one at least"):
            DBVAE(outputs=3, vae_classes=wrong, **shape)
    assert DBVAE(vae_classes=[0, 1], **shape).vae_classes == (0, 1)
    with pytest.raises(InputError, match="outputs must be 1 or larger; got 0"):
        DBVAE(outputs=0, **shape)
