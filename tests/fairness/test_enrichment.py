import numpy as np
import pytest

from equipoise import Groups, Rate, fairness
from equipoise.errors import InputError


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    groups = Groups.from_column(["common"] * 900 + ["rare"] * 60 + ["missed"] * 40, attribute="skin")
    factor = np.select(
        [groups.ids == groups.names.index("rare"), groups.ids == groups.names.index("missed")], [2.5, 0.6], 1
    )
    return rng.gamma(2, 1, 1000) * factor, groups


def test_it_is_the_share_of_draws_over_the_natural_share(drawn):
    weights, groups = drawn
    found = fairness.enrichment(weights, groups)
    natural, share = fairness.shares(weights, groups)
    for i, name in enumerate(groups.names):
        mine = groups.ids == i
        assert natural[name] == pytest.approx(mine.mean())
        assert share[name] == pytest.approx(weights[mine].sum() / weights.sum())
        assert found[name].value == pytest.approx(share[name] / natural[name])
        assert found[name].n == mine.sum()
    assert sum(natural.values()) == pytest.approx(1)
    assert sum(share.values()) == pytest.approx(1)


def test_scale_and_order_do_not_matter(drawn):
    weights, groups = drawn
    order = np.random.default_rng(1).permutation(len(weights))
    first = fairness.enrichment(weights, groups)
    second = fairness.enrichment(7 * weights[order], groups.take(order))
    for name in groups.names:
        assert (first[name].value, first[name].low) == pytest.approx((second[name].value, second[name].low))


def test_uniform_weights_are_chance(drawn):
    found = fairness.enrichment(np.ones(1000), drawn[1])
    assert all(rate.value == pytest.approx(1) for rate in found.values())


def test_the_interval_is_that_of_a_bootstrap_within_groups(drawn):
    weights, groups = drawn
    rng = np.random.default_rng(2)
    found = fairness.enrichment(weights, groups)
    rows = [np.flatnonzero(groups.ids == i) for i in range(3)]
    replicates = {name: [] for name in groups.names}
    for _ in range(1500):
        chosen = np.concatenate([rng.choice(r, len(r)) for r in rows])
        mean = weights[chosen].mean()
        for i, name in enumerate(groups.names):
            replicates[name].append(weights[chosen][groups.ids[chosen] == i].mean() / mean)
    for name in groups.names:
        low, high = np.percentile(replicates[name], [2.5, 97.5])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), rel=0.04)


def test_empty_never_drawn_and_single_groups():
    groups = Groups(np.array([0, 0, 0, 1, 1, 2]), ("a", "never", "one", "empty"))
    found = fairness.enrichment([1.0, 2.0, 1.0, 0.0, 0.0, 1.0], groups)
    assert found["empty"].reason == "no images"
    assert found["never"].value == found["never"].low == 0
    assert found["never"].high > 1
    assert 0 < found["one"].low < found["one"].value < found["one"].high


def test_rare_groups_are_under_half_of_an_equal_share():
    counts = {
        "White": 7000,
        "Latino": 1500,
        "Eastern": 1500,
        "East": 700,
        "South": 200,
        "Indian": 150,
        "Black": 100,
    }
    rates = {name: Rate(1, 0.9, 1.1, n) for name, n in counts.items()}
    assert fairness.rare_groups(rates) == ["Black", "Indian", "South", "East"]
    assert fairness.rare_groups({"a": Rate(1, 1, 1, 50), "b": Rate(1, 1, 1, 45)}) == []


def test_the_verdict_says_what_was_found_and_what_not():
    common = Rate(0.98, 0.97, 0.99, 900)
    found, missed, chance = Rate(2.3, 2.1, 2.6, 40), Rate(0.8, 0.7, 0.9, 30), Rate(1.02, 0.9, 1.15, 30)
    text = fairness.verdict({"common": common, "x": found}, attribute="race")
    assert text.startswith("Rarity found the rare (race): x (4.3 % of the images) is drawn 2.30 times")
    text = fairness.verdict({"common": common, "x": found, "y": missed})
    assert text.startswith("Rarity found the rare only in part (the goal is 2 times): y")
    assert "less often than it occurs, 0.80 times" in text
    text = fairness.verdict({"common": common, "y": missed, "z": chance}, attribute="race")
    assert text.startswith("Rarity did not find the rare (race; the goal is 2 times)")
    assert "about as often as it occurs, 1.02 times [0.90, 1.15]" in text
    assert "common" not in text
    assert "No group is rare" in fairness.verdict({"a": common, "b": common})
    undefined = fairness.verdict({"a": Rate.undefined("all are equal", 9)}, attribute="race")
    assert undefined == "Whether rarity found the rare is undefined (race): all are equal."


def test_a_lucky_group_below_the_goal_is_only_part():
    rates = {"common": Rate(0.98, 0.97, 0.99, 900), "x": Rate(1.25, 1.1, 1.4, 40)}
    assert "only in part" in fairness.verdict(rates)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0], "got shape"),
        ([1.0, np.nan], "finite"),
        ([1.0, -1.0], "≥ 0"),
        ([0.0, 0.0], "not all 0"),
    ],
)
def test_weights_are_checked(weights, words):
    with pytest.raises(InputError, match=words):
        fairness.enrichment(weights, Groups.from_column(["a", "b"]))
