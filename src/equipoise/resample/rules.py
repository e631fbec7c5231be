r"""Resampling rules: latent codes or embeddings of the images of a class → log weights.

Every rule returns normalised log weights, one a row, float64: exp of them sums to 1. Rows that show what the
data has little of get more. How much more is the business of `temper`.

Symbols: x a row, i a latent dimension of k, b_i(x) its bin there, N rows, α the smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from equipoise.density import (
    Bins,
    HistogramDensity,
    Latents,
    Mixture,
    NeighbourDensity,
    bin_rows,
    chunks,
    histogram_bins,
    log_probabilities,
)
from equipoise.errors import InputError

__all__ = [
    "capsa_rule",
    "cluster_rule",
    "equipoise_rule",
    "max_rule",
    "mixture_rule",
    "neighbours_rule",
    "product_rule",
]

LogWeights = NDArray[np.float64]


def max_rule(latents: Latents, *, bins: int = 10, smoothing: float = 1e-3) -> LogWeights:
    r"""The lab's rule: a row is as rare as it is in the dimension in which it is rarest.

    .. math:: p_i(x) = \frac{1/\hat Q_i(b_i(x))}{\sum_{x'} 1/\hat Q_i(b_i(x'))}, \qquad
              p(x) \propto \max_i p_i(x)

    with Q̂_i ∝ density + α, summing to 1 over the bins.

    Args:
        latents: Codes, one row an image.
        bins: Bins a dimension, between the smallest and the largest code; the outer edges are open.
        smoothing: α, in the unit of a density; larger is nearer to uniform.

    Returns:
        Log weights that sum to 1 in exp. With many dimensions nearly uniform.

    Raises:
        InputError: if the latents are not a finite table with rows, or an argument is out of range.

    Source: MIT 6.S191 lab 2 (2019 on), `get_training_sample_probabilities`. Differs from it in: float64 and
    log space; nothing else.

    Example:
        >>> np.exp(max_rule(np.array([[0.0], [0.0], [0.0], [1.0]]), bins=2, smoothing=0.0)).round(3).tolist()
        [0.167, 0.167, 0.167, 0.5]
    """
    table = histogram_bins(latents, bins=bins)
    rarity = -log_probabilities(table, smoothing=_checked(smoothing))
    # Σ_x 1/Q̂_i(b_i(x)) is a sum over bins; an empty bin adds nothing, even where 1/Q̂ is infinite.
    terms = torch.where(table.counts > 0, rarity + table.counts.to(torch.float64).log(), -math.inf)
    share = rarity - terms.logsumexp(1, keepdim=True)
    return _normalised([_looked_up(chunk, table, share).amax(1) for chunk in chunks(latents)])


def product_rule(latents: Latents, *, bins: int = 10, smoothing: float = 1e-3) -> LogWeights:
    r"""The paper's rule: rarity multiplies over dimensions, as if they were independent.

    .. math:: W(x) \propto \prod_i \frac{1}{\hat Q_i(b_i(x)) + \alpha}

    with Q̂_i(b) = n_ib / N, the histogram itself: α enters once.

    Args:
        latents: Codes, one row an image.
        bins: Bins a dimension, between the smallest and the largest code; the outer edges are open.
        smoothing: α, a probability; larger is nearer to uniform.

    Returns:
        Log weights that sum to 1 in exp. With many dimensions nearly all weight lies on a handful of rows.

    Raises:
        InputError: if the latents are not a finite table with rows, or an argument is out of range.

    Source: Amini, Soleimany, Schwarting, Bhatia, Rus, AIES 2019, Uncovering and mitigating algorithmic bias
    through learned latent structure, equation 6 and algorithm 1. Differs from it in: log space, so that
    nothing over- or underflows.
    """
    table = histogram_bins(latents, bins=bins)
    probability = table.counts.to(torch.float64) / table.counts.sum(1, keepdim=True)
    uniform = torch.full_like(probability, 1 / bins)
    rarity = -(torch.where(table.flat[:, None], uniform, probability) + _checked(smoothing)).log()
    return _normalised([_looked_up(chunk, table, rarity).sum(1) for chunk in chunks(latents)])


def capsa_rule(
    latents: Latents,
    reconstruction_errors: ArrayLike | Tensor,
    *,
    bins: int = 5,
    queue: int = 2000,
    density_floor: float = 1e-7,
    error_floor: float = 1e-7,
) -> LogWeights:
    r"""Lab 3's rule: the mean of a weight for rare codes and a weight for badly reconstructed images.

    .. math:: p(x) = \frac12 \frac{1/(q(x) + a)}{\sum 1/(q + a)} + \frac12 \frac{e(x) + b}{\sum (e + b)}

    with q(x) = Π_i n_i(b_i(x)) / n over the histograms of the last `queue` codes and e the reconstruction
    error.

    Args:
        latents: Codes, one row an image, in the order seen: the last ones make the histograms.
        reconstruction_errors: e, one a row, 0 or larger.
        bins: Bins a dimension.
        queue: Codes in the histograms.
        density_floor: a, a probability.
        error_floor: b, in the unit of the errors.

    Returns:
        Log weights that sum to 1 in exp. With many dimensions q is far below a, and the first part uniform.

    Raises:
        InputError: if the latents are not a finite table with rows, there is not one error of 0 or larger a
            row, or an argument is out of range.

    Source: MIT 6.S191 lab 3 (2023), with Capsa's histogram VAE. Differs from it in: the product is taken in
    log space, and slots of the queue that no code has filled yet are not counted.
    """
    if queue < 1 or not density_floor > 0 or not error_floor > 0:
        raise InputError(
            "queue must be at least 1 and the floors larger than 0; got "
            f"queue {queue}, density_floor {density_floor}, error_floor {error_floor}. Use the defaults."
        )
    recent = torch.zeros(0)
    for number, chunk in enumerate(chunks(latents)):
        recent = (torch.cat([recent, chunk]) if number else chunk)[-queue:]
    table = histogram_bins(recent, bins=bins)
    log_prob = log_probabilities(table)
    density = torch.cat([_looked_up(chunk, table, log_prob).sum(1) for chunk in chunks(latents)])
    errors = torch.as_tensor(reconstruction_errors).detach().to(torch.float64).to(density.device)
    if errors.shape != density.shape or not bool(((errors >= 0) & errors.isfinite()).all()):
        raise InputError(
            f"Expected one finite reconstruction error of 0 or larger for each of {len(density)} rows; got "
            f"shape {tuple(errors.shape)}. Pass the errors of the same images, in the same order."
        )
    rare = -torch.logaddexp(density, density.new_tensor(math.log(density_floor)))
    hard = (errors + error_floor).log()
    return _normalised([torch.logaddexp(rare - rare.logsumexp(0), hard - hard.logsumexp(0))])


def equipoise_rule(
    latents: Latents,
    *,
    density: Literal["neighbours", "histogram"] = "neighbours",
    components: int = 10,
    scale: float = 0.1,
    reference: int = 512,
    bins: int = 10,
    smoothing: float = 1e-3,
) -> LogWeights:
    r"""Our rule: one over the joint density, at the scale of groups, without the dimensions of noise.

    .. math:: \log p(x) = -\log q(x) + \text{const}

    *neighbours* (default): q by the distance to the k-th of a sample of rows, k the share `scale` of it,
    along the first principal axes. A group smaller than `scale` that stands apart has to look further for
    its k-th neighbour, however tight it is. Summing one-dimensional histograms, as the published rules do,
    sees a group only as far as it lies in the tails of single dimensions, and drowns it in the noise of the
    others.

    *histogram*: q = Π_i Q̂_i over active units only.

    Not whitened: a VAE's code has its own scale, on which a unit that carries little varies little.
    Weights are steep on purpose and meant for `temper`.

    Args:
        latents: Codes, one row an image.
        density: Which density.
        components: Principal axes for the neighbours; about as many as there are kinds of image.
        scale: Share of the data in (0, 1) below which a group counts as rare.
        reference: Rows of the sample; the cost of a row grows with it.
        bins: Bins a dimension, for the histogram.
        smoothing: α of the histogram, in the unit of a density.

    Returns:
        Log weights that sum to 1 in exp; uniform if no dimension varies. Two passes over the codes.

    Raises:
        InputError: if the latents are not a finite table with rows, or an argument is out of range.
    """
    if density == "neighbours":
        if not 0.0 < scale < 1.0:
            raise InputError(f"scale must be a share in (0, 1); got {scale}. Use 0.1.")
        neighbours = NeighbourDensity(scale, reference=reference, components=components).fit(latents)
        return _normalised([-neighbours.log_prob(latents, leave_one_out=True)])
    if density != "histogram":
        raise InputError(f"density must be 'neighbours' or 'histogram'; got {density!r}. Choose one of them.")
    histogram = HistogramDensity(bins, smoothing).fit(latents)
    variances = histogram.variances()
    if not bool(variances.isfinite().all()):
        raise InputError(
            "Latents must have variances that a number can hold; got infinity. Scale them, or look for a training run "
            "that diverged."
        )
    active = variances > 0.01 * variances.max()
    return _normalised([-histogram.log_prob(latents, dimensions=active)])


def neighbours_rule(
    latents: Latents, *, k: int = 20, reference: int = 2048, components: int | None = None
) -> LogWeights:
    r"""One over the density at fine scale: by the distance to the k-th nearest of all rows.

    .. math:: \log p(x) = d \log r_k(x) + \text{const}

    For vectors in which near means alike, such as embeddings. `equipoise_rule` looks at the scale of groups instead.

    Args:
        latents: Codes, one row an image; on which scale, see `density.normalised`.
        k: Which neighbour among all rows.
        reference: Rows of the sample that stands for all of them, in which k is as many times smaller; the cost of a
            row grows with it.
        components: Measure along this many principal axes; None measures in all dimensions.

    Returns:
        Log weights that sum to 1 in exp; uniform if no dimension varies. Steep in many dimensions: for `temper`.

    Raises:
        InputError: if the latents are not a finite table of more than k rows, or an argument is out of range.
    """
    rows = sum(len(chunk) for chunk in chunks(latents))
    kept = min(reference, rows) / rows  # a sample has its neighbours further away
    neighbours = NeighbourDensity(max(1, round(k * kept)), reference=reference, components=components).fit(
        latents
    )
    return _normalised([-neighbours.log_prob(latents, leave_one_out=True)])


def mixture_rule(
    latents: Latents,
    *,
    clusters: int = 16,
    kind: Literal["gaussian", "k-means"] = "gaussian",
    components: int | None = 10,
    seed: int = 0,
) -> LogWeights:
    """One over the density of a mixture of clusters. Needs scikit-learn.

    Args:
        latents: Codes, one row an image.
        clusters: How many; `kind`, `components` and `seed` as in `density.Mixture`.

    Returns:
        Log weights that sum to 1 in exp. Steep: for `temper`.

    Raises:
        InputError: if the latents are not a finite table of more rows than clusters, or an argument is out of range.
        MissingExtraError: without scikit-learn.
    """
    mixture = Mixture(clusters, kind, components=components, seed=seed).fit(latents)
    return _normalised([-mixture.log_prob(latents)])


def cluster_rule(
    latents: Latents,
    *,
    clusters: int = 16,
    kind: Literal["gaussian", "k-means"] = "gaussian",
    components: int | None = 10,
    seed: int = 0,
) -> LogWeights:
    r"""Balanced clusters: a row weighs one over the size of its cluster.

    .. math:: p(x) \propto \sum_c \frac{r_c(x)}{n_c}, \qquad n_c = \sum_{x'} r_c(x')

    with r_c(x) the share of x in cluster c. Where rows belong to one cluster each, every cluster is drawn equally
    often. Within a cluster nobody is rarer than others, so a strange picture weighs no more than its kind does.
    Needs scikit-learn.

    Args:
        latents: Codes, one row an image.
        clusters: How many; `kind`, `components` and `seed` as in `density.Mixture`.

    Returns:
        Log weights that sum to 1 in exp.

    Raises:
        InputError: if the latents are not a finite table of more rows than clusters, or an argument is out of range.
        MissingExtraError: without scikit-learn.
    """
    mixture = Mixture(clusters, kind, components=components, seed=seed).fit(latents)
    memberships = mixture.memberships(latents)
    # No cluster is smaller than one image: else one to which hardly anything belongs would count like the others.
    sizes = memberships.sum(0).clamp_min(1.0)
    return _normalised([(memberships / sizes).sum(1).log()])


def _looked_up(chunk: Tensor, table: Bins, values: Tensor) -> Tensor:
    """The value of each code's bin, shape of the chunk."""
    return values.T.gather(0, bin_rows(chunk, table.edges))


def _checked(smoothing: float) -> float:
    if not 0.0 <= smoothing < math.inf:
        raise InputError(f"smoothing must be 0 or larger and finite; got {smoothing}. The labs use 0.001.")
    return smoothing


def _normalised(parts: Sequence[Tensor]) -> LogWeights:
    scores = torch.cat(list(parts))
    weights: NDArray[Any] = (scores - scores.logsumexp(0)).cpu().numpy()
    return weights
