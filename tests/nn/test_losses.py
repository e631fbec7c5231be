import math

import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as reference_kl

from equipoise.nn import kl_divergence, reparameterise
from equipoise.nn.losses import (
    classification_loss,
    db_vae_loss,
    l1_reconstruction,
    squared_l2_reconstruction,
)


@pytest.fixture
def codes(generator):
    return (
        torch.randn(6, 4, generator=generator, dtype=torch.float64),
        torch.randn(6, 4, generator=generator, dtype=torch.float64),
    )


@pytest.fixture
def pictures(generator):
    return torch.rand(6, 3, 4, 4, generator=generator), torch.rand(6, 3, 4, 4, generator=generator)


def test_kl_equals_torch_distributions(codes):
    mean, log_variance = codes
    reference = reference_kl(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_divergence(mean, log_variance), reference)


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(codes):
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]
    assert (kl_divergence(*codes) > 0).all()


def test_reparameterised_codes_have_the_posterior_deviation(generator):
    """Regression: exp(λ) in place of exp(½λ) gives 9 here, not 3."""
    log_variance = torch.full((20_000, 1), math.log(9.0))
    codes = reparameterise(torch.ones(20_000, 1), log_variance, generator=generator)
    assert codes.std().item() == pytest.approx(3, rel=0.03)
    assert codes.mean().item() == pytest.approx(1, abs=0.1)


def test_reparameterised_codes_depend_on_the_generator_alone(codes):
    first, again = (reparameterise(*codes, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    other = reparameterise(*codes, generator=torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_l1_is_the_mean_over_pixels_and_channels(pictures):
    images, reconstructions = pictures
    naive = [
        (image - other).abs().sum().item() / (3 * 4 * 4)
        for image, other in zip(images, reconstructions, strict=True)
    ]
    assert l1_reconstruction(images, reconstructions).tolist() == pytest.approx(naive)


def test_squared_l2_is_the_squared_norm(pictures):
    images, reconstructions = pictures
    naive = [
        torch.linalg.norm((a - b).flatten()).item() ** 2 for a, b in zip(images, reconstructions, strict=True)
    ]
    assert squared_l2_reconstruction(images, reconstructions).tolist() == pytest.approx(naive)


def test_l1_gradient_is_the_sign(pictures):
    images, reconstructions = pictures
    reconstructions.requires_grad_()
    l1_reconstruction(images, reconstructions).sum().backward()
    torch.testing.assert_close(reconstructions.grad, (reconstructions - images).sign() / 48)


def test_db_vae_loss_is_the_mean_over_the_whole_batch():
    """Regression: the indicator stands on L_VAE. On L_y, the second image here would not count."""
    logits, labels, vae = torch.tensor([0.3, 1.2, -0.7]), torch.tensor([1, 0, 1]), torch.tensor([2.0, 5.0])
    per_image = [
        math.log1p(math.exp(-0.3)) + 2.0,
        math.log1p(math.exp(1.2)),
        math.log1p(math.exp(0.7)) + 5.0,
    ]
    assert db_vae_loss(logits, labels, vae).item() == pytest.approx(sum(per_image) / 3)


def test_db_vae_loss_without_positives_is_the_cross_entropy():
    loss = db_vae_loss(torch.zeros(4), torch.zeros(4, dtype=torch.long), torch.empty(0))
    assert loss.item() == pytest.approx(math.log(2))


def test_losses_of_k_logits_are_the_softmax_cross_entropy():
    logits, labels = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 1])
    by_hand = -(logits.softmax(1)[[0, 1], [0, 1]]).log().mean().item()
    assert classification_loss(logits, labels).item() == pytest.approx(by_hand)
    assert db_vae_loss(logits, labels, torch.tensor([4.0])).item() == pytest.approx(by_hand + 2)
    half = classification_loss(logits.to(torch.bfloat16), labels)
    assert half.dtype == torch.float32


def test_k_logits_of_which_one_is_constant_are_one_logit():
    logits, labels = torch.randn(9, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 2
    two = torch.stack([torch.zeros(9), logits], 1)
    torch.testing.assert_close(classification_loss(two, labels), classification_loss(logits, labels))
