r"""A last layer on features: logistic regression with an L2 penalty, in the features' own scale.

With standardised features :math:`z_i`, labels :math:`y_i` and weights :math:`w_i` of the rows, it minimises

.. math:: \tfrac12 \lVert W \rVert^2 + C \sum_i w_i\, \ell(W z_i + b, y_i),

with the cross-entropy :math:`\ell` of a sigmoid for two classes and of a softmax for more; the bias is not penalised.
The problem is convex. L-BFGS walks to its solution in coordinates in which the bound of the curvature (Böhning 1992)
is the identity: features of a network are far from independent, and plain steps would crawl.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from equipoise.errors import InputError, TrainingError

__all__ = ["fit_linear"]

BLOCK = 1 << 26  # bytes of single-precision features that are worked on at a time
IN_MEMORY = 1 << 31  # bytes of them that are kept, where they are no more
BENT = 32_768  # rows that the curvature is taken from: it only decides how fast the solution is found
DENSE = 4096  # features up to which it is
FLAT = 1e-6  # of the gradient in those coordinates, where the solution is
STEEP = 1e-3  # beyond it, where steps ended


def fit_linear(
    features: NDArray[Any],
    labels: ArrayLike,
    *,
    C: float = 1.0,
    weights: ArrayLike | None = None,
    classes: int | None = None,
    iterations: int = 500,
) -> nn.Linear:
    """The last layer that fits labels best, at a penalty on its weights; always the same for the same rows.

    Args:
        features: Shape (n, d), of any float type; they may be memory-mapped, and are read block by block then.
        labels: Class ids 0…K−1, shape (n,).
        C: How much the rows count against the penalty ½‖W‖²; smaller is smoother, 1e-2 to 1e-4 suits thousands of rows
            of a pretrained network. scikit-learn's `LogisticRegression(C=C)` on standardised features has the same
            solution.
        weights: Of rows, ≥ 0, as scikit-learn's `sample_weight`: twice the weights are twice the C.
        classes: K; None takes the largest label. Two classes have one logit, more have one each.
        iterations: Most steps.

    Returns:
        Features as they are → logits; d inputs, 1 or K outputs, single precision, on the CPU.

    Raises:
        InputError: if shapes do not fit, a number is out of range or not finite, or a class has no weight.
        TrainingError: if the solution is not found in so many steps.

    Source: Böhning, 1992, Multinomial logistic regression algorithm (the bound); Zhu et al., 1997, L-BFGS-B.

    Example:
        >>> layer = fit_linear(np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1])
        >>> layer(torch.tensor([[0.0], [3.0]])).sign().flatten().tolist()
        [-1.0, 1.0]
    """
    from scipy.optimize import minimize  # half a second that whoever needs none need not wait

    rows = _Rows(features)
    targets, many = _targets(labels, len(features), classes)
    shares = _shares(weights, targets, many)
    if not 0 < C < np.inf:
        raise InputError(f"C must be a number above 0; got {C}. 1 is the usual one, 1e-3 penalises strongly.")
    outputs = 1 if many == 2 else many
    total = float(shares.sum())
    chosen = _Problem(rows, targets, shares / total, outputs, 1 / (C * total))
    found = minimize(
        chosen.loss,
        np.zeros((rows.width + 1) * outputs),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "maxfun": 4 * iterations, "gtol": FLAT, "ftol": 1e-13},
    )
    steep = float(np.abs(found.jac).max())
    if not np.isfinite(found.fun) or steep > STEEP:
        raise TrainingError(
            f"Expected a last layer after {iterations} steps; the loss still falls, by {steep:.2g} a step. Lower C, "
            "or raise `iterations`."
        )
    return chosen.layer(found.x)


class _Rows:
    """Centred features in single precision, in blocks; their mean and standard deviation."""

    def __init__(self, features: NDArray[Any]) -> None:
        if getattr(features, "ndim", 0) != 2 or 0 in features.shape or features.dtype.kind != "f":
            got = f"{getattr(features, 'dtype', type(features).__name__)} {getattr(features, 'shape', '')}"
            raise InputError(
                f"Features must be floats of shape (n, d), with at least one row; got {got}. Give one vector a row."
            )
        self.features, self.width = features, features.shape[1]
        step = max(1, BLOCK // (4 * self.width))
        self.places = [slice(start, start + step) for start in range(0, len(features), step)]
        self.kept: list[Tensor] | None = None
        self.mean = torch.zeros(self.width, dtype=torch.float64)
        self.mean = self._average(lambda block: block)
        self.std = self._average(lambda block: block.square()).sqrt()
        self.std[self.std == 0] = 1  # a constant feature is 0 once centred: its weight stays 0
        if not bool(torch.isfinite(self.std).all() & torch.isfinite(self.mean).all()):
            raise InputError(
                "Features must be finite; got NaN or infinity. Look for the picture that they are of."
            )
        if 4 * features.size <= IN_MEMORY:
            self.kept = [self._block(place) for place in self.places]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Places and rows."""
        for number, place in enumerate(self.places):
            yield place, self._block(place) if self.kept is None else self.kept[number]

    def _block(self, place: slice) -> Tensor:
        values = np.array(self.features[place], np.float32)
        return torch.from_numpy(values).sub_(self.mean.float())

    def _average(self, of: Any) -> Tensor:
        total = torch.zeros(self.width, dtype=torch.float64)
        for place in self.places:
            total += of(self._block(place)).sum(0, dtype=torch.float64)
        return total / len(self.features)


class _Problem:
    """The loss, divided by the sum of the rows' weights, in coordinates in which its bend is at most 1."""

    def __init__(self, rows: _Rows, targets: Tensor, shares: Tensor, outputs: int, penalty: float) -> None:
        self.rows, self.targets, self.shares, self.outputs, self.penalty = (
            rows,
            targets,
            shares,
            outputs,
            penalty,
        )
        self.bend = 0.25 if outputs == 1 else 0.5
        self.root = self._root()

    def loss(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Value and gradient."""
        weight, bias = self._unfolded(point)
        scaled = (weight / self.rows.std[:, None]).float()
        value = 0.5 * self.penalty * float(weight.square().sum())
        slope, tilt = torch.zeros_like(weight), torch.zeros_like(bias)
        for place, block in self.rows.blocks():
            logits = (block @ scaled).double() + bias
            lost, residual = self._lost(logits, self.targets[place])
            share = self.shares[place]
            value += float(share @ lost)
            residual = residual * share[:, None]
            slope += (block.T @ residual.float()).double()
            tilt += residual.sum(0)
        slope = slope / self.rows.std[:, None] + self.penalty * weight
        if self.root is not None:
            slope = torch.linalg.solve_triangular(self.root, slope, upper=False)
        return value, torch.cat([slope.flatten(), tilt / self.bend**0.5]).numpy()

    def layer(self, point: NDArray[np.float64]) -> nn.Linear:
        """The solution in the features' own scale."""
        weight, bias = self._unfolded(point)
        own = weight / self.rows.std[:, None]
        with torch.random.fork_rng(devices=[]):  # of the numbers that it starts with
            layer = nn.Linear(self.rows.width, self.outputs)
        with torch.no_grad():
            layer.weight.copy_(own.T)
            layer.bias.copy_(bias - self.rows.mean @ own)
        return layer

    def _unfolded(self, point: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Weights on standardised features, shape (d, outputs), and biases."""
        flat = torch.from_numpy(point)
        weight = flat[: -self.outputs].reshape(self.rows.width, self.outputs)
        if self.root is not None:
            weight = torch.linalg.solve_triangular(self.root.T, weight, upper=True)
        return weight, flat[-self.outputs :] / self.bend**0.5

    def _lost(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each row, and its slope in the logits."""
        if self.outputs == 1:
            wanted = targets.double()
            lost = functional.binary_cross_entropy_with_logits(logits[:, 0], wanted, reduction="none")
            return lost, logits.sigmoid() - wanted[:, None]
        lost = functional.cross_entropy(logits, targets, reduction="none")
        return lost, logits.softmax(1) - functional.one_hot(targets, self.outputs)

    def _root(self) -> Tensor | None:
        """Cholesky factor of the curvature's bound on standardised features; None where features are many."""
        if self.rows.width > DENSE:
            return None
        moment = torch.zeros(self.rows.width, self.rows.width, dtype=torch.float64)
        step = -(-len(self.targets) // BENT)
        for place, block in self.rows.blocks():
            share = self.shares[place][::step]
            some = block[::step] * share.sqrt().float()[:, None]
            moment += (some.T @ some).double() * step
        moment = moment / self.rows.std / self.rows.std[:, None] * self.bend
        root: Tensor = torch.linalg.cholesky(
            moment + self.penalty * torch.eye(self.rows.width, dtype=torch.float64)
        )
        return root


def _targets(labels: ArrayLike, rows: int, classes: int | None) -> tuple[Tensor, int]:
    found = np.asarray(labels)
    if found.shape != (rows,) or found.dtype.kind not in "iub":
        raise InputError(
            f"Expected a class id for each of {rows} rows; got {found.dtype} {found.shape}. Give whole numbers."
        )
    many = max(2, int(found.max()) + 1) if classes is None else classes
    if many < 2 or not 0 <= int(found.min()) <= int(found.max()) < many:
        raise InputError(
            f"Labels must be 0…{many - 1}, of two classes or more; got {found.min()}…{found.max()}. Check `classes`."
        )
    return torch.from_numpy(found.astype(np.int64)), many


def _shares(weights: ArrayLike | None, targets: Tensor, classes: int) -> Tensor:
    rows = len(targets)
    given = np.ones(rows) if weights is None else np.asarray(weights, np.float64)
    if given.shape != (rows,) or not np.isfinite(given).all() or (given < 0).any():
        raise InputError(
            f"Expected a weight of 0 or more for each of {rows} rows; got shape {given.shape}"
            f"{'' if np.isfinite(given).all() else ', not all finite'}. Check `weights`."
        )
    sums = np.bincount(targets.numpy(), given, minlength=classes)
    if not (sums > 0).all():
        lacking: Sequence[int] = np.flatnonzero(sums == 0).tolist()
        raise InputError(
            f"Expected rows of each of {classes} classes, with weights above 0; got none of class "
            f"{', '.join(map(str, lacking[:5]))}. Add rows, or leave the class out."
        )
    return torch.from_numpy(given)
