import math
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from equipoise.errors import InputError, MissingExtraError
from equipoise.latent import discover


def planted(n=2000, rare=0.1, seed=0, width=12, noise=0.7):
    """Features in which a hidden attribute shows more than the label, the attribute, and logits that lean on it."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 2)
    hidden = np.where(rng.random(n) < rare, 1 - labels, labels)
    features = rng.normal(0, noise, (n, width))
    features[:, 0] += 4 * hidden
    features[:, 3] += 1.5 * labels
    logits = 2.5 * (2 * hidden - 1) + 1.0 * (2 * labels - 1) + rng.normal(0, 1.5, n)
    return features, labels, hidden, logits


def cramers_v(first, second):
    """Of two binary attributes: the absolute correlation."""
    return abs(np.corrcoef(first, second)[0, 1])


def found(train=None, aside=None, **settings):
    features, labels, _, _ = train or planted()
    held, held_labels, _, logits = aside or planted(1500, seed=1)
    return discover(features, labels, held_out=(held, held_labels, logits), **settings)


def test_sides_are_the_hidden_attribute():
    features, labels, hidden, _ = planted(seed=2)
    groups = found()
    sides = groups.sides(features, labels)
    assert cramers_v(sides, hidden) > 0.95 > 0.85 > cramers_v(labels, hidden)
    for label in (0, 1):  # in both classes, and each side the larger one where the class is
        assert cramers_v(sides[labels == label], hidden[labels == label]) > 0.9
        assert sides[labels == label].mean() == pytest.approx(0.1 + 0.8 * label, abs=0.03)


@pytest.mark.parametrize(("rare", "noise"), [(0.02, 0.3), (0.3, 0.7)])
def test_sides_are_the_hidden_attribute_rare_or_common(rare, noise):
    features, labels, hidden, _ = planted(rare=rare, noise=noise, seed=2)
    groups = found(planted(rare=rare, noise=noise), planted(3000, rare=rare, noise=noise, seed=1))
    assert cramers_v(groups.sides(features, labels), hidden) > 0.8


def test_numbers_are_of_the_held_out_images():
    held, labels, _, logits = planted(1500, seed=1)
    groups = found(counts=(2, 3))
    for label in (0, 1):
        assert set(groups.silhouette[label]) == {2, 3}
        assert groups.clusters[label] == max((2, 3), key=groups.silhouette[label].get)
        rates = groups.accuracy[label]
        sides = groups.sides(held, labels)
        mine, other = ((labels == label) & (sides == side) for side in (label, 1 - label))
        low = rates[groups.conflict[label]]
        assert low.n == other.sum()
        assert low.value == pytest.approx(((logits >= 0) == labels)[other].mean())
        assert sum(rate.n for rate in rates) == (labels == label).sum()
        assert low.high < max(rate.low for rate in rates)
        if groups.clusters[label] == 2:
            places = held[labels == label]
            axis = np.where(other[labels == label], 1, 0)
            assert groups.silhouette[label][2] == pytest.approx(
                silhouette_score(projected(places, planted()[0][planted()[1] == label]), axis), abs=1e-6
            )
        assert mine.any()


def projected(rows, training, components=8):
    """On principal axes by a singular value decomposition."""
    centre = training.mean(0)
    return (rows - centre) @ np.linalg.svd(training - centre, full_matrices=False)[2][:components].T


def test_the_order_of_rows_plays_no_part_and_the_seed_decides():
    features, labels, hidden, logits = planted(800)
    held = planted(600, seed=1)
    rng = np.random.default_rng(5)
    first, second = rng.permutation(800), rng.permutation(600)
    plain = found((features, labels, hidden, logits), held)
    again = found((features[first], labels[first], None, None), tuple(part[second] for part in held))
    assert again.conflict == plain.conflict
    assert again.silhouette == plain.silhouette
    np.testing.assert_array_equal(
        again.sides(features[first], labels[first]), plain.sides(features, labels)[first]
    )
    assert found(seed=3).accuracy == found(seed=3).accuracy


def test_tensors_probabilities_and_images_of_one_class():
    features, labels, _, _ = planted()
    held, held_labels, _, logits = planted(1500, seed=1)
    groups = discover(
        torch.tensor(features),
        torch.tensor(labels),
        held_out=(torch.tensor(held), torch.tensor(held_labels), torch.sigmoid(torch.tensor(logits))),
    )
    assert groups.accuracy == found().accuracy
    mine = labels == 1
    np.testing.assert_array_equal(
        groups.sides(features[mine], labels[mine]), found().sides(features, labels)[mine]
    )
    moved = found(threshold=1.0).accuracy  # a higher threshold: fewer ones are right, more zeros
    assert min(rate.value for rate in moved[1]) < min(rate.value for rate in groups.accuracy[1])


def test_a_cluster_with_few_held_out_images_is_not_chosen():
    """Three clouds in each class; of that which is wrong most often only a few are held out."""

    def clouds(sizes, seed):
        rng = np.random.default_rng(seed)
        place = np.repeat([0, 1, 2], sizes)
        features = rng.normal(0, 0.1, (2 * len(place), 4))
        features[:, 0] += np.tile(3 * place, 2)
        labels = np.repeat([0, 1], len(place))
        features[:, 1] += labels
        wrong = rng.random(2 * len(place)) < np.tile(np.array([0.0, 0.3, 1.0])[place], 2)
        return features, labels, None, np.where(wrong, -1.0, 1.0) * (2 * labels - 1)

    groups = found(clouds((300, 100, 50), 0), clouds((200, 60, 6), 1))
    for label in (0, 1):
        assert groups.clusters[label] == 3
        assert groups.accuracy[label][groups.conflict[label]].n == 60
    groups = found(clouds((300, 100, 50), 0), clouds((200, 60, 20), 1))
    assert {groups.accuracy[label][groups.conflict[label]].value for label in (0, 1)} == {0.0}
    with pytest.raises(InputError, match=r"At least two clusters of class 0 must have 10 held-out images.*6"):
        found(clouds((300, 100, 50), 0), clouds((200, 9, 6), 1), counts=(3,))
    with pytest.raises(InputError, match="Errors must tell clusters of class 0 apart"):
        found(clouds((300, 100, 50), 0), (*clouds((200, 0, 20), 1)[:3], np.r_[[-1.0] * 220, [1.0] * 220]))


def test_a_silhouette_that_does_not_exist_is_nan():
    """All held-out images lie where one of two clouds lies, and split only into four."""
    rng = np.random.default_rng(0)
    training = np.concatenate([rng.normal(0, 1, (400, 2)), rng.normal(50, 1, (40, 2))])
    labels = np.arange(440) % 2
    held, held_labels = rng.normal(0, 1, (400, 2)), np.arange(400) % 2
    logits = held[:, 0] + 2 * held_labels - 1
    groups = discover(training, labels, held_out=(held, held_labels, logits), counts=(2, 4))
    assert math.isnan(groups.silhouette[0][2])
    assert groups.clusters == {0: 4, 1: 4}
    assert any(not rate.defined for rate in groups.accuracy[0])


def test_what_cannot_be_is_refused():
    features, labels, _, _ = planted(200)
    held, held_labels, _, logits = aside = planted(200, seed=1)
    broken = features.copy()
    broken[7, 2] = np.nan

    def refused(message, train=(features, labels), out=(held, held_labels, logits), **settings):
        with pytest.raises(InputError, match=message):
            discover(*train, held_out=out, **settings)

    refused("Features must be finite; got NaN or infinity in row 7", (broken, labels))
    refused("shape .200,. of float64", (features[:, 0], labels))
    refused("Held-out features must be 12 wide.*got 11", out=(held[:, :11], held_labels, logits))
    refused("got 0 different ones of class 1", (features, 0 * labels))
    refused("of class 0, and 0 held out", out=(held, 0 * held_labels + 1, logits))
    refused("at least 6 training.*got 3 different ones of class 0", (features[labels == 0][:3], [0, 0, 0]))
    refused("got 1 different ones", (np.ones((200, 3)), labels), (held[:, :3], held_labels, logits))
    refused("Expected 200 labels, 0 or 1.*with other values", (features, labels + 1))
    refused("Expected 200 held-out labels", out=(held, held_labels[:5], logits))
    refused("Expected 200 finite logits", out=(held, held_labels, logits * np.inf))
    refused("all on one side of 0", out=(held, held_labels, np.abs(logits) + 2))
    refused("counts must be", counts=(1, 2))
    refused("components must be", components=0)
    groups = found(planted(200), aside)
    with pytest.raises(InputError, match="must be 12 wide"):
        groups.sides(features[:, :3], labels)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingExtraError, match=r"equipoise\[latent\]"):
        found(planted(200), planted(200, seed=1))
