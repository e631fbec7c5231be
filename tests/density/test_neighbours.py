"""k-th neighbour densities against scikit-learn and a known density."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from equipoise.density import NeighbourDensity, neighbours
from equipoise.density.neighbours import sample
from equipoise.errors import InputError, NotFittedError


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_distances_equal_scikit_learn(metric, block, monkeypatch):
    monkeypatch.setattr(neighbours, "_DISTANCES", block * 64)
    codes, new = normal(300, 5) + 100.0 * (metric == "euclidean"), normal(40, 5, seed=1)
    model = NeighbourDensity(7, metric).fit(codes)
    if metric == "cosine":
        codes, new = (torch.nn.functional.normalize(x, dim=1) for x in (codes, new))
    theirs = NearestNeighbors(n_neighbors=8).fit(codes.numpy())
    d = 5 if metric == "euclidean" else 4
    constant = math.log(7 / 300) - d / 2 * math.log(math.pi) + math.lgamma(d / 2 + 1)
    for log_prob, rows, column in [
        (model.log_prob(new), new, 6),
        (model.log_prob(codes, leave_one_out=True), codes, 7),
    ]:
        expected = constant - d * np.log(theirs.kneighbors(rows.numpy())[0][:, column])
        np.testing.assert_allclose(log_prob, expected, rtol=1e-5)


def test_a_reference_in_blocks_smaller_than_k(monkeypatch):
    monkeypatch.setattr(neighbours, "_DISTANCES", 64 * 64)
    codes, new = normal(300, 5), normal(150, 5, seed=1)
    theirs = NearestNeighbors(n_neighbors=150).fit(codes.numpy()).kneighbors(new.numpy())[0][:, -1]
    ours = neighbours.neighbour_distances(new, codes, k=150)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


SCORE_FEW_THEN_MANY = """
import torch
from pathlib import Path
from equipoise.density import NeighbourDensity
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
codes = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0))
model = NeighbourDensity(50, reference=2048).fit(codes)
model.log_prob(codes[:2_000])
few = peak()
model.log_prob(codes)
print(peak() - few)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
def test_memory_does_not_grow_with_the_rows():
    # In a process of its own: what the allocator has been through before decides how it loses room.
    command = [sys.executable, "-c", SCORE_FEW_THEN_MANY]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert grown < 40  # MiB; 172 to 312 when each block's distances were allocated anew


def test_density_of_a_known_distribution():
    codes = torch.rand(20_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inner = codes[((codes > 0.2) & (codes < 0.8)).all(1)][:500]
    log_prob = NeighbourDensity(50).fit(codes).log_prob(inner)
    assert abs(log_prob.mean().item()) < 0.05  # the density of the unit square is 1


def test_a_share_sees_groups_that_a_count_does_not():
    # 50 rows, as tight as can be, far away: dense at small scale, rare at the scale of a tenth.
    codes = torch.cat([normal(950, 3), 0.01 * normal(50, 3, seed=1) + 6.0])
    fine = NeighbourDensity(5).fit(codes).log_prob(codes, leave_one_out=True)
    coarse = NeighbourDensity(0.1).fit(codes).log_prob(codes, leave_one_out=True)
    assert fine[950:].min() > fine[:950].max()
    assert coarse[950:].max() < coarse[:950].median()


def test_components_leave_out_noise():
    group = torch.arange(1000) < 50
    codes = torch.cat([normal(1000, 1), normal(1000, 60, seed=1)], 1)
    codes[group, 0] += 5.0
    few = NeighbourDensity(0.1, components=1).fit(codes).log_prob(codes)
    everything = NeighbourDensity(0.1).fit(codes).log_prob(codes)

    def auroc(log_prob):
        return (log_prob[group][:, None] < log_prob[~group]).double().mean()

    assert auroc(few) > 0.97 > auroc(everything)


def test_copies_stay_finite_and_identical_codes_are_uniform():
    codes = torch.cat([normal(50, 3), torch.zeros(30, 3)])
    assert torch.isfinite(NeighbourDensity(5).fit(codes).log_prob(codes)).all()
    same = NeighbourDensity(5).fit(torch.ones(20, 3)).log_prob(torch.ones(20, 3))
    assert torch.isfinite(same).all()
    assert same.unique().numel() == 1


def test_the_sample_depends_on_content_alone():
    codes = normal(500, 3)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    whole = sample(codes, rows=50)
    assert torch.equal(whole, sample(codes[order], rows=50))
    assert torch.equal(whole, sample([sample(codes[:200], rows=50), sample(codes[200:], rows=50)], rows=50))
    assert sample(codes, rows=1000).shape == (500, 3)
    assert torch.equal(
        sample(torch.tensor([[0.0], [1.0]]), rows=1), sample(torch.tensor([[1.0], [-0.0]]), rows=1)
    )


def test_the_sample_is_fair():
    codes = torch.arange(20_000.0)[:, None]
    mean = sample(codes, rows=2000).mean().item()
    assert abs(mean - 10_000) < 4 * 20_000 / math.sqrt(12 * 2000)


def test_state_dict_restores():
    codes = normal(100, 6)
    first = NeighbourDensity(3, reference=60, components=2).fit(codes)
    second = NeighbourDensity(3, reference=60, components=2)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(codes), first(codes))
    assert second.half().points.dtype == torch.float64
    assert "rows=60" in repr(second)


def test_errors_say_what_to_do():
    with pytest.raises(NotFittedError, match="Call fit first"):
        NeighbourDensity().log_prob(normal(3, 2))
    with pytest.raises(InputError, match="more than k = 20"):
        NeighbourDensity().fit(normal(20, 2))
    with pytest.raises(InputError, match="got 3"):
        NeighbourDensity(2).fit(normal(9, 2)).log_prob(normal(9, 3))
    for wrong in ({"k": 0}, {"k": 1.5}, {"metric": "manhattan"}, {"reference": 20}, {"components": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            NeighbourDensity(**wrong)
