r"""From log weights to sampling weights: how strongly to resample is one number that a user can read.

.. math:: \mathrm{ESS} = \frac{1}{N \sum_x p(x)^2} \in (0, 1]

is the share of the rows that a uniform sample of the same variance would use: 1 is uniform sampling, 1/N is
one row drawn for ever. Weights are tempered, p ∝ w^τ, with τ found by bisection so that they have the ESS
asked for, and no row gets more than a maximum weight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.density import Latents
from equipoise.errors import InputError
from equipoise.resample.rules import (
    cluster_rule,
    equipoise_rule,
    max_rule,
    mixture_rule,
    neighbours_rule,
    product_rule,
)

__all__ = ["DegenerateWeightsError", "effective_sample_size", "sampling_weights", "temper"]

Weights = NDArray[np.float64]
RuleName = Literal["equipoise", "neighbours", "histogram", "mixture", "clusters", "max", "product"]

_EQUAL = 1e-9  # nats: a difference that is rounding, not information
_STEEPEST = 2.0**20  # τ beyond which tempering would only amplify rounding
_HANDFUL = 10  # rows


class DegenerateWeightsError(InputError):
    """Sampling weights from which one cannot train: undefined, or nearly all on a few rows."""


def effective_sample_size(weights: ArrayLike) -> float:
    """ESS = 1/(N Σp²) of weights that need not sum to 1: in (0, 1], 1 = uniform.

    Raises:
        DegenerateWeightsError: if there are none, one is negative or not finite, or all are 0.

    Example:
        >>> effective_sample_size([1.0, 1.0, 0.0, 0.0])
        0.5
    """
    w = np.asarray(weights, dtype=np.float64)
    if w.ndim != 1 or not w.size or not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise DegenerateWeightsError(
            "Expected a vector of finite weights of 0 or larger, not all 0; got "
            f"{_described(w)}. Look at the latents the weights come from."
        )
    p = w / w.max()
    return float(p.sum() ** 2 / (p.size * (p @ p)))


def temper(log_weights: ArrayLike, *, ess: float | None, max_weight: float | None = None) -> Weights:
    r"""Weights p ∝ w^τ with the ESS asked for and none above `max_weight` / N.

    τ below 1 flattens. τ may also be above 1: a rule that is nearly uniform is sharpened until it has the ESS
    asked for, so that rules are compared at equal strength. What the maximum takes from a row goes to the
    others in proportion to their weights; the ESS is met after that, to a relative 1e-6.

    Args:
        log_weights: Log weights up to a constant, one a row; −∞ for a row that must never be drawn.
        ess: Effective sample size in (0, 1]; 1 is uniform; None keeps τ = 1.
        max_weight: How many times its natural share 1/N a row may be drawn, ≥ 1; None for no maximum.

    Returns:
        Weights ≥ 0 that sum to 1, in the order of the rows. Rows that are all equally rare stay uniform,
        whatever ESS is asked for: no power of equal weights is unequal.

    Raises:
        InputError: if `ess` or `max_weight` is out of range, or `ess` is below 1 / `max_weight`, which the
            maximum rules out.
        DegenerateWeightsError: if log weights are NaN or +∞ or all −∞; if ties or rows at −∞ keep the ESS out
            of reach; or, without an `ess`, if fewer than 10 rows and less than a tenth of them carry
            the weight.

    Example:
        >>> weights = temper(np.arange(100.0), ess=0.5)
        >>> round(effective_sample_size(weights), 4), round(float(weights.sum()), 6)
        (0.5, 1.0)
    """
    if ess is not None and not 0.0 < ess <= 1.0:
        raise InputError(f"ess must be in (0, 1]; got {ess}. 1 is uniform sampling, 0.5 is a good start.")
    if max_weight is not None and not max_weight >= 1.0:
        raise InputError(f"max_weight must be 1 or larger (times 1/N); got {max_weight}. 10 is a good start.")
    if ess is not None and max_weight is not None and ess < 1.0 / max_weight:
        raise InputError(
            f"With max_weight {max_weight} the effective sample size is at least {1 / max_weight:.3g}; got "
            f"ess {ess}. Raise one of them."
        )
    logs = np.asarray(log_weights, dtype=np.float64)
    drawable = logs > -np.inf
    if logs.ndim != 1 or np.isnan(logs).any() or (logs == np.inf).any() or not drawable.any():
        raise DegenerateWeightsError(
            "Expected a vector of log weights, finite or −∞ and not all −∞; got "
            f"{_described(logs)}. Look at the latents the weights come from."
        )
    candidates = logs[drawable] - logs.max()
    if max_weight is not None and candidates.size * max_weight < logs.size:
        raise DegenerateWeightsError(
            f"Expected at least 1/max_weight of {logs.size} rows to be drawable; got {candidates.size} with "
            f"max_weight {max_weight}. Raise max_weight."
        )
    weights = np.zeros(logs.size)
    if -candidates.min() <= _EQUAL:
        weights[drawable] = 1.0 / candidates.size
        return weights
    family = _Tempered(candidates, logs.size, max_weight)
    weights[drawable] = family.weights(1.0 if ess is None else family.find(ess))
    if ess is None:
        _refuse_handful(weights)
    return weights


def at_most(weights: Weights, max_weight: float | None) -> Weights:
    """The same weights, summing to 1, none above `max_weight` / N: what that takes goes to the others in proportion.

    Args:
        weights: Finite, ≥ 0, with at least N / `max_weight` of them above 0. Checked by the caller.
        max_weight: 1 or larger; None for no maximum.
    """
    kept = np.flatnonzero(weights)
    out = np.zeros(weights.size)
    out[kept] = _Tempered(np.log(weights[kept] / weights.max()), weights.size, max_weight).weights(1.0)
    return out


def sampling_weights(
    latents: Latents,
    *,
    rule: RuleName | Callable[[Latents], Weights] = "equipoise",
    bins: int = 10,
    smoothing: float = 1e-3,
    clusters: int = 16,
    seed: int = 0,
    ess: float | None = 0.5,
    max_weight: float | None = 10.0,
) -> Weights:
    """Sampling weights of the rows: a rule, then `temper`.

    Args:
        latents: Codes, one row an image: an array, tensor or memory map, a list of parts, or a function that
            returns an iterator over parts. Read a few times in chunks, never held as a whole.
            Beside a chunk, memory holds some vectors of one number a row (0.1 GB a million rows in all).
        rule: A rule by name, or any function from codes to log weights. "equipoise", "max", "product", "neighbours",
            "mixture" and "clusters" are the functions of `resample` of like names; "histogram" is `equipoise_rule`
            with that density.
        bins: Bins a dimension, for the named rules where they use a histogram.
        smoothing: α of the histogram, likewise.
        clusters: Clusters, for "mixture" and "clusters".
        seed: Decides where they start.
        ess: Effective sample size in (0, 1]; None leaves the rule's weights as they are, as the labs do.
        max_weight: How many times its natural share a row may be drawn; None for no maximum, as in the labs.

    Returns:
        Weights ≥ 0 that sum to 1, in the order of the rows.

    Raises:
        InputError: if an argument is out of range or the latents are not a finite table with rows.
        DegenerateWeightsError: as `temper` does.
    """
    if callable(rule):
        log_weights = rule(latents)
    elif rule in _RULES:
        given = {"bins": bins, "smoothing": smoothing, "clusters": clusters, "seed": seed}
        function, names = _RULES[rule]
        log_weights = function(latents, **{name: given[name] for name in names})
    else:
        raise InputError(
            f"rule must be one of {sorted(_RULES)} or a function; got {rule!r}. Choose one of them."
        )
    return temper(log_weights, ess=ess, max_weight=max_weight)


_RULES: dict[str, tuple[Callable[..., Weights], tuple[str, ...]]] = {
    "equipoise": (equipoise_rule, ()),
    "neighbours": (neighbours_rule, ()),
    "histogram": (partial(equipoise_rule, density="histogram"), ("bins", "smoothing")),
    "mixture": (mixture_rule, ("clusters", "seed")),
    "clusters": (cluster_rule, ("clusters", "seed")),
    "max": (max_rule, ("bins", "smoothing")),
    "product": (product_rule, ("bins", "smoothing")),
}


class _Tempered:
    """The family p ∝ min(c·w^τ, cap) of one set of weights; its ESS falls as τ grows."""

    def __init__(self, logs: Weights, rows: int, max_weight: float | None) -> None:
        self.logs, self.rows = logs, rows
        self.cap = np.inf if max_weight is None else max_weight / rows
        self.descending = -np.sort(-logs) if max_weight is not None else logs

    def weights(self, power: float) -> Weights:
        """In the order of the rows."""
        _, factor = self._filled(_power(self.descending, power))
        weights: Weights = np.minimum(_power(self.logs, power) * factor, self.cap)
        return weights

    def ess(self, power: float) -> float:
        """Of weights(power)."""
        w = _power(self.descending, power)
        capped, factor = self._filled(w)
        scaled = factor * w[capped:]
        squares = float(scaled @ scaled)
        return 1.0 / (self.rows * (squares + (capped * self.cap**2 if capped else 0.0)))

    def find(self, ess: float) -> float:
        """The power at which the ESS is met."""
        flattest = self.ess(0.0)
        if flattest < ess * (1 - 1e-12):
            raise DegenerateWeightsError(
                f"Expected weights that can reach ess {ess}; got {self.rows - self.logs.size} of {self.rows} "
                "rows that may never be drawn. Ask for a smaller ess."
            )
        low, high = 0.0, 0.0 if flattest <= ess else 1.0
        while self.ess(high) > ess:
            low, high = high, 2 * high
            if high > _STEEPEST:
                raise DegenerateWeightsError(
                    f"Expected weights that can be sharpened to ess {ess}; got ties, or a maximum, that "
                    f"leave {self.ess(low):.4g} at least. Ask for a larger ess."
                )
        for _ in range(80):
            middle = (low + high) / 2
            reached = self.ess(middle)
            if abs(reached - ess) <= 5e-7 * ess:
                return middle
            low, high = (middle, high) if reached > ess else (low, middle)
        return low

    def _filled(self, descending: Weights) -> tuple[int, float]:
        """How many of the largest are at the cap, and the factor of the others."""
        if not np.isfinite(self.cap):
            return 0, 1.0 / float(descending.sum())
        rest = np.cumsum(descending[::-1])[::-1]  # small ones first: nothing is lost
        left = 1.0 - self.cap * np.arange(descending.size)
        capped = int((descending * left <= self.cap * rest * (1 + 1e-12)).argmax())
        return capped, max(float(left[capped]), 0.0) / float(rest[capped])


def _power(logs: Weights, power: float) -> Weights:
    weights: Weights = np.exp(np.maximum(power * logs, -700.0))  # never 0, so that a rest can be shared out
    return weights


def _refuse_handful(weights: Weights) -> None:
    share = effective_sample_size(weights)
    if share * weights.size < _HANDFUL and share < 0.1:
        raise DegenerateWeightsError(
            f"Expected weights spread over at least {_HANDFUL} rows; got an effective "
            f"{share * weights.size:.1f} of {weights.size} rows. Set ess, say 0.5, to temper them."
        )


def _described(values: Weights) -> str:
    if values.ndim != 1 or not values.size:
        return f"shape {values.shape}"
    return (
        f"{values.size} values, {int(np.isnan(values).sum())} of them NaN, "
        f"{int(np.isposinf(values).sum())} +∞, {int(np.isneginf(values).sum())} −∞, "
        f"{int((values < 0).sum())} negative"
    )
