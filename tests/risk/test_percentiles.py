"""Percentiles of held-out scores: SciPy's, monotone, with ties in the middle."""

import numpy as np
import pytest
import torch
from scipy import stats

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import Percentiles


def scores(count=500, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def test_percentiles_are_scipys_up_to_the_step_between_two_samples():
    held_out, asked = scores(), scores(200, seed=1)
    found = Percentiles().fit({"risk": held_out})("risk", asked)
    wanted = stats.percentileofscore(held_out.double(), asked.double(), kind="mean") / 100
    assert np.abs(found.numpy() - wanted).max() < 1.5 / 500


def test_few_quantiles_of_many_scores_interpolate():
    found = Percentiles(101).fit({"risk": torch.rand(20_000, generator=torch.Generator().manual_seed(0))})
    asked = torch.linspace(0.005, 0.995, 50)
    torch.testing.assert_close(found("risk", asked), asked, atol=0.01, rtol=0)


@pytest.mark.parametrize("held_out", [scores(), scores().round(), torch.tensor([3.0]), torch.zeros(9)])
def test_percentiles_rise_with_the_score_from_0_to_1(held_out):
    asked = torch.cat([scores(300, seed=1) * 2, held_out]).sort().values
    found = Percentiles().fit({"risk": held_out})("risk", asked)
    assert (found.diff() >= 0).all()
    far = Percentiles().fit({"risk": held_out})("risk", torch.tensor([-1e30, 1e30]))
    assert far.tolist() == [0.0, 1.0]


def test_equal_scores_get_the_middle_of_their_range():
    held_out = torch.tensor([0.0] * 25 + [1.0] * 50 + [2.0] * 25)
    found = Percentiles().fit({"risk": held_out})("risk", torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(found, torch.tensor([0.125, 0.5, 0.875]), atol=0.01, rtol=0)


def test_a_constant_score_is_in_the_middle():
    assert Percentiles().fit({"risk": torch.full((7,), 4.0)})("risk", torch.tensor([4.0])).tolist() == [0.5]


def test_scores_of_one_sample_are_below_at_or_above_it():
    found = Percentiles().fit({"risk": torch.tensor([2.0])})("risk", torch.tensor([1.0, 2.0, 3.0]))
    assert found.tolist() == [0.0, 0.5, 1.0]


def test_undefined_stays_undefined():
    found = Percentiles().fit({"risk": scores()})("risk", torch.tensor([float("nan"), 0.0]))
    assert found.isnan().tolist() == [True, False]


def test_saved_and_loaded_names_and_values_are_the_same():
    percentiles = Percentiles().fit({"vae.epistemic": scores(), "histogram_2.representation": 2 * scores()})
    other = Percentiles()
    other.load_state_dict(percentiles.state_dict())
    assert sorted(other.names) == sorted(percentiles.names)
    assert "vae.epistemic" in other
    assert "vae" not in other
    for name in percentiles.names:
        asked = scores(50, seed=2)
        assert torch.equal(percentiles(name, asked), other(name, asked))


def test_a_table_of_another_length_loads():
    percentiles, other = Percentiles(51).fit({"risk": scores()}), Percentiles()
    other.load_state_dict(percentiles.state_dict())
    asked = scores(50, seed=2)
    assert torch.equal(percentiles("risk", asked), other("risk", asked))


def test_it_goes_through_safetensors():
    safetensors = pytest.importorskip("safetensors.torch")
    percentiles, other = Percentiles().fit({"vae.epistemic": scores()}), Percentiles()
    other.load_state_dict(safetensors.load(safetensors.save(percentiles.state_dict())))
    asked = scores(50, seed=2)
    assert torch.equal(percentiles("vae.epistemic", asked), other("vae.epistemic", asked))


def test_half_precision_keeps_the_quantiles():
    percentiles = Percentiles().fit({"risk": 1000 + scores() * 1e-3})
    asked = 1000 + scores(50, seed=1) * 1e-3
    before = percentiles("risk", asked)
    percentiles.half()
    assert {values.dtype for values in percentiles.state_dict().values()} == {torch.float64}
    assert torch.equal(before, percentiles("risk", asked))


def test_exported_it_is_the_same():
    class Ranked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.percentiles = Percentiles().fit({"vae.epistemic": scores().round(decimals=1)})

        def forward(self, values):
            return self.percentiles("vae.epistemic", values)

    asked = scores(50, seed=2).round(decimals=1)
    exported = torch.export.export(Ranked(), (asked,)).module()
    assert torch.equal(exported(asked), Ranked()(asked))


def test_fitting_again_replaces_and_keeps_the_others():
    percentiles = Percentiles().fit({"a": scores(), "b": scores()}).fit({"a": scores() + 100})
    assert percentiles("a", torch.tensor([50.0])).tolist() == [0.0]
    assert percentiles("b", torch.tensor([50.0])).tolist() == [1.0]
    assert percentiles.names == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (torch.zeros(0), r"shape \(n,\), n ≥ 1; got shape \(0,\)"),
        (torch.zeros(2, 2), r"got shape \(2, 2\)"),
        (torch.tensor([0.0, float("nan")]), "with NaN or infinity"),
    ],
)
def test_scores_that_say_nothing_are_refused(values, match):
    with pytest.raises(InputError, match=match):
        Percentiles().fit({"risk": values})


def test_what_was_not_fitted_is_not_told():
    with pytest.raises(NotFittedError, match=r"held-out scores of 'risk'; got none\. Call calibrate"):
        Percentiles()("risk", torch.zeros(3))
    with pytest.raises(InputError, match="quantiles must be at least 2"):
        Percentiles(1)
