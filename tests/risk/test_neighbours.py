import copy

import pytest
import torch
from torch import nn

from equipoise import density
from equipoise.errors import InputError, NotFittedError
from equipoise.risk import Neighbours
from equipoise.risk.neighbours import KeptRows


def model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).eval()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_it_is_the_density_of_the_features(metric):
    network, x, new = model(), torch.randn(300, 4), 2 * torch.randn(20, 4)
    wrapped = Neighbours(k=5, metric=metric)(network).fit(x.split(70))
    _, risk = wrapped(new, return_risk=True)
    with torch.no_grad():
        features, its = network[:2](x), network[:2](new)
    expected = density.NeighbourDensity(5, metric).fit(features).log_prob(its)
    torch.testing.assert_close(-risk.representation, expected.float(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(risk.raw["neighbours.log_density"], -risk.representation)
    points = nn.functional.normalize(features, dim=1) if metric == "cosine" else features
    mine = nn.functional.normalize(its, dim=1) if metric == "cosine" else its
    distance = torch.cdist(mine, points).kthvalue(5, dim=1).values
    assert torch.equal(distance.argsort(), risk.representation.argsort())


def test_rare_inputs_have_the_higher_risk():
    torch.manual_seed(1)
    common, rare = torch.randn(500, 4) * 0.3 + 1, torch.randn(10, 4) * 0.3 - 1
    wrapped = Neighbours(k=12)(model()).fit([common, rare])
    risks = wrapped(torch.cat([common, rare]), return_risk=True)[1].representation
    assert risks[500:].min() > risks[:500].quantile(0.9)


def test_fit_keeps_a_fair_sample_and_says_the_same_again():
    x = torch.arange(2000.0)[:, None].repeat(1, 4)

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(x)

    def kept(seed: int, size: int) -> torch.Tensor:
        wrapped = Neighbours(k=3, reference=400, seed=seed)(Features()).fit(x.split(size))
        return wrapped.methods["neighbours"].kept.filled()[:, 0]

    rows = kept(0, 128)
    assert len(rows.unique()) == 400
    assert torch.equal(rows, kept(0, 128))
    assert not torch.equal(rows.sort().values, kept(1, 128).sort().values)
    for low in range(0, 2000, 500):  # a quarter from each quarter
        assert 70 <= int(((rows >= low) & (rows < low + 500)).sum()) <= 130
    assert float(rows.mean()) == pytest.approx(1000, abs=90)


def test_every_vector_is_as_likely_to_be_kept():
    counts = torch.zeros(60)
    for seed in range(400):
        rows = KeptRows(15, seed)
        rows.sample_all()
        for batch in torch.arange(60.0)[:, None].split(13):
            rows.push(batch)
        counts[rows.filled()[:, 0].long()] += 1
    assert float(counts.sum()) == 400 * 15
    assert counts.min() > 65  # 100 ± 4 standard deviations
    assert counts.max() < 135


def test_training_keeps_the_last():
    rows = KeptRows(5, 0)
    for batch in torch.arange(12.0)[:, None].split(4):
        rows.push(batch)
    assert sorted(rows.filled()[:, 0].tolist()) == [7, 8, 9, 10, 11]
    rows.push(torch.arange(100.0, 109.0)[:, None])
    assert sorted(rows.filled()[:, 0].tolist()) == [104, 105, 106, 107, 108]
    wrapped = Neighbours(k=2, reference=5)(model()).train()
    x = torch.randn(12, 4)
    for batch in x.split(4):
        wrapped(batch)
    last = wrapped.model[:2](x[7:])
    assert torch.cdist(wrapped.methods["neighbours"].kept.filled(), last).min(0).values.max() < 1e-4


def test_fitting_forgets_and_training_goes_on_from_it():
    network, x = model(), torch.randn(60, 4)
    wrapped = Neighbours(k=2, reference=50)(network).train()
    wrapped(100 * torch.randn(40, 4))
    once = copy.deepcopy(wrapped).fit([x]).eval()(x, return_risk=True)[1].representation
    fresh = Neighbours(k=2, reference=50)(network).fit([x]).eval()
    assert torch.equal(once, fresh(x, return_risk=True)[1].representation)
    twice = fresh.fit([x]).eval()(x, return_risk=True)[1].representation
    assert torch.equal(once, twice)
    fresh.train()(torch.full((50, 4), 9.0) + 0.1 * x[:50])
    assert (fresh.eval()(x, return_risk=True)[1].representation > once).float().mean() > 0.9


def test_too_few_tell_nothing():
    wrapped = Neighbours(k=8)(model()).fit([torch.randn(8, 4)]).eval()
    with pytest.raises(NotFittedError, match="more than k = 8 samples to compare with; got 8"):
        wrapped(torch.randn(2, 4), return_risk=True)
    wrapped.fit([torch.randn(9, 4)])
    assert wrapped(torch.randn(2, 4), return_risk=True)[1].representation.shape == (2,)


def test_errors_say_what_to_do():
    for arguments, match in (
        ({"k": 0}, "whole number"),
        ({"metric": "taxi"}, "'euclidean' or 'cosine'"),
        ({"reference": 20}, "larger than k"),
    ):
        with pytest.raises(InputError, match=match):
            Neighbours(**arguments)
    rows = KeptRows(5, 0)
    rows.push(torch.zeros(2, 3))
    with pytest.raises(InputError, match="Expected 3 features, as before; got 4"):
        rows.push(torch.zeros(2, 4))
