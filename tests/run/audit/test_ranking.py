"""Images in the order of every risk: what is among all images, and what among those of one label."""

import numpy as np

from equipoise.data import ImageTable
from equipoise.risk import Thresholds
from equipoise.run.audit.cross_fitting import Scored
from equipoise.run.audit.ranking import blocks, ranked
from equipoise.run.audit.view import Looked

N = 80


def scene():
    """Two classes apart in their features; image 7 has the other class' label, image 3 is nothing but grey."""
    chance = np.random.default_rng(0)
    labels = np.arange(N) % 2
    pictures = chance.integers(0, 255, (N, 16, 16, 3), dtype=np.uint8)
    pictures[3] = 128
    features = np.stack([4.0 * labels, np.ones(N)], 1) + chance.normal(0, 0.3, (N, 2))
    logits = np.stack([np.zeros(N), 8.0 * labels - 4], 1)
    given = labels.copy()
    given[7] = 1 - given[7]
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    seen = Looked("binary", logits, odds, features.astype(np.float32), "layer")
    return ImageTable.from_arrays(pictures, given), seen


def scores(rarity, doubt):
    risks = {"representation_a": rarity, "epistemic_b": doubt}
    ranks = {name: np.argsort(np.argsort(values)) / (N - 1) for name, values in risks.items()}
    kinds = {"representation_a": "representation", "epistemic_b": "epistemic"}
    return Scored(risks, ranks, {}, kinds, dict.fromkeys(kinds, "m"), np.ones(N, np.int64), {})


def test_who_is_rare_is_asked_among_images_of_one_label():
    """One class has far higher values; the rare of the other are found all the same."""
    table, seen = scene()
    rarity = np.where(table.labels == 1, 100.0, 0.0) + np.linspace(0, 1, N)
    found = ranked(table, seen, scores(rarity, np.linspace(1, 0, N)), Thresholds(), 0)
    rare = found.of_kind["representation"] >= 0.9
    assert {0, 1} == set(table.labels[rare].tolist())
    assert np.corrcoef(found.ranks["representation_a"], rarity)[0, 1] > 0.8  # errors are found among all
    assert found.clearest()["rare"] is found.of_kind["representation"]


def test_the_mislabelled_and_the_empty_picture_are_found():
    table, seen = scene()
    found = ranked(table, seen, scores(np.linspace(0, 1, N), np.linspace(1, 0, N)), Thresholds(), 0)
    assert found.noise.argmax() == 7
    assert found.suspected[7]
    assert found.replaced.argmax() == 7
    assert found.replaced[7] > 0.5
    assert found.kinds[7] == "mislabelled"
    assert found.quality.argmax() == 3
    assert found.kinds[3] == "bad picture"
    assert found.wrong.nonzero()[0].tolist() == [7]


def test_the_clearest_of_a_kind_have_the_most_of_it_and_the_ordinary_the_least_of_all():
    table, seen = scene()
    rarity, doubt = np.random.default_rng(1).random((2, N))
    clearest = ranked(table, seen, scores(rarity, doubt), Thresholds(), 0).clearest()
    assert clearest["hard"].argmax() == doubt.argmax()
    assert clearest["hard"].argmin() == doubt.argmin()
    rarest = [
        rows[rarity[rows].argmax()] for rows in map(np.flatnonzero, (table.labels == 0, table.labels == 1))
    ]
    assert clearest["rare"].argmax() in rarest
    assert clearest["mislabelled"].argmax() == 7
    assert clearest["bad picture"].argmax() == 3
    assert clearest["ordinary"][[3, 7, doubt.argmax(), *rarest]].max() < np.median(clearest["ordinary"])


def test_columns_say_what_was_ranked():
    table, seen = scene()
    doubt = np.linspace(1, 0, N)
    found = ranked(table, seen, scores(np.linspace(0, 1, N), doubt), Thresholds(), 0)
    columns = found.columns(seen, ("no", "yes"))
    assert np.array_equal(columns["epistemic_b"], doubt)
    assert np.array_equal(columns["predicted"], seen.logits.argmax(1))
    assert np.array_equal(columns["logit"], seen.logits[:, 1])
    assert np.array_equal(columns["label_noise_percentile"], found.ranks["label_noise"])
    assert np.array_equal(columns["picture_quality_percentile_of_label"], found.among["picture_quality"])


def test_blocks_are_all_pictures_once():
    table, _ = scene()
    assert np.array_equal(np.concatenate(list(blocks(table))), table.batch(np.arange(N)))
