"""The populations of `interval_coverage.py`: what is drawn, and what is true of it.

Scores are normal, negatives N(−2, 1) and a group's positives N(μ, 1), turned into probabilities by a sigmoid; so
every rate, area and mean is known. Two models share a part of each image's luck (`together`, the correlation of their
scores).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, gammaln
from scipy.stats import binom, norm

from equipoise import fairness, risk
from equipoise.groups import Groups
from equipoise.intervals import Pairs
from equipoise.rate import Rate

Truths = dict[str, tuple[float, Rate]]

REPLICATES = 500
NEGATIVE = -2.0
"""Mean score of the negatives."""
RATES = (1e-9, 0.002, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Shares of images that only one of two models hits."""
EDGES = np.linspace(-4, 4, 21)
"""Bins of KL."""


@dataclass(frozen=True)
class Case:
    """One population.

    Args:
        setting: In words, for the table.
        draw: From a source of chance to number → truth and the interval of one draw.
        draws: How often.
        cost: Seconds that all draws take, roughly.
    """

    setting: str
    draw: Callable[[np.random.Generator], Truths]
    draws: int
    cost: float


def labelled(sizes: Sequence[int], negatives: int) -> tuple[np.ndarray, Groups]:
    """Labels of the positives, group by group, and of the negatives, which have no group."""
    names = np.repeat([f"g{i}" for i in range(len(sizes))], sizes).tolist()
    groups = Groups.from_column(names + [None] * negatives, attribute="group")
    return np.r_[np.ones(len(names)), np.zeros(negatives)].astype(int), groups


def mean_of_sigmoid(mu: float) -> float:
    x = np.linspace(mu - 9, mu + 9, 4001)
    return float(np.trapezoid(expit(x) * norm.pdf(x - mu), x))


def of_groups(rates: np.ndarray) -> dict[str, float]:
    return {"worst group": rates.min(), "gap": np.ptp(rates), "variance": np.var(100 * rates)}


def one_model(
    sizes: Sequence[int], mus: Sequence[float], m: int, fpr: float, generator: np.random.Generator
) -> Truths:
    """Everything that `evaluate` says of one model."""
    labels, groups = labelled(sizes, m)
    means, share = np.array(mus), np.array(sizes) / sum(sizes)
    scores = np.r_[generator.normal(np.repeat(means, sizes), 1), generator.normal(NEGATIVE, 1, m)]
    found = fairness.evaluate(
        expit(scores), labels, [groups], fpr=fpr, replicates=REPLICATES, seed=int(generator.integers(2**31))
    )
    cut = NEGATIVE + norm.isf(fpr)
    at, matched = norm.cdf(means), norm.cdf(means - cut)
    areas = norm.cdf((means - NEGATIVE) / np.sqrt(2))
    first = found.groups["group"]["g0"]
    alarms = float(norm.sf(-NEGATIVE))
    right = (sum(sizes) * float(share @ at) + m * (1 - alarms)) / (sum(sizes) + m)
    told = {
        "share found at 0.5 (TPR)": (share @ at, found.tpr),
        "share found at 0.5 (TPR), a group": (at[0], first.tpr),
        "share found at a matched FPR": (share @ matched, found.tpr_at_fpr),
        "share found at a matched FPR, a group": (matched[0], first.tpr_at_fpr),
        "AUROC": (share @ areas, found.auroc),
        "AUROC, a group": (areas[0], first.auroc),
        "mean probability, a group": (mean_of_sigmoid(means[0]), first.mean_probability),
        "false-positive rate": (alarms, found.fpr),
        "false-positive rate reached": (
            float(norm.sf(logit(found.threshold_at_fpr) - NEGATIVE)),
            found.fpr_achieved,
        ),
        "accuracy": (right, found.accuracy),
    }
    for point, truth, words in (("at_0.5", at, "at 0.5"), ("at_fpr", matched, "at a matched FPR")):
        rates = {
            "worst group": found.worst_group["group"][point]["tpr"],
            "gap": found.gap["group"][point],
            "variance": found.variance["group"][point],
        }
        told |= {f"{name} {words}": (value, rates[name]) for name, value in of_groups(truth).items()}
    return told


def logit(probability: float) -> float:
    return float(np.log(probability) - np.log1p(-probability))


def two_models(
    sizes: Sequence[int],
    mus: tuple[Sequence[float], Sequence[float]],
    m: int,
    fpr: float,
    together: float,
    generator: np.random.Generator,
) -> Truths:
    """Everything that `compare` says of two."""
    labels, groups = labelled(sizes, m)
    luck = np.sqrt(together) * generator.normal(size=len(labels))
    means = [np.array(one) for one in mus]
    scores = [
        expit(np.r_[np.repeat(one, sizes), np.full(m, NEGATIVE)] + luck + np.sqrt(1 - together) * own)
        for one, own in zip(means, generator.normal(size=(2, len(labels))), strict=True)
    ]
    found = fairness.compare(
        {"plain": scores[0], "other": scores[1]},
        labels,
        [groups],
        baseline="plain",
        fpr=fpr,
        replicates=REPLICATES,
        seed=int(generator.integers(2**31)),
    ).differences["other"]
    share, cut = np.array(sizes) / sum(sizes), NEGATIVE + norm.isf(fpr)
    rates = {"at_0.5": [norm.cdf(one) for one in means], "at_fpr": [norm.cdf(one - cut) for one in means]}
    areas = [share @ norm.cdf((one - NEGATIVE) / np.sqrt(2)) for one in means]
    change = share @ (rates["at_0.5"][1] - rates["at_0.5"][0])
    told: Truths = {
        "difference of AUROC": (areas[1] - areas[0], found.auroc),
        "difference of false-positive rates": (0.0, found.fpr),
        "difference of accuracies": (change * sum(sizes) / len(labels), found.accuracy),
    }
    for point, (plain, other) in rates.items():
        words = "at 0.5" if point == "at_0.5" else "at a matched FPR"
        first, second = of_groups(plain), of_groups(other)
        told |= {
            f"difference of TPR {words}": (share @ (other - plain), found.tpr[point]),
            f"difference of TPR {words}, a group": (other[0] - plain[0], found.groups["group"]["g0"][point]),
        }
        of_all = {
            "worst group": found.worst_group["group"][point],
            "gap": found.gap["group"][point],
            "variance": found.variance["group"][point],
        }
        told |= {
            f"difference of {name} {words}": (second[name] - first[name], of_all[name]) for name in of_all
        }
    return told


def area_alone(law: str, truth: float, n: int, m: int, generator: np.random.Generator) -> Truths:
    """AUROC of n positives against m standard normal negatives."""
    positives = {
        "normal": lambda: generator.normal(norm.ppf(truth) * np.sqrt(2), 1, n),
        "heavy tails": lambda: generator.standard_t(3, n) + 3,
        "5 % like negatives": lambda: generator.normal(np.where(generator.random(n) < 0.05, 0, 4), 1),
    }[law]()
    scores = expit(np.r_[positives, generator.normal(size=m)])
    one = Groups(np.zeros(n + m, np.int64), ("a",))
    return {"AUROC, a group": (truth, fairness.auroc(scores, np.r_[np.ones(n), np.zeros(m)], one)["a"])}


def mean_alone(a: float, b: float, n: int, generator: np.random.Generator) -> Truths:
    """Mean of n probabilities from Beta(a, b)."""
    one = Groups(np.zeros(n, np.int64), ("a",))
    found = fairness.mean_probability(generator.beta(a, b, n), np.ones(n), one)["a"]
    return {"mean probability, a group": (a / (a + b), found)}


def cell_scores(sizes: np.ndarray, mus: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return generator.normal(np.repeat(mus, sizes), 1)


def attributes(
    sizes: Sequence[int], mus: Sequence[float], together: float, generator: np.random.Generator
) -> Truths:
    """`attribute_metrics` of a model, `compare_attributes` with an equally good one; cells (t, g) 00, 01, 10, 11."""
    n, means = np.array(sizes), np.array(mus)
    targets, genders = np.repeat([0, 0, 1, 1], n), np.repeat([0, 1, 0, 1], n)
    groups = Groups(genders, ("f", "m"), "gender")
    luck = np.sqrt(together) * generator.normal(size=len(targets))
    own = np.sqrt(1 - together) * generator.normal(size=(2, len(targets)))
    scores = np.repeat(means, n) + luck + own
    seed = int(generator.integers(2**31))
    options = {"signs": {"f": -1, "m": 1}, "replicates": 200, "seed": seed, "bins": EDGES}
    found = fairness.attribute_metrics(scores[0], targets, groups, threshold=0.0, **options)
    moved = fairness.compare_attributes(
        {"a": scores[0], "b": scores[1]},
        targets,
        groups,
        baseline="a",
        thresholds={"a": 0.0, "b": 0.0},
        **options,
    )["b"]
    right = np.where([0, 0, 1, 1], norm.cdf(means), norm.sf(means))
    group = np.array([n[0] + n[2], n[1] + n[3]])
    more = ((1 - right[:2]) * n[:2] - (1 - right[2:]) * n[2:]) / group
    truth = {
        "ap": average_precision(means),
        "kl": (divergence(means[0], means[1]) + divergence(means[2], means[3])) / 2,
        "deo": abs(right[2] - right[3]),
        "ba": (more @ np.array([-1, 1])) / 2,
        "average_accuracy": right @ n / n.sum(),
        "balanced_accuracy": right.mean(),
        "worst_cell_accuracy": right.min(),
    }
    told: Truths = {f"attribute: {name}": (value, getattr(found, name)) for name, value in truth.items()}
    return told | {f"difference of attribute: {name}": (0.0, getattr(moved, name)) for name in truth}


def many_classes(
    sizes: np.ndarray,
    rates: tuple[np.ndarray, np.ndarray],
    together: float,
    generator: np.random.Generator,
) -> Truths:
    """`evaluate_classes` of a model and `compare_classes` with another; sizes and recalls by class × group."""
    k, g = sizes.shape
    labels, ids = (
        np.repeat(np.repeat(np.arange(k), g), sizes.ravel()),
        np.repeat(np.tile(np.arange(g), k), sizes.ravel()),
    )
    groups = Groups(ids, tuple(f"g{i}" for i in range(g)), "group")
    luck = np.sqrt(together) * generator.normal(size=len(labels))
    right = [
        luck + np.sqrt(1 - together) * generator.normal(size=len(labels)) < norm.ppf(one)[labels, ids]
        for one in rates
    ]
    names = list(map(str, range(k)))
    calls = [np.where(one, labels, (labels + 1) % k) for one in right]
    found = fairness.evaluate_classes(calls[0], labels, groups, classes=names)
    moved = fairness.compare_classes(
        dict(zip(("plain", "other"), calls, strict=True)), labels, groups, classes=names, baseline="plain"
    ).differences["other"]
    plain, other = (_of_cells(sizes, one) for one in rates)
    told: Truths = {
        "balanced accuracy": (plain["balanced accuracy"], found.balanced_accuracy),
        "worst class": (plain["worst class"], found.worst_class["recall"]),
        "worst cell": (plain["worst cell"], found.worst_cell["group"]["recall"]),
        "worst group by accuracy": (plain["worst group"], found.worst_group["group"]["accuracy"]),
        "gap of accuracies": (plain["gap"], found.gap["group"]),
    }
    of_both = {
        "balanced accuracy": moved.balanced_accuracy,
        "worst class": moved.worst_class,
        "worst cell": moved.worst_cell["group"],
        "worst group": moved.worst_group["group"],
        "gap": moved.gap["group"],
    }
    words = {"worst group": "worst group by accuracy", "gap": "gap of accuracies"}
    return told | {
        f"difference of {words.get(name, name)}": (other[name] - plain[name], rate)
        for name, rate in of_both.items()
    }


def _of_cells(sizes: np.ndarray, rates: np.ndarray) -> dict[str, float]:
    of_classes = (sizes * rates).sum(axis=1) / sizes.sum(axis=1)
    of_groups = (sizes * rates).sum(axis=0) / sizes.sum(axis=0)
    return {
        "balanced accuracy": of_classes.mean(),
        "worst class": of_classes.min(),
        "worst cell": rates.min(),
        "worst group": of_groups.min(),
        "gap": np.ptp(of_groups),
    }


def divergence(first: float, second: float) -> float:
    """Of two groups' scores in the bins of `EDGES`, whose outer ones are open."""
    inner = EDGES[1:-1]
    p, q = (np.diff(np.r_[0, norm.cdf(inner - mu), 1]) for mu in (first, second))
    return float(((p - q) * np.log(p / q)).sum())


def average_precision(mus: np.ndarray) -> float:
    """Of normal scores with all four cells counting equally."""
    cuts = np.linspace(-9, 9, 8001)
    recall = norm.sf(cuts[:, None] - mus[2:]).mean(axis=1)
    alarms = norm.sf(cuts[:, None] - mus[:2]).mean(axis=1)
    precision = recall / np.maximum(recall + alarms, 1e-300)
    return float(-np.trapezoid(precision, recall))


def drawn_weights(law: str, n: int, share: float, generator: np.random.Generator) -> Truths:
    """Enrichment of a group of n images, whose weights are half as large again as those of all others."""
    total = round(n / share)
    weights = {
        "even": lambda: np.exp(0.2 * generator.normal(size=total)),
        "log-normal": lambda: np.exp(generator.normal(size=total)),
        "one in ten heavy": lambda: np.where(generator.random(total) < 0.1, 10.0, 1.0),
        "Pareto 3": lambda: 1 + generator.pareto(3, total),
    }[law]()
    inside = np.arange(total) < n
    groups = Groups(np.where(inside, 0, 1), ("rare", "common"))
    truth = 1.5 / (1.5 * share + 1 - share)
    return {"enrichment": (truth, fairness.enrichment(weights * np.where(inside, 1.5, 1), groups)["rare"])}


def risks(n: int, power: float, generator: np.random.Generator) -> Truths:
    """Risk–coverage and correlation of a risk that tells errors apart with this power."""
    wrong = generator.random(n) < 0.2
    told = generator.normal(power * wrong, 1)
    other = 0.6 * told + 0.8 * generator.normal(size=n)
    found = risk.risk_coverage(told, wrong.astype(float), replicates=200, generator=generator)
    ranks = {0.0: 0.5822, 1.5: np.nan}[power]
    result: Truths = {"area under the risk–coverage curve": (risk_coverage_area(power), found.area)}
    if not np.isnan(ranks):
        result["Spearman correlation"] = (6 / np.pi * np.arcsin(0.6 / 2), risk.correlation(told, other))
    return result


def risk_coverage_area(power: float) -> float:
    """Mean over coverages of the error among the least risky, for many images."""
    x = np.linspace(-9, 9 + power, 20001)
    kept = 0.8 * norm.cdf(x) + 0.2 * norm.cdf(x - power)
    error = 0.2 * norm.cdf(x - power) / np.maximum(kept, 1e-300)
    return float(np.trapezoid(error, kept))


def agreement_with_mcnemar(sizes: Sequence[int] = (*range(10, 31), 40, 60, 100, 200)) -> str:
    """Whether intervals of paired differences exclude 0 where the exact test does, and how they cover, in words."""
    apart, tables, lowest, alarms = 0, 0, 1.0, 0.0
    for n in sizes:
        won, lost = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)]).T
        pairs = Pairs.of(won, lost, np.full(len(won), n))
        low, high = pairs.low(), pairs.high()
        p = np.minimum(1, 2 * binom.cdf(np.minimum(won, lost), won + lost, 0.5))
        apart += int((((low > 0) | (high < 0)) != (p < 0.05)).sum())
        tables += len(won)
        log = gammaln(n + 1) - gammaln(won + 1) - gammaln(lost + 1) - gammaln(n - won - lost + 1)
        for first in RATES:
            for second in RATES:
                chance = log + won * np.log(first) + lost * np.log(second)
                chance = np.exp(chance + (n - won - lost) * np.log(1 - first - second))
                truth = first - second
                held = float(chance @ ((low <= truth + 1e-9) & (truth <= high + 1e-9)))
                lowest = min(lowest, held)
                if first == second:
                    alarms = max(alarms, 1 - held)
    return (
        f"**Paired differences, counted out, not simulated**: of all {tables:,} outcomes that {min(sizes)} to "
        f"{max(sizes)} images can have, the interval excludes 0 where the exact McNemar test has p ≥ 0.05, or the "
        f"other way round, in {apart}. The lowest coverage over {len(sizes) * len(RATES) ** 2:,} settings is "
        f"{100 * lowest:.1f} %, the most false alarms between equal models {100 * alarms:.1f} %."
    )


def _models() -> list[Case]:
    cases = []
    for sizes, mus, m, fpr in [
        ([60, 200, 600], [1.2, 1.8, 2.0], 1000, 0.01),
        ([60, 200, 600], [1.8, 1.8, 1.8], 1000, 0.01),
        ([60, 200, 600], [1.2, 1.8, 2.0], 300, 0.01),
        ([60, 200, 600], [1.2, 1.8, 2.0], 100, 0.01),
        ([60, 200, 600], [1.2, 1.8, 2.0], 100, 0.05),
        ([8, 200, 600], [1.2, 1.8, 2.0], 1000, 0.01),
        ([20] * 12, [1.0] + [1.6] * 11, 2000, 0.01),
        ([30, 200], [4.0, 4.5], 1000, 0.01),
        ([10, 10], [0.0, 1.0], 400, 0.05),
        ([500] * 4, [0.5, 1.5, 2.0, 2.3], 2000, 0.01),
    ]:
        words = f"{_words(sizes)}, {m} negatives, FPR {100 * fpr:g} %, {'equal' if len(set(mus)) == 1 else 'unequal'}"
        cases.append(Case(f"one model: {words}", partial(one_model, sizes, mus, m, fpr), 1000, 60))
    for sizes, mus, m, together in [
        ([10], ([1.3], [1.3]), 400, 0.5),
        ([30], ([1.3], [1.3]), 400, 0.5),
        ([60], ([1.6], [1.6]), 400, 0.9),
        ([200, 200], ([1.6, 1.6], [1.6, 1.6]), 1000, 0.7),
        ([60, 200, 600], ([1.2, 1.8, 2.0], [1.2, 1.8, 2.0]), 1000, 0.7),
        ([60, 200, 600], ([1.2, 1.8, 2.0], [1.8, 1.8, 2.0]), 1000, 0.7),
        ([20] * 12, ([1.6] * 12, [1.6] * 12), 1000, 0.9),
        ([300, 300], ([0.7, 1.3], [1.3, 1.3]), 100, 0.8),
        ([2000, 500], ([2.0, 1.5], [2.0, 1.7]), 2000, 0.95),
    ]:
        same = "equal models" if mus[0] == mus[1] else "one better"
        words = f"{_words(sizes)}, {m} negatives, together {together:g}, {same}"
        cases.append(
            Case(f"two models: {words}", partial(two_models, sizes, mus, m, 0.01, together), 600, 90)
        )
    return cases


def _many_classes() -> list[Case]:
    """Recalls from `low` to `high` over the cells; the other model has them a little higher, or the same."""
    cases = []
    for k, g, each, low, high, better, together, draws in [
        (2, 2, 10, 0.9, 0.9, 0.0, 0.7, 400),
        (2, 2, 40, 0.6, 0.95, 0.0, 0.7, 400),
        (5, 2, 20, 0.5, 0.99, 0.0, 0.7, 400),
        (9, 4, 30, 0.6, 0.9, 0.05, 0.8, 300),
        (10, 1, 10, 0.95, 0.95, 0.0, 0.5, 400),
        (10, 2, 5, 0.7, 0.99, 0.3, 0.5, 400),
        (10, 5, 200, 0.8, 0.99, 0.0, 0.9, 400),
        (100, 2, 5, 0.95, 0.95, 0.0, 0.5, 300),
        (100, 1, 50, 0.95, 0.95, 0.0, 0.9, 600),
        (100, 1, 50, 0.4, 0.99, 0.02, 0.9, 400),
        (200, 1, 1, 0.8, 0.8, 0.0, 0.5, 300),
    ]:
        sizes = np.full((k, g), each)
        plain = np.linspace(low, high, k * g).reshape(k, g)
        other = plain + better * (1 - plain)
        words = f"{k} classes × {g} groups of {each}, recall {low:g}–{high:g}, "
        words += "equal models" if not better else f"{better:g} of the errors mended"
        cases.append(
            Case(f"classes: {words}", partial(many_classes, sizes, (plain, other), together), draws, 60)
        )
    for sizes in ([3, 200, 200, 200], [10, 50, 250, 1250]):
        table = np.array(sizes)[:, None]
        rates = np.array([0.9, 0.8, 0.95, 0.7])[:, None]
        words = f"classes: {sizes} images, recall 0.7–0.95, equal models"
        cases.append(Case(words, partial(many_classes, table, (rates, rates), 0.7), 400, 60))
    return cases


def _words(sizes: Sequence[int]) -> str:
    return (
        f"{len(sizes)} groups of {sizes[0]}"
        if len(set(sizes)) == 1 and len(sizes) > 1
        else f"groups {list(sizes)}"
    )


def _numbers() -> list[Case]:
    cases = [
        Case(
            f"AUROC {truth:g}, normal, n {n}, {m} negatives",
            partial(area_alone, "normal", truth, n, m),
            2000,
            3,
        )
        for truth in (0.75, 0.9, 0.97, 0.99)
        for n, m in ((10, 1000), (20, 1000), (40, 1000), (160, 1000), (20, 30), (160, 30), (2000, 1000))
    ]
    cases += [
        Case(f"AUROC, {law}, n {n}, 1000 negatives", partial(area_alone, law, truth, n, 1000), 2000, 3)
        for law, truth in (("heavy tails", 0.955139), ("5 % like negatives", 0.972779))
        for n in (10, 20, 40, 160, 640)
    ]
    cases += [
        Case(f"probabilities from Beta({a:g}, {b:g}), n {n}", partial(mean_alone, a, b, n), 1000, 20)
        for a, b in ((5, 0.3), (0.5, 0.5), (20, 1))
        for n in (10, 30, 100, 1000)
    ]
    cases += [
        Case(
            f"{law} weights, {n} images of {100 * share:g} %", partial(drawn_weights, law, n, share), 1000, 10
        )
        for law in ("even", "log-normal", "one in ten heavy", "Pareto 3")
        for n, share in ((8, 0.005), (8, 0.05), (30, 0.05), (100, 0.5), (1000, 0.05))
    ]
    cases += [
        Case(f"cells {sizes}", partial(attributes, sizes, [-1.5, -1.0, 0.8, 1.4], 0.7), 500, 40)
        for sizes in ([60, 300, 60, 300], [20, 400, 30, 400], [1000, 1000, 1000, 1000])
    ]
    cases += [
        Case(f"risks of {n} images, power {p:g}", partial(risks, n, p), 500, 20)
        for n in (30, 300)
        for p in (0.0, 1.5)
    ]
    return cases


CASES = _models() + _numbers() + _many_classes()
