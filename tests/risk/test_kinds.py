"""The four-way split: planted rare, hard, mislabelled and bad images land where they belong."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.risk.analysis import percentile_ranks
from equipoise.risk.kinds import IMAGE_KINDS, Thresholds, kinds
from equipoise.risk.label_noise import label_noise


def test_the_first_rule_that_holds_wins():
    high = np.array([1.0])
    low = np.array([0.0])
    scores = {"representation": high, "epistemic": high, "label_noise": high, "quality": high}
    order = ("bad picture", "mislabelled", "rare", "hard", "ordinary")
    for name, kind in zip(
        ("quality", "label_noise", "representation", "epistemic", None), order, strict=True
    ):
        assert kinds(**scores) == [kind]
        if name:
            scores[name] = low
    assert set(order) == set(IMAGE_KINDS)


def test_a_label_that_nothing_contradicts_is_not_mislabelled():
    one = np.ones(2)
    found = kinds(
        representation=one / 2,
        epistemic=one,
        label_noise=one,
        quality=one / 2,
        suspected=np.array([True, False]),
    )
    assert found == ["mislabelled", "hard"]


def test_thresholds_are_the_shares_that_are_named():
    ramp = (np.arange(100) + 0.5) / 100
    middle = np.full(100, 0.5)
    given = {"representation": ramp, "epistemic": middle, "label_noise": middle, "quality": middle}
    assert kinds(**given, thresholds=Thresholds(rare=0.75)).count("rare") == 25
    assert kinds(**given, thresholds=Thresholds(rare=1.0)).count("rare") == 0


def test_planted_kinds_land_right_more_often_than_chance():
    """Two classes of points; some far out, some between the classes, some with the other label, some spoilt."""
    rng = np.random.default_rng(0)
    n, each = 1000, 50
    labels = np.arange(n) % 2
    points = rng.normal(size=(n, 6))
    points[:, 0] += np.where(labels == 1, 3.0, -3.0)
    planted = np.full(n, "ordinary", dtype=object)
    places = rng.permutation(n)[: 4 * each].reshape(4, each)
    for kind, rows in zip(("rare", "hard", "mislabelled", "bad picture"), places, strict=True):
        planted[rows] = kind
    points[places[0], 3:] += 4.0
    points[places[1], 0] *= 0.1
    given = labels.copy()
    given[places[2]] = 1 - given[places[2]]
    noise = label_noise(points, given)
    typical = np.array([points[labels == j].mean(axis=0) for j in (0, 1)])
    distance = np.linalg.norm(points[:, 1:] - typical[labels, 1:], axis=1)
    quality = rng.normal(size=n) + 5 * (planted == "bad picture")
    found = np.array(
        kinds(
            representation=percentile_ranks(distance),
            epistemic=percentile_ranks(-np.abs(points[:, 0])),
            label_noise=percentile_ranks(noise.score),
            quality=percentile_ranks(quality),
            suspected=noise.suspected,
            thresholds=Thresholds(bad_picture=0.95),
        )
    )
    for kind in ("rare", "hard", "mislabelled", "bad picture"):
        share, base = (found[planted == kind] == kind).mean(), (found == kind).mean()
        assert share > 0.6, kind
        assert share > 4 * base, kind
    assert (found[planted == "ordinary"] == "ordinary").mean() > 0.8


@pytest.mark.parametrize("wrong", [np.array([0.5]), np.array([0.5, 1.5]), np.array([0.5, np.nan])])
def test_only_percentiles_are_taken(wrong):
    fine = np.array([0.5, 0.5])
    with pytest.raises(InputError, match="label_noise as 2 percentiles"):
        kinds(representation=fine, epistemic=fine, label_noise=wrong, quality=fine)


def test_a_threshold_is_a_percentile():
    with pytest.raises(InputError, match="threshold rare must be a percentile"):
        Thresholds(rare=90)
