"""The numbers of an audit against what they say they are."""

import numpy as np
import pytest

from equipoise.data import ImageTable
from equipoise.resample import temper
from equipoise.run.audit.numbers import (
    group_records,
    kind_records,
    rarity_verdicts,
    risk_record,
    share_of,
    together,
    within,
)


@pytest.fixture
def scene():
    """400 images; group "b" has higher risks, and errors have."""
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b"], 400).astype(object)
    group[:50] = None
    risk = rng.random(400) + 0.4 * (group == "b")
    wrong = rng.random(400) < 0.3 * (risk > 0.7)
    images = rng.integers(0, 256, (400, 4, 4, 3), dtype=np.uint8)
    table = ImageTable.from_arrays(images, np.arange(400) % 2, {"kind": group.tolist()})
    ranks = np.argsort(np.argsort(risk)) / 400 + 0.5 / 400
    return table, ranks, wrong, np.where(risk > 0.9, "rare", "ordinary")


def test_groups_are_compared_among_the_annotated(scene):
    table, ranks, wrong, kinds = scene
    found = group_records(table, "kind", wrong, {"risk": ranks}, kinds)
    assert list(found) == ["a", "b"]
    inside, others = (np.array(table.column("kind")) == name for name in ("b", "a"))
    one = found["b"]
    assert one.n == inside.sum()
    assert one.accuracy.value == pytest.approx(1 - wrong[inside].mean())
    assert one.percentile["risk"].value == pytest.approx(ranks[inside].mean())
    assert one.difference["risk"].value == pytest.approx(ranks[inside].mean() - ranks[others].mean())
    assert one.kinds["rare"].value == pytest.approx((kinds[inside] == "rare").mean())
    assert one.difference["risk"].low > 0
    assert found["a"].difference["risk"].high < 0


def test_what_would_be_drawn_by_a_representation_risk(scene):
    table, ranks, wrong, kinds = scene
    scores = {"risk": ranks, "flat": np.full(400, 0.5), "other": ranks}
    found = group_records(table, "kind", wrong, scores, kinds, ["risk", "flat"])
    column = np.array(table.column("kind"))
    weights = temper(ranks[column != None], ess=0.5, max_weight=10.0)  # noqa: E711
    inside = column[column != None] == "b"  # noqa: E711
    one = found["b"].enrichment
    assert set(one) == {"risk", "flat"}
    assert one["risk"].value == pytest.approx(weights[inside].sum() / inside.mean())
    assert one["risk"].n == inside.sum()
    assert one["risk"].low > 1 > found["a"].enrichment["risk"].high
    assert one["flat"].reason == "all images are equally rare"
    words = rarity_verdicts(found, "kind")
    assert words["risk"].startswith("No group is rare (kind)")
    assert words["flat"].startswith("Whether rarity found the rare is undefined (kind)")


def test_the_interval_of_a_difference_is_the_bootstraps(scene):
    table, ranks, wrong, kinds = scene
    one = group_records(table, "kind", wrong, {"risk": ranks}, kinds)["b"].difference["risk"]
    a, b = (ranks[np.array(table.column("kind")) == name] for name in ("a", "b"))
    rng = np.random.default_rng(0)
    drawn = [rng.choice(b, len(b)).mean() - rng.choice(a, len(a)).mean() for _ in range(2000)]
    assert [one.low, one.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)


def test_one_group_has_nothing_to_be_compared_with(scene):
    table, ranks, wrong, kinds = scene
    alone = table.take(np.flatnonzero(np.array(table.column("kind")) == "a"))
    n = len(alone)
    one = group_records(alone, "kind", wrong[:n], {"risk": ranks[:n]}, kinds[:n])["a"]
    assert not one.difference["risk"].defined
    assert one.difference["risk"].reason == "no other group to compare with"


def test_percentiles_within_label_and_half():
    values = np.array([1.0, 2.0, 10.0, 20.0, 3.0])
    found = within(values, np.array([0, 0, 1, 1, 0]), np.array([0, 0, 0, 0, 1]))
    assert found.tolist() == [0.25, 0.75, 0.25, 0.75, 0.5]


def test_several_percentiles_together():
    a, b = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.9, 0.8])
    assert together([a, b]).tolist() == pytest.approx([1 / 6, 1 / 2, 5 / 6])


def test_a_risk_in_numbers(scene):
    table, ranks, wrong, _ = scene
    one = risk_record(
        ranks, wrong, table.labels, title="t", kind="epistemic", method="m", sees_label=False, seed=0
    )
    assert one.finds_errors.low > 0.6
    assert one.errors_in_top.value == pytest.approx((ranks[wrong] >= 0.9).mean())
    assert one.rejection["0"].value == pytest.approx(1 - wrong.mean())
    assert len(one.coverage) == len(one.error) == 201
    assert one.error[-1] == pytest.approx(wrong.mean())
    assert one.random == pytest.approx(wrong.mean())
    assert one.highest == np.argsort(-ranks)[:20].tolist()
    assert all(table.labels[row] == 1 for row in one.highest_of_label["1"])


@pytest.mark.parametrize(
    ("value", "reason"), [(0, "no prediction is wrong"), (1, "every prediction is wrong")]
)
def test_without_errors_or_hits_nothing_can_be_found(scene, value, reason):
    table, ranks, wrong, _ = scene
    one = risk_record(
        *(ranks, np.full_like(wrong, value), table.labels),
        title="t", kind="epistemic", method="m", sees_label=False, seed=0,
    )  # fmt: skip
    assert one.finds_errors.reason == reason
    assert not one.gain.defined


def test_kinds_with_their_clearest_examples(scene):
    _, ranks, wrong, kinds = scene
    score = dict.fromkeys(("ordinary", "rare", "hard", "mislabelled", "bad picture"), ranks)
    found = kind_records(kinds, wrong, score)
    assert sum(one.share.value for one in found.values()) == pytest.approx(1)
    assert not found["hard"].accuracy.defined
    rare = found["rare"].examples
    assert (kinds[rare] == "rare").all()
    assert (np.diff(ranks[rare]) <= 0).all()
    assert len(rare) == 20


def test_a_share_of_nothing_is_undefined():
    assert not share_of(np.zeros(0, bool)).defined
    assert share_of(np.zeros(9, bool)).high > 0.2
