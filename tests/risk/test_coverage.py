"""Risk–coverage and rejection, against loops written from the formulas."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.risk import coverage


@pytest.fixture(params=["continuous", "tied"])
def scene(request):
    """Risks, whether predictions are right, and 300 images; errors are commoner where risk is high."""
    rng = np.random.default_rng(3)
    risk = rng.normal(size=300)
    correct = rng.random(300) > 0.6 / (1 + np.exp(-2 * risk))
    if request.param == "tied":
        risk = np.round(risk * 2) / 2
    return risk, correct


def aurc(order, losses):
    """From the formula, a loop."""
    return np.mean([losses[order[:k]].mean() for k in range(1, len(losses) + 1)])


def test_area_is_the_mean_selective_loss():
    rng = np.random.default_rng(0)
    risk, losses = rng.normal(size=80), rng.exponential(size=80)
    found = coverage.risk_coverage(risk, losses)
    assert found.area.value == pytest.approx(aurc(np.argsort(risk), losses))
    assert found.ideal == pytest.approx(aurc(np.argsort(losses), losses))
    assert found.random == pytest.approx(losses.mean())
    assert found.loss[-1] == pytest.approx(losses.mean())
    assert found.excess.value == pytest.approx(found.area.value - found.ideal)


def test_ties_count_with_their_expectation():
    rng = np.random.default_rng(1)
    risk, losses = rng.integers(0, 4, 40).astype(float), (rng.random(40) < 0.4).astype(float)
    shuffled = [aurc(np.lexsort((rng.random(40), risk)), losses) for _ in range(4000)]
    found = coverage.risk_coverage(risk, losses, replicates=0)
    assert found.area.value == pytest.approx(np.mean(shuffled), abs=3 * np.std(shuffled) / 60)
    turned = coverage.risk_coverage(risk[::-1], losses[::-1], replicates=0)
    assert turned.area.value == pytest.approx(found.area.value)


def test_gain_is_1_for_the_ideal_and_0_for_chance(scene):
    risk, correct = scene
    errors = (~correct).astype(float)
    assert coverage.risk_coverage(errors, errors).gain.value == pytest.approx(1)
    assert coverage.risk_coverage(np.zeros(300), errors).gain.value == pytest.approx(0, abs=1e-9)
    usual = coverage.risk_coverage(risk, errors)
    assert 0 < usual.gain.value < 1
    assert usual.gain.low < usual.gain.value < usual.gain.high
    assert not coverage.risk_coverage(risk, np.zeros(300)).gain.defined


@pytest.mark.slow
def test_the_bootstrap_covers_the_truth():
    rng = np.random.default_rng(5)

    def draw(n):
        risk = rng.random(n)
        return risk, (rng.random(n) < 0.5 * risk).astype(float)

    truth = coverage.risk_coverage(*draw(200_000), replicates=0).area.value
    inside = 0
    for _ in range(60):
        area = coverage.risk_coverage(*draw(300), generator=rng).area
        inside += area.low <= truth <= area.high
    assert 50 <= inside <= 60


def test_rejection_is_accuracy_of_the_rest(scene):
    risk, correct = scene
    kept = np.argsort(risk, kind="stable")
    found = coverage.rejection(risk, correct, (0.0, 0.1, 0.5, 1.0))
    assert found[0.0].value == pytest.approx(correct.mean())
    assert found[0.1].value == pytest.approx(correct[kept[:270]].mean())
    assert found[0.5].n == 150
    assert found[0.5].value > found[0.0].value
    assert not found[1.0].defined


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: coverage.rejection(np.zeros(3), np.ones(3, bool), [1.5]), "share"),
        (lambda: coverage.risk_coverage(np.zeros(3), np.zeros(2)), "a loss for each"),
    ],
)
def test_errors_say_what_to_do(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("kinds", [2, 3])
def test_many_images_are_drawn_level_by_level_and_say_the_same(monkeypatch, kinds):
    rng = np.random.default_rng(7)
    risk = rng.normal(size=6000)
    losses = np.floor(kinds * rng.random(6000) ** (1.5 + np.exp(-risk))) / (kinds - 1)
    wanted = coverage.risk_coverage(risk, losses, replicates=400)
    drawn = []
    single = coverage._resampled
    monkeypatch.setattr(coverage, "_resampled", lambda rows, *rest: drawn.append(rows) or single(rows, *rest))
    monkeypatch.setattr(coverage, "MANY", 5000)
    monkeypatch.setattr(coverage, "LEVELS", 300)
    found = coverage.risk_coverage(risk, losses, replicates=400)
    assert all(len(one) <= 301 * kinds for rows in drawn for one in rows)
    assert [rows[2].sum() for rows in drawn] == [6000, 6000]
    for name in ("area", "excess", "gain"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert ours.value == theirs.value
        assert ours.low == pytest.approx(theirs.low, abs=0.15 * (theirs.high - theirs.low))
        assert ours.high == pytest.approx(theirs.high, abs=0.15 * (theirs.high - theirs.low))
    drawn.clear()
    monkeypatch.setattr(coverage, "LOSSES", 1)
    assert coverage.risk_coverage(risk, losses, replicates=400).area == wanted.area
    assert len(drawn[0][0]) == 6000


def test_replicates_are_moved_by_what_levels_take_from_the_numbers():
    rng = np.random.default_rng(8)
    risk, losses = rng.normal(size=200), (rng.random(200) < 0.3).astype(float)
    of_all = coverage.risk_coverage(risk, losses, replicates=0)
    rows, told = (risk, losses, np.ones(200)), np.array([1.0, 2.0, 3.0])
    as_drawn, moved = (
        coverage._resampled(rows, 0.0, 4, np.random.default_rng(0), exact) for exact in (None, told)
    )
    by = told - [of_all.area.value, of_all.excess.value, of_all.gain.value]
    np.testing.assert_allclose(moved - as_drawn, np.repeat(by[:, None], 4, axis=1), atol=1e-9)
