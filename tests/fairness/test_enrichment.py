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


def test_of_many_images_the_interval_is_that_of_a_bootstrap_of_few_it_is_wider():
    rng = np.random.default_rng(2)
    groups = Groups(np.repeat([0, 1, 2], [6000, 3000, 12]), ("common", "less", "few"), attribute="skin")
    weights = rng.gamma(2, 1, 9012) * np.array([1.0, 0.6, 2.0])[groups.ids]
    found = fairness.enrichment(weights, groups)
    means = [
        rng.choice(weights[groups.ids == i], (1500, n)).mean(axis=1) for i, n in enumerate(groups.counts)
    ]
    overall = sum(n * mean for n, mean in zip(groups.counts, means, strict=True)) / len(weights)
    for i, name in enumerate(groups.names):
        low, high = np.percentile(means[i] / overall, [2.5, 97.5])
        if name == "few":
            assert found[name].low < low < high < found[name].high
        else:
            assert (found[name].low, found[name].high) == pytest.approx((low, high), rel=0.01)


LAWS = {
    "mild": lambda rng, n: rng.lognormal(0, 0.2, n),
    "as the default draws": lambda rng, n: np.minimum(rng.lognormal(0, 0.9, n), 15.0),
    "long": lambda rng, n: rng.pareto(2.5, n) + 1,
    "heavy": lambda rng, n: rng.lognormal(0, 1.3, n),
    "few count": lambda rng, n: np.where(rng.random(n) < 0.1, 5.0, 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("n", "share", "factor"), [(8, 0.02, 1.0), (8, 0.5, 2.5), (30, 0.05, 1.0), (500, 0.2, 1.5)]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(law, n, share, factor):
    """At least 93 of 100 times; a true enrichment of 1 is called more, or less, in at most 5."""
    rng = np.random.default_rng(4)
    total = round(n / share)
    groups = Groups(np.repeat([0, 1], [n, total - n]), ("group", "others"), attribute="kind")
    truth = factor / (share * factor + 1 - share)
    found = []
    for _ in range(120):
        weights = LAWS[law](rng, total)
        weights[:n] *= factor
        found.append(fairness.enrichment(weights, groups)["group"])
    assert np.mean([rate.low <= truth <= rate.high for rate in found]) >= 0.93


def test_a_group_that_lacks_the_heavy_images_is_not_told_apart_by_that():
    """Half of all groups of eight hold none of the one in ten that weighs ten times as much."""
    groups = Groups(np.repeat([0, 1], [8, 400]), ("eight", "others"))
    weights = np.full(408, 0.5)
    weights[8:48] = 5.0
    found = fairness.enrichment(weights, groups)["eight"]
    assert found.value < 0.6
    assert found.high > 1
    more = fairness.enrichment(np.repeat(weights, 40), groups.take(np.repeat(np.arange(408), 40)))["eight"]
    assert more.high < 0.75


def test_a_whole_class_as_one_group_is_chance():
    one = Groups(np.zeros(5, np.int64), ("all",))
    rate = fairness.enrichment([0.1, 2.0, 3.0, 0.0, 9.0], one)["all"]
    assert (rate.low, rate.value, rate.high) == (1.0, 1.0, 1.0)


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
