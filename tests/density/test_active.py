"""Active units."""

import pytest
import torch

from equipoise.density import active_units
from equipoise.errors import InputError


def test_variance_finds_units_that_move_whatever_the_unit_of_the_codes():
    means = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 0.5, 0.01, 0.0]
    )
    for scale in (1.0, 1e-5, 1e5):
        assert active_units(means * scale).tolist() == [True, True, False, False]


def test_kl_finds_units_away_from_the_prior():
    means = torch.zeros(10, 3)
    log_variances = torch.zeros(10, 3)
    means[:, 1] = torch.linspace(-1, 1, 10)
    log_variances[:, 2] = -3.0
    assert active_units(means, log_variances).tolist() == [False, True, True]
    kl = 0.5 * (means[:, 1] ** 2).mean().item()
    assert not active_units(means, log_variances, threshold=kl * 1.01)[1]
    assert active_units(means, log_variances, threshold=kl * 0.99)[1]


def test_a_collapsed_space_has_none():
    assert not active_units(torch.ones(5, 3)).any()


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match="threshold"):
        active_units(torch.zeros(2, 2), threshold=-1.0)
    for means, log_variances in [(torch.zeros(0, 2), None), (torch.zeros(2, 2), torch.zeros(2, 3))]:
        with pytest.raises(InputError, match="same shape"):
            active_units(means, log_variances)
