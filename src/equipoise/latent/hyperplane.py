"""A hyperplane that separates the latents that have an attribute from those that do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from torch import Tensor

from equipoise.codes import Codes, array64, blocks
from equipoise.errors import InputError, MissingExtraError
from equipoise.intervals import area, proportion
from equipoise.latent.codes import blank, check, distances64, put, same_place
from equipoise.rate import Rate
from equipoise.seeds import child_seed

__all__ = ["LOWEST_AUROC", "Hyperplane", "fit_hyperplane"]

LOWEST_AUROC = 0.55
"""A hyperplane whose validation AUROC may be below this, by its 95 % interval, does not separate."""


@dataclass(frozen=True, eq=False)
class Hyperplane:
    """h(z) = wᵀz + b with `|w| = 1`: the signed distance of a latent, in its own unit; positive has the attribute.

    Args:
        weight: w; divided by its length if that is not 1, and the bias with it.
        bias: b.
        name: The attribute, for messages.
        accuracy: Share of validation latents on the right side; n is their number.
        auroc: Validation AUROC, 0.5 = chance; n is the size of the smaller class.

    Raises:
        InputError: if the weight is no finite vector, is all 0, or the bias is not finite.

    Example:
        >>> Hyperplane(np.array([3.0, 4.0]), bias=5.0).distances(np.array([[1.0, 0.5]]))
        array([2.])
    """

    weight: Float64[ndarray, " k"]
    bias: float
    name: str = "attribute"
    accuracy: Rate = field(default_factory=lambda: Rate.undefined("not validated"))
    auroc: Rate = field(default_factory=lambda: Rate.undefined("not validated"))

    def __post_init__(self) -> None:
        weight, bias = array64(self.weight), float(self.bias)
        length = float(np.linalg.norm(weight))
        if weight.ndim != 1 or not (math.isfinite(length) and math.isfinite(bias) and length > 0):
            raise InputError(
                f"A hyperplane needs a finite weight of shape (dimensions,), not all 0, and a finite bias; got "
                f"shape {weight.shape}, length {length:g}, bias {bias:g}. Fit it again."
            )
        unit = weight / length
        unit.flags.writeable = False
        object.__setattr__(self, "weight", unit)
        object.__setattr__(self, "bias", bias / length)

    def distances(self, latents: Codes) -> Codes:
        """h of each latent, shape (rows,), of the form and type of the latents.

        Raises:
            InputError: if the latents are not finite floats as wide as the weight.
        """
        check(latents, len(self.weight))
        found = blank(latents, len(latents))
        for place, block in blocks(latents):
            put(found, place, block @ same_place(self.weight, block) + self.bias)
        return found

    def __repr__(self) -> str:
        return (
            f"Hyperplane({self.name!r}, dimensions={len(self.weight)}, bias={self.bias:.3g}, "
            f"accuracy={self.accuracy}, auroc={self.auroc})"
        )


def fit_hyperplane(
    latents: Codes,
    labels: Any,
    *,
    method: Literal["svm", "logistic"] = "svm",
    validation: float | tuple[Codes, Any] = 0.2,
    cost: float = 1.0,
    lowest_auroc: float | None = LOWEST_AUROC,
    name: str = "attribute",
    seed: int = 0,
) -> Hyperplane:
    """Fit a linear classifier to labelled latents and see on others how well it separates.

    Latents are centred and divided by one number, their mean spread, before the fit, so that shifting, turning
    or scaling all of them does the same to the hyperplane and nothing else.

    Args:
        latents: Codes, one a row.
        labels: True or 1 where the latent has the attribute, False or 0 where not.
        method: "svm" (scikit-learn's LinearSVC, squared hinge) or "logistic" (LogisticRegression).
        validation: A share of each class, set aside by `seed`; or latents and labels of their own.
        cost: C of scikit-learn; smaller is more regularised.
        lowest_auroc: Refuse if the lower end of the 95 % interval of the validation AUROC is below this; None
            takes any hyperplane.
        name: The attribute, for messages.
        seed: Decides the split, and the order of the solver where it has one.

    Raises:
        InputError: if the latents are not finite floats, labels are not 0 and 1, one a latent, and both present
            in both parts, or the hyperplane does not separate.
        MissingExtraError: without scikit-learn.

    Source: V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification through Latent Space
    De-biasing, CVPR 2021. Differs from it in: latents are centred and scaled first; a hyperplane that does not
    separate is refused.
    """
    if method not in ("svm", "logistic"):
        raise InputError(f"method must be 'svm' or 'logistic'; got {method!r}. Choose one of them.")
    if not (math.isfinite(cost) and cost > 0):
        raise InputError(f"cost must be above 0; got {cost}. Smaller is more regularised; try 1.")
    codes, has = _table(latents), _labels(labels, len(latents), f"labels of {name!r}")
    if isinstance(validation, tuple):
        held = _table(validation[0], codes.shape[1])
        held_has = _labels(validation[1], len(held), f"validation labels of {name!r}")
    else:
        aside = _set_aside(has, validation, np.random.default_rng(child_seed(seed, "validation")))
        held, held_has, codes, has = codes[aside], has[aside], codes[~aside], has[~aside]
    weight, bias = _fitted(codes, has, method, cost, seed)
    fitted = Hyperplane(weight, bias, name)
    distances = distances64(held, fitted.weight[None], np.array([fitted.bias]))[:, 0]
    right = int(((distances > 0) == held_has).sum())
    accuracy = proportion(right, len(held))
    auroc = area(distances[held_has], distances[~held_has])
    if lowest_auroc is not None and auroc.low < lowest_auroc:
        raise InputError(
            f"The hyperplane of {name!r} must separate: the lower end of its validation AUROC must be at least "
            f"{lowest_auroc:g}; got {auroc}, where 0.5 is chance and n the smaller class. Check the labels, or "
            "take more latents; lowest_auroc=None uses it all the same."
        )
    return Hyperplane(weight, bias, name, accuracy, auroc)


def _fitted(
    codes: Float64[ndarray, "n k"], has: Bool[ndarray, " n"], method: str, cost: float, seed: int
) -> tuple[Float64[ndarray, " k"], float]:
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise MissingExtraError(
            "Hyperplanes are fitted by scikit-learn, which is not installed. "
            "Run: pip install 'equipoise[latent]'"
        ) from error
    centre = codes.mean(0)
    spread = float(np.sqrt(codes.var(0).mean()))
    if not spread > 0:
        raise InputError(
            "Latents must differ; got the same one in each row. Check the encoder or the sampler."
        )
    if method == "svm":
        model = LinearSVC(C=cost, max_iter=10_000, random_state=child_seed(seed, "svm") % 2**32)
    else:
        model = LogisticRegression(C=cost, max_iter=10_000)
    model.fit((codes - centre) / spread, has)
    weight = model.coef_[0] / spread
    return weight, float(model.intercept_[0] - weight @ centre)


def _set_aside(has: Bool[ndarray, " n"], share: float, generator: np.random.Generator) -> Bool[ndarray, " n"]:
    """Which rows validate: the share of each class, at least one of each and not all."""
    if not 0 < share < 1:
        raise InputError(
            f"validation must be a share in (0, 1), or latents and labels; got {share!r}. Try 0.2."
        )
    aside = np.zeros(len(has), bool)
    for value in (False, True):
        rows = np.flatnonzero(has == value)
        if len(rows) < 2:
            raise InputError(
                f"Each class needs at least 2 latents, to fit and to validate; got {len(rows)} of class "
                f"{int(value)}. Label more latents, or give validation latents of their own."
            )
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        aside[generator.permutation(rows)[:count]] = True
    return aside


def _table(latents: Codes, width: int | None = None) -> Float64[ndarray, "n k"]:
    check(latents, width)
    parts = [array64(block) for _, block in blocks(latents)]
    if not parts:
        raise InputError("Expected at least one latent; got none. Check what was selected.")
    return np.concatenate(parts)


def _labels(labels: Any, rows: int, what: str) -> Bool[ndarray, " n"]:
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.shape != (rows,):
        raise InputError(
            f"Expected {rows} {what}, one a latent; got shape {values.shape}. Take both from the same table."
        )
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise InputError(
            f"The {what} must be 0 and 1, or booleans; got others. Scores need a threshold: scores > 0.5."
        )
    if values.min() == values.max():
        raise InputError(
            f"The {what} must have both classes; got only {int(values[0])} in {rows} rows. "
            "Sample more latents, or choose another threshold of the classifier's score."
        )
    return values.astype(bool)
