r"""Logistic regression on axes, weighted, with an L2 penalty: what every fix solves, many times.

With coordinates :math:`z_i`, labels :math:`y_i` and weights :math:`w_i` of the rows, it minimises

.. math:: \tfrac12 \lVert W - W_0 \rVert^2 + C \sum_i w_i\, \ell(W z_i + b, y_i),

with the cross-entropy :math:`\ell` of a sigmoid for two classes and of a softmax for more; :math:`W_0` is 0 unless a
layer is pulled to where it was. It is what scikit-learn's `LogisticRegression` minimises. Unlike `nn.fit_linear`, which
is for features as they are, once, and to the last digits, it relies on axes that are nearly independent: then steps in
coordinates of equal curvature need ten passes over the rows, and fewer from a start nearby. Loss and gradient are sums
over rows (`summed_loss`), so that rows may come in shards that are never in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError, TrainingError
from equipoise.fix.axes import Coefficients, Coordinates
from equipoise.probabilities import sigmoid, softmax

__all__ = ["Shards", "logits_of", "predicted", "probability_of_label", "regression", "summed_loss"]

FLAT = 1e-4  # of the gradient in those coordinates: logits are within about 0.01 of the solution's
STEEP = 1e-2
STEPS = 500
Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Shards: TypeAlias = Sequence[Coordinates] | Callable[[], Iterable[Coordinates]]
"""Coordinates in parts: a list of arrays, which may be memory-mapped, or, for more than memory holds, a function that
returns an iterator over such, the same ones at every call."""


def regression(
    coordinates: Coordinates | Shards,
    labels: Ids,
    *,
    classes: int,
    C: float,
    weights: Floats | None = None,
    start: Coefficients | None = None,
    pull: Coefficients | None = None,
) -> Coefficients:
    """The coefficients of the solution, the same for the same rows.

    Args:
        coordinates: Of rows, shape (n, k), or shards of n rows in all, of which one at a time is held.
        labels: Class ids 0…K−1, shape (n,).
        classes: K.
        C: How much the rows count against the penalty.
        weights: Of rows, ≥ 0, with mean 1 for C to mean the same; None weighs all alike.
        start: Coefficients nearby, of a similar problem.
        pull: Coefficients that the penalty pulls to, W₀.

    Raises:
        InputError: if shards do not have a row for each label.
        TrainingError: if no solution is found.

    Source: Böhning, 1992, Multinomial logistic regression algorithm (the bound of the curvature).
    """
    from scipy.optimize import minimize  # half a second that whoever needs none need not wait

    problem = _Problem(coordinates, labels, classes, C, weights, pull)
    first = np.zeros(problem.shape) if start is None else start / problem.scale
    found = minimize(
        problem.loss,
        first.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": STEPS, "maxfun": 4 * STEPS, "gtol": FLAT, "ftol": 1e-10},
    )
    steep = float(np.abs(found.jac).max())
    if not np.isfinite(found.fun) or steep > STEEP:
        raise TrainingError(
            f"Expected a last layer after {STEPS} steps; the loss still falls, by {steep:.2g} a step. Lower C."
        )
    return np.asarray(found.x.reshape(problem.shape) * problem.scale)


class _Problem:
    """The loss over the sum of the weights, in coordinates in which its bend is about 1."""

    def __init__(
        self,
        coordinates: Coordinates | Shards,
        labels: Ids,
        classes: int,
        C: float,
        weights: Floats | None,
        pull: Coefficients | None,
    ) -> None:
        outputs = 1 if classes == 2 else classes
        given = np.ones(len(labels)) if weights is None else weights
        self.coordinates, self.labels = coordinates, labels
        self.shares = (given / given.sum()).astype(np.float32)
        self.penalty, self.pull = 1 / (C * float(given.sum())), pull
        bend = 0.25 if outputs == 1 else 0.5
        squares = [shares @ np.square(rows) for rows, _, shares in self.parts()]
        curvature = bend * sum(squares[1:], squares[0]) + self.penalty
        self.scale = np.append(curvature, bend)[:, None] ** -0.5
        self.shape = (len(self.scale), outputs)

    def parts(self) -> Iterator[tuple[Coordinates, Ids, NDArray[np.float32]]]:
        """Coordinates, labels and shares of the weights, shard by shard."""
        given = self.coordinates
        parts = (given,) if isinstance(given, np.ndarray) else given() if callable(given) else given
        start, widths = 0, set()
        for rows in parts:
            place = slice(start, start + len(rows))
            start += len(rows)
            widths.add(rows.shape[1])
            if start > len(self.labels) or len(widths) > 1:
                break
            yield rows, self.labels[place], self.shares[place]
        if start != len(self.labels) or len(widths) > 1:
            raise InputError(
                f"Expected shards with {len(self.labels)} rows in all, one a label, of as many numbers each; got "
                f"{start} or more of {sorted(widths)} numbers. Give the labels of these shards, and the same shards at "
                "every call."
            )

    def loss(self, point: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        now = point.reshape(self.shape) * self.scale
        total, slope = 0.0, np.zeros(self.shape)
        for part in self.parts():
            value, own = summed_loss(*part, now)
            total += value
            slope += own
        away = now[:-1] if self.pull is None else now[:-1] - self.pull[:-1]
        slope[:-1] += self.penalty * away
        return total + 0.5 * self.penalty * float((away * away).sum()), (slope * self.scale).ravel()


def summed_loss(
    coordinates: Coordinates, labels: Ids, shares: NDArray[np.float32], coefficients: Coefficients
) -> tuple[float, Coefficients]:
    """Weighted cross-entropy of some rows, and its gradient: those of all rows are the sum of those of their parts.

    Args:
        coordinates: Of rows, shape (n, k).
        labels: Class ids, shape (n,).
        shares: Weights of the rows, for example over the weight of all rows, shape (n,).
        coefficients: Shape (k + 1, outputs).
    """
    logits = coordinates @ coefficients[:-1].astype(np.float32) + coefficients[-1].astype(np.float32)
    if logits.shape[1] == 1:
        wanted = (labels == 1).astype(np.float32)[:, None]
        total = float((shares @ (np.logaddexp(0, logits) - wanted * logits))[0])
        residual = sigmoid(logits) - wanted
    else:
        own = np.arange(len(labels)), labels
        logits -= logits.max(1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(1, keepdims=True)
        total = float(shares @ (np.log(sums[:, 0]) - logits[own]))
        residual = powers / sums
        residual[own] -= 1
    residual = residual * shares[:, None]
    slope = np.empty(coefficients.shape)
    slope[:-1] = coordinates.T @ residual
    slope[-1] = residual.sum(0)
    return total, slope


def logits_of(coordinates: Coordinates, coefficients: Coefficients) -> Floats:
    """Logits of rows, shape (n, outputs)."""
    return np.asarray(coordinates @ coefficients[:-1] + coefficients[-1])


def predicted(logits: Floats) -> Ids:
    """The class of each row; of two classes with one logit, 1 above 0."""
    found = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return np.asarray(found, np.int64)


def probability_of_label(logits: Floats, labels: Ids) -> Floats:
    """Probability of each row's own class."""
    if logits.shape[1] == 1:
        return sigmoid(np.where(labels == 1, logits[:, 0], -logits[:, 0]))
    return np.asarray(softmax(logits)[np.arange(len(labels)), labels])
