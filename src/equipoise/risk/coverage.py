"""What is left when the most risky images are put aside: risk–coverage and rejection. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from equipoise import intervals
from equipoise.errors import InputError
from equipoise.rate import Rate
from equipoise.risk.analysis import booleans, checked

__all__ = ["RiskCoverage", "rejection", "risk_coverage"]

MANY = 50_000  # images, up to which each has a weight of its own
LEVELS = 2_500  # of the risk, where images are more
LOSSES = 100  # that differ, up to which images of more are counted
UNSEEN = 0.1
"""Weight of an image that was not drawn, in images: what intervals of areas lack otherwise; by simulation."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Mean loss of the part that is kept when the most risky are put aside.

    Args:
        coverage: Share kept, k/n for k = 1…n.
        loss: Mean loss of the k images least at risk.
        area: AURC, the mean of `loss` over all coverages, with a bootstrap interval; lower is better.
        ideal: The area if the risk ordered images by their loss. Nothing can be below it.
        random: The expected area of a risk that knows nothing: the mean loss.
        excess: E-AURC, `area` − `ideal`.
        gain: (random − area) / (random − ideal), 1 = ideal, 0 = like chance, below 0 = worse than chance;
            undefined where nothing can be gained.
    """

    coverage: Float[ndarray, " n"]
    loss: Float[ndarray, " n"]
    area: Rate
    ideal: float
    random: float
    excess: Rate
    gain: Rate


def risk_coverage(
    risk: Float[ndarray, " n"],
    losses: Float[ndarray, " n"],
    *,
    replicates: int = 200,
    generator: np.random.Generator | None = None,
) -> RiskCoverage:
    r"""The risk–coverage curve and its area.

    .. math:: \mathrm{AURC} = \frac1n \sum_{k=1}^n \frac1k \sum_{i \le k} \ell_{(i)}

    with the losses in the order of rising risk. Images with equal risks count with their mean loss, which is the
    expectation over the orders that they could have.

    Args:
        risk: Any unit.
        losses: ≥ 0; 1 for a wrong and 0 for a right prediction gives the usual error curve.
        replicates: Bootstrap replicates behind the intervals, 0 for none.
        generator: Chance of the bootstrap.

    Raises:
        InputError: if lengths differ or a number is not finite.

    Source: Y. Geifman, R. El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017; E-AURC:
    Y. Geifman, G. Uziel, R. El-Yaniv, Bias-reduced uncertainty estimation for deep neural classifiers, ICLR 2019.
    Differs from it in: the ideal area is that of these very losses, not its approximation r + (1 − r) ln(1 − r),
    and ties do not depend on the order of rows. Intervals: Bayesian bootstrap over images and a bit of one more, that
    has the least risk and is right, or wrong. Of more than 50,000 images those with one loss whose risks are on one of
    2,500 levels are drawn as one (if at most 100 losses differ), so that replicates cost the same for any number.
    """
    values, loss = checked(risk), checked(losses, "losses")
    if len(values) != len(loss):
        raise InputError(
            f"Expected a loss for each of {len(values)} risks; got {len(loss)}. Give both of the same."
        )
    order = np.argsort(values, kind="stable")
    level = np.unique(values, return_inverse=True)[1].reshape(-1)
    even = (np.bincount(level, weights=loss) / np.bincount(level))[level]
    n = len(loss)
    k = np.arange(1, n + 1)
    curve = np.cumsum(even[order]) / k
    area, random = float(curve.mean()), float(loss.mean())
    by_loss = np.sort(loss)
    ideal = min(float((np.cumsum(by_loss) / k).mean()), area)  # equal up to rounding
    gained = _gain(area, ideal, random)
    rows = values, loss, np.ones(n)
    exact = None
    if n > MANY and len(different := np.unique(loss)) <= LOSSES:
        rows, exact = _counted(values, loss, different), np.array([area, area - ideal, gained])
    lows, highs = (
        _resampled(rows, end, replicates, generator or np.random.default_rng(0), exact)
        for end in (float(loss.min()), float(loss.max()))
    )
    return RiskCoverage(
        k / n,
        curve,
        _held(area, lows[0], highs[0], n),
        ideal,
        random,
        _held(area - ideal, lows[1], highs[1], n),
        Rate.undefined("all images have the same loss", n)
        if math.isnan(gained)
        else _held(gained, highs[2], lows[2], n),
    )


def rejection(
    risk: Float[ndarray, " n"],
    correct: Bool[ndarray, " n"],
    shares: Iterable[float] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
) -> dict[float, Rate]:
    """Accuracy of what is kept when a share of the images, those most at risk, is put aside.

    Args:
        risk: Any unit. Of equal risks, earlier rows are kept.
        correct: Whether each prediction is right.
        shares: In [0, 1]. The number put aside is rounded.

    Returns:
        Share put aside → accuracy of the rest, with its exact interval.

    Undefined: where nothing is kept.
    """
    values = checked(risk)
    right = booleans(correct, len(values), "correct")[np.argsort(values, kind="stable")]
    found = {}
    for share in shares:
        if not 0 <= share <= 1:
            raise InputError(f"A share must be in [0, 1]; got {share}. 0.1 puts one in ten aside.")
        kept = len(values) - round(share * len(values))
        found[share] = intervals.proportion(int(right[:kept].sum()), kept, "nothing is kept")
    return found


def _area(losses: Float[ndarray, " n"], weights: Float[ndarray, " n"]) -> float:
    curve = np.cumsum(weights * losses) / np.cumsum(weights)
    return float((weights * curve).sum() / weights.sum())


def _gain(area: float, ideal: float, random: float) -> float:
    return (random - area) / (random - ideal) if random - ideal > 1e-12 else math.nan


def _counted(
    risk: Float[ndarray, " n"], losses: Float[ndarray, " n"], different: Float[ndarray, " d"]
) -> tuple[Float[ndarray, " m"], Float[ndarray, " m"], Float[ndarray, " m"]]:
    """Risks by the lower ends of their levels, losses, and how many images have both."""
    cuts = np.unique(np.sort(risk)[:: math.ceil(len(risk) / LEVELS)])
    level = np.searchsorted(cuts, risk, side="right") - 1
    times = np.bincount(level * len(different) + np.searchsorted(different, losses))
    there = np.flatnonzero(times)
    return cuts[there // len(different)], different[there % len(different)], times[there].astype(np.float64)


def _resampled(
    rows: tuple[Float[ndarray, " m"], Float[ndarray, " m"], Float[ndarray, " m"]],
    unseen: float,
    replicates: int,
    chance: np.random.Generator,
    exact: Float[ndarray, " 3"] | None,
) -> Float[ndarray, "3 replicates"]:
    """Replicates of area, excess and gain, a bit of an image more has the least risk and loss `unseen`.

    Args:
        rows: Risk and loss of each row, and how many images it stands for.
        unseen: A loss.
        replicates: How many.
        chance: Of the weights.
        exact: The numbers of all images where rows stand for several: replicates are moved by what that takes from
            them.
    """
    risk, losses, times = rows
    values, loss = np.append(risk, -np.inf), np.append(losses, unseen)
    order, loss_order = np.argsort(values, kind="stable"), np.argsort(loss, kind="stable")
    level, by_loss = np.unique(values, return_inverse=True)[1].reshape(-1), np.sort(loss)

    def numbers(weights: Float[ndarray, " m"]) -> tuple[float, float, float]:
        mean = np.bincount(level, weights=weights * loss) / np.bincount(level, weights=weights)
        area = _area(mean[level][order], weights[order])
        best = _area(by_loss, weights[loss_order])
        return area, area - best, _gain(area, best, float((weights * loss).sum() / weights.sum()))

    drawn = np.empty((3, replicates))
    for i in range(replicates):
        drawn[:, i] = numbers(np.append(chance.standard_gamma(times), chance.standard_gamma(UNSEEN) + 1e-300))
    if exact is not None:
        drawn += (exact - numbers(np.append(times, 1e-300)))[:, None]
    return drawn


def _held(value: float, lows: Float[ndarray, " r"], highs: Float[ndarray, " r"], n: int) -> Rate:
    lows, highs = lows[np.isfinite(lows)], highs[np.isfinite(highs)]
    if not len(lows) or not len(highs):
        return Rate(value, math.nan, math.nan, n)
    return intervals.held(value, lows, highs, n)
