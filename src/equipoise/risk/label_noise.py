r"""Label noise: which labels look wrong to a classifier that did not learn from them.

Features are cut into folds; a logistic regression learns the labels on all folds but one and gives class
probabilities of that one, so every probability is out of sample. Then

.. math:: \text{score}(x) = 1 - \frac{\hat p(y \mid x) - \max_{j \ne y} \hat p(j \mid x) + 1}{2}

is one minus the normalised margin of the given label: above ½ another class is more probable.

A label is contradicted where it is wrong, and where the classifier takes two classes for one another. The two are told
apart by how fast contradictions get rarer as the classifier gets surer (`replaced`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.nn import fit_linear
from equipoise.nn.passes import slices
from equipoise.probabilities import softmax
from equipoise.seeds import checked_seed, child_seed

__all__ = ["LabelNoise", "cross_fitted", "label_noise", "replaced", "suspected"]

LEARNED = 10_000  # rows that a fold's classifier learns from, at most: more change little, and cost memory
A_CLASS = 100  # but so many for each class
BLOCK = 4096  # rows that are predicted at a time
FITTED = 2_000_000  # probabilities that two numbers are fitted to, at most
ROUNDS = 60


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """What speaks against each given label.

    Args:
        score: One minus the normalised margin, in [0, 1]; higher = more probably wrong.
        self_confidence: Out-of-sample probability of the given label.
        suspected: Labels that confident learning takes for wrong.
        replaced: Chance that the label is one put there at random, and not the classifier's own confusion, in [0, 1].
    """

    score: Float[ndarray, " n"]
    self_confidence: Float[ndarray, " n"]
    suspected: Bool[ndarray, " n"]
    replaced: Float[ndarray, " n"]


def label_noise(
    features: Float[ndarray, "n d"],
    labels: Int[ndarray, " n"],
    *,
    same: Int[ndarray, " n"] | None = None,
    folds: int = 5,
    l2: float = 0.3,
    seed: int = 0,
) -> LabelNoise:
    """Score every label by cross-fitted predictions from frozen features.

    Args:
        features: For example of a model's hidden layer, of any float type; they may be memory-mapped. The less that
            model memorised these very labels, the better: features of a model trained for long on wrong labels
            separate them as if they were right.
        labels: Class ids 0…k−1.
        same: Ids; rows with equal ids (copies of a picture) are in one fold. None: each row stands alone.
        folds: Parts; each is predicted from the others.
        l2: λ of the penalty `λ/2·|W|²` beside the mean loss, on standardised features; larger trusts them less.
        seed: Decides the folds.

    Raises:
        InputError: if shapes do not fit, a feature is not finite, or a class has fewer images than folds.

    Source: C. Northcutt, L. Jiang, I. Chuang, Confident learning, JAIR 2021; normalised margin: J. Kuan,
    J. Mueller, Model-agnostic label quality scoring, ICML DataPerf workshop 2022. Differs from it in: the classifier
    is always a logistic regression on given features, learned from 10,000 rows at random (100 a class if those are
    more) where a fold leaves more.
    """
    probabilities = cross_fitted(features, labels, same=same, folds=folds, l2=l2, seed=seed)
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    margin = own - others.max(axis=1)
    found = replaced(probabilities, labels, seed=seed)
    return LabelNoise(0.5 * (1 - margin), own, suspected(probabilities, labels), found)


def suspected(probabilities: Float[ndarray, "n k"], labels: Int[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Labels off the diagonal of the confident joint.

    A class is confidently predicted if its probability is at least the mean that images labelled so have. A label
    is suspected if the most probable of the confidently predicted classes is another.

    Args:
        probabilities: Out of sample.
        labels: Class ids; each class has a label.

    Source: Northcutt et al. 2021, equations 1 and 2.
    """
    classes = probabilities.shape[1]
    thresholds = np.array([probabilities[labels == j, j].mean() for j in range(classes)])
    confident = np.where(probabilities >= thresholds, probabilities, -np.inf)
    found = np.isfinite(confident.max(axis=1)) & (confident.argmax(axis=1) != labels)
    return np.asarray(found, dtype=np.bool_)


def replaced(
    probabilities: Float[ndarray, "n k"], labels: Int[ndarray, " n"], *, seed: int = 0
) -> Float[ndarray, " n"]:
    r"""Chance that each label was put there at random, as against confusion of classes that is the classifier's own.

    Confusion gets rarer the surer the classifier is; random labels do not. So labels are taken to be given by

    .. math:: P(y \mid x) = (1 - \rho)\,\mathrm{softmax}(\alpha \log \hat p(x))_y + \rho\,\pi_y

    with the share π of each label; α (how sure the classifier has a right to be) and ρ are those of the highest
    likelihood, and the chance is the second term's share of the sum. Its sum over some images is how many of them are
    random labels, on the mean; one that hits the right class by chance counts too.

    Args:
        probabilities: Out of sample.
        labels: Class ids.
        seed: Decides which rows α and ρ are fitted to, where there are more than two million probabilities.

    Undefined: nothing. Wrong labels that go mostly to the class that the classifier confuses anyway look like
        confusion: then the chance is too low.

    Source: a mixture with label noise as in A. Ekholm, J. Palmgren, A model for a binary response with
    misclassifications, GLIM 82, 1982; J. Copas, Binary regression models for contaminated data, JRSS B 1988. Differs
    from them in: any number of classes, and one temperature in place of regression weights.
    """
    n, classes = probabilities.shape
    share = np.bincount(labels, minlength=classes)[labels] / n
    known = np.log(np.maximum(probabilities, 1e-12))
    most = max(1000, FITTED // classes)
    rows = np.arange(n)
    if n > most:
        chance = np.random.default_rng(child_seed(checked_seed(seed), "replaced"))
        rows = np.sort(chance.choice(n, most, replace=False))
    some, given = known[rows], labels[rows]
    own, alpha, rho = some[np.arange(len(rows)), given], 1.0, 0.05
    for _ in range(ROUNDS):  # expectation–maximisation, a Newton step for α in each round
        soft = softmax(alpha * some)
        kept = (1 - rho) * soft[np.arange(len(rows)), given]
        right = kept / np.maximum(kept + rho * share[rows], 1e-300)
        mean = (soft * some).sum(axis=1)
        spread = (soft * some**2).sum(axis=1) - mean**2
        step = float((right * (own - mean)).sum() / max((right * spread).sum(), 1e-9))
        alpha = float(np.clip(alpha + np.clip(step, -0.5, 0.5), 0.05, 20))
        rho = float(1 - right.mean())
    kept = (1 - rho) * softmax(alpha * known)[np.arange(n), labels]
    return np.asarray(rho * share / np.maximum(kept + rho * share, 1e-300), np.float64)


def cross_fitted(
    features: Float[ndarray, "n d"],
    labels: Int[ndarray, " n"],
    *,
    same: Int[ndarray, " n"] | None = None,
    folds: int = 5,
    l2: float = 0.3,
    seed: int = 0,
) -> Float[ndarray, "n k"]:
    """Out-of-sample class probabilities of a logistic regression; arguments and errors as in `label_noise`."""
    given = _checked(features, labels, folds, l2)
    part = _parts(given, np.arange(len(given)) if same is None else np.asarray(same), folds, seed)
    out = np.empty((len(given), int(given.max()) + 1))
    for fold in range(folds):
        inside = np.flatnonzero(part == fold)
        if not len(inside):
            continue
        learned = np.flatnonzero(part != fold)
        most = max(LEARNED, A_CLASS * out.shape[1])
        if len(learned) > most:
            chance = np.random.default_rng(child_seed(checked_seed(seed), "learned", fold))
            learned = np.sort(chance.choice(learned, most, replace=False))
        predict = _logistic(features[learned], given[learned], out.shape[1], l2)
        for place in slices(len(inside), BLOCK):
            out[inside[place]] = predict(features[inside[place]])
    return out


def _logistic(
    features: Float[ndarray, "n d"], labels: Int[ndarray, " n"], classes: int, l2: float
) -> Callable[[NDArray[Any]], Float[ndarray, "m k"]]:
    """Features → class probabilities, by the weights that minimise the penalised mean cross-entropy."""
    there, ids = np.unique(labels, return_inverse=True)  # copies of one picture may be all that a class has

    def predict(rows: NDArray[Any]) -> Float[ndarray, "m k"]:
        found = np.zeros((len(rows), classes))
        found[:, there] = 1.0
        if layer is not None:
            with torch.no_grad():
                logits = layer(torch.from_numpy(np.asarray(rows, np.float32))).double()
            logits = torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits
            found[:, there] = logits.softmax(1).numpy()
        return found

    # one logit stands for two whose weights are opposite: half the penalty
    share = l2 / 2 if len(there) == 2 else l2
    layer = None if len(there) == 1 else fit_linear(features, ids.reshape(-1), C=1 / (share * len(labels)))
    return predict


def _parts(labels: Int[ndarray, " n"], same: Int[ndarray, " n"], folds: int, seed: int) -> Int[ndarray, " n"]:
    """Fold of each row: every class is dealt out evenly in a random order, copies together."""
    _, first, unit = np.unique(same, return_index=True, return_inverse=True)
    chance = np.random.default_rng(checked_seed(seed))
    order = np.lexsort((chance.random(len(first)), labels[first]))
    part = np.empty(len(first), np.int64)
    part[order] = np.arange(len(first)) % folds
    return np.asarray(part[unit.reshape(-1)], dtype=np.int64)


def _checked(
    features: Float[ndarray, "n d"], labels: Int[ndarray, " n"], folds: int, l2: float
) -> Int[ndarray, " n"]:
    given = np.asarray(labels)
    if features.ndim != 2 or given.shape != (len(features),) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"Expected features of shape (n, d) and n whole-number labels; got shapes {features.shape} and "
            f"{given.shape} of {given.dtype}. Give one row an image."
        )
    if not all(np.isfinite(features[place]).all() for place in slices(len(features), BLOCK)):
        raise InputError("Features must be finite; got NaN or infinity. Look for a broken input or layer.")
    if folds < 2:
        raise InputError(f"folds must be at least 2; got {folds}. 5 is usual.")
    if not 0 < l2 < math.inf:
        raise InputError(f"l2 must be larger than 0; got {l2}. Try 0.3.")
    counts = np.bincount(given) if len(given) and given.min() >= 0 else np.zeros(1)
    if len(counts) < 2 or counts.min() < folds:
        raise InputError(
            f"Expected at least two classes 0…k−1 of {folds} images or more, one a fold; got "
            f"{', '.join(f'{count:g} of class {j}' for j, count in enumerate(counts))}. Give more images, or fewer "
            "folds."
        )
    return given.astype(np.int64)
