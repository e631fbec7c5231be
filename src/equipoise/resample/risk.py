r"""Risks → sampling weights: what is rare or not yet learned is drawn more often, what is noise is not.

.. math:: p(x) \propto w(x)^\tau \, f(u(x)), \qquad \log w(x) = \text{mean of the scores } s(x)

s are representation and epistemic risk on one scale, τ makes the ESS what was asked for, u is a row's percentile of
aleatoric risk and f ≤ 1 falls with it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from equipoise.errors import InputError
from equipoise.resample.weights import at_most, temper

__all__ = ["normal_scores", "percentiles", "risk_weights"]

Values = NDArray[np.float64]


def risk_weights(
    representation: ArrayLike | Tensor | None = None,
    epistemic: ArrayLike | Tensor | None = None,
    aleatoric: ArrayLike | Tensor | None = None,
    *,
    ess: float | None = 0.5,
    max_weight: float | None = 10.0,
    scale: Literal["rank", "value"] = "rank",
    noisy: float = 0.5,
    floor: float = 0.1,
) -> Values:
    r"""Weights that draw rows of high representation and epistemic risk more often, noisy rows never more often.

    Both risks count alike, by the mean of their logarithms. Aleatoric risk comes after tempering, as a factor:
    1 up to the percentile `noisy`, from there linearly down to `floor`. So raising a row's aleatoric risk never
    raises its weight.

    Args:
        representation: Higher = rarer, for example −log-density in nats; one a row.
        epistemic: Higher = less learned; one a row.
        aleatoric: Higher = noisier; one a row.
        ess: Effective sample size in (0, 1] before the factor, see `temper`; None keeps τ = 1.
        max_weight: How many times its natural share a row may be drawn; None for no maximum.
        scale: "rank" takes the normal score of a row's rank: any unit, and one outlier does not take all the weight.
            "value" takes representation risk as it is, as a log weight in nats, and the logarithm of epistemic risk.
        noisy: Percentile of aleatoric risk in [0, 1) from which on rows are drawn less.
        floor: Factor of the noisiest row, in [0, 1].

    Returns:
        Weights ≥ 0 that sum to 1, in the order of the rows.

    Raises:
        InputError: if no risk is given, lengths differ, a value is not finite, an epistemic risk is not above 0 for
            scale "value", or an argument is out of range.
        DegenerateWeightsError: as `temper` does, for example if ties keep the ESS out of reach.

    Source: the idea of MIT 6.S191 lab 3 (2023), `capsa_rule`, p = (p_bias + p_epi)/2. Differs from it in: the mean is
    of logarithms, so that a density that underflows still counts; the strength is chosen; aleatoric risk counts.

    Example:
        >>> rare, noise = np.arange(100.0), np.arange(100.0)[::-1]
        >>> weights = risk_weights(rare, aleatoric=noise)
        >>> (100 * weights[[0, 50, 99]]).round(1).tolist()
        [0.0, 0.7, 7.0]
    """
    given = {"representation": representation, "epistemic": epistemic, "aleatoric": aleatoric}
    risks = {kind: _checked(kind, values) for kind, values in given.items() if values is not None}
    if not risks:
        raise InputError(
            "Expected at least one risk; got none. Give representation=, epistemic= or aleatoric=."
        )
    lengths = {kind: len(values) for kind, values in risks.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{count} of {kind}" for kind, count in lengths.items())
        raise InputError(
            f"Expected as many values of each risk; got {told}. Score the same rows in the same order."
        )
    if not 0.0 <= noisy < 1.0 or not 0.0 <= floor <= 1.0:
        raise InputError(
            f"noisy must be in [0, 1) and floor in [0, 1]; got noisy {noisy}, floor {floor}. Use the defaults."
        )
    if scale not in ("rank", "value"):
        raise InputError(f"scale must be 'rank' or 'value'; got {scale!r}. Choose one of them.")
    scores = [
        normal_scores(risks[kind]) if scale == "rank" else _logs(kind, risks[kind])
        for kind in ("representation", "epistemic")
        if kind in risks
    ]
    log_weights = np.mean(scores, axis=0) if scores else np.zeros(next(iter(lengths.values())))
    weights = temper(log_weights, ess=ess, max_weight=max_weight)
    if "aleatoric" in risks:
        above = np.clip((percentiles(risks["aleatoric"]) - noisy) / (1.0 - noisy), 0.0, 1.0)
        # Not tempered once more: that would give back to a row what the factor took.
        weights = at_most(weights * (1.0 - (1.0 - floor) * above), max_weight)
    return weights


def percentiles(values: Values) -> Values:
    """Percentile of each value among all, in (0, 1): (rank − ½)/n, the middle of their ranks for equal values."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    found: Values = middle[place] / values.size
    return found


def normal_scores(values: Values) -> Values:
    """Quantile of the standard normal distribution at each value's percentile."""
    scores: Values = torch.special.ndtri(torch.from_numpy(percentiles(values))).numpy()
    return scores


def _logs(kind: str, values: Values) -> Values:
    if kind == "representation":
        return values
    if not (values > 0).all():
        raise InputError(
            f"With scale 'value' epistemic risk must be above 0; got {values.min():g}. Use scale 'rank'."
        )
    logs: Values = np.log(values)
    return logs


def _checked(kind: str, values: ArrayLike | Tensor) -> Values:
    found = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        wrong = int((~np.isfinite(found)).sum())
        raise InputError(
            f"Expected finite values of {kind} risk, shape (n,), n ≥ 1; got shape {found.shape}"
            f"{f', {wrong} of them NaN or infinite' if wrong else ''}. Look at the rows they come from."
        )
    return found
