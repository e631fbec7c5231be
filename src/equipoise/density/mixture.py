r"""Gaussian mixtures: clusters of codes, how dense each is, and which one a code belongs to.

.. math:: \log q(x) = \log \sum_c \pi_c\, \mathcal{N}(x; \mu_c, \Sigma_c), \qquad
          r_c(x) = \frac{\pi_c\, \mathcal{N}(x; \mu_c, \Sigma_c)}{q(x)}

Fitted to one class at a time, a cluster is a kind of positive, or a kind of negative.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from equipoise.density.chunks import Latents, chunks, joined
from equipoise.density.neighbours import sample
from equipoise.density.principal import moments, principal_axes
from equipoise.errors import InputError, MissingExtraError, NotFittedError
from equipoise.seeds import checked_seed, child_seed

__all__ = ["Mixture"]

Kind = Literal["gaussian", "k-means"]

_BUFFERS = ("centre", "axes", "log_shares", "means", "inverse_factors")
_RIDGE = 1e-4  # share of the mean variance that every direction of a cluster has at least


class Mixture(nn.Module):
    """Density of latent codes as a mixture of clusters, and each code's shares in them.

    Needs scikit-learn. Buffers hold the mixture, so `state_dict` saves it and `.to` moves it.

    Args:
        clusters: How many.
        kind: "gaussian", each cluster with a covariance of its own; or "k-means", round clusters of one size: the mean
            squared distance to the nearest centre.
        components: Principal axes of the codes to work along; None works in all dimensions. A covariance has as many
            numbers as the square of it.
        reference: At most this many rows are fitted, chosen by content (`sample`).
        seed: Decides where the clusters start.

    Raises:
        InputError: if an argument is out of range.

    Example:
        >>> codes = torch.cat([torch.zeros(90, 2), torch.ones(10, 2)]) + 0.01 * torch.arange(200.0).view(100, 2).sin()
        >>> mixture = Mixture(clusters=2, kind="k-means").fit(codes)
        >>> mixture.memberships(codes).sum(0).sort().values.round().tolist()
        [10.0, 90.0]
    """

    centre: Tensor
    axes: Tensor
    log_shares: Tensor
    means: Tensor
    inverse_factors: Tensor

    def __init__(
        self,
        clusters: int = 16,
        kind: Kind = "gaussian",
        *,
        components: int | None = 10,
        reference: int = 20_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if clusters < 1 or reference <= clusters or (components is not None and components < 1):
            raise InputError(
                f"Expected at least one cluster, more reference rows than clusters, and components from 1 on; got "
                f"{clusters} clusters, {reference} rows, {components} components. Use the defaults."
            )
        if kind not in ("gaussian", "k-means"):
            raise InputError(f"kind must be 'gaussian' or 'k-means'; got {kind!r}. Choose one of them.")
        self.clusters, self.kind, self.components = clusters, kind, components
        self.reference, self.seed = reference, checked_seed(seed)
        for name in _BUFFERS:
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"clusters={self.clusters}, kind={self.kind!r}, components={self.components}, seed={self.seed}"

    def fit(self, latents: Latents) -> Mixture:
        """Find the clusters of these codes.

        Raises:
            InputError: if the codes are not a finite table of more rows than clusters.
            MissingExtraError: without scikit-learn.
        """
        seen = moments(latents)
        if seen.rows <= self.clusters:
            raise InputError(
                f"Expected more codes than the {self.clusters} clusters; got {seen.rows}. Ask for fewer clusters."
            )
        points = sample(latents, rows=self.reference)
        axes = (
            torch.eye(len(seen.mean), dtype=torch.float64, device=points.device)
            if self.components is None
            else principal_axes(seen, components=self.components)
        )
        placed = (points - seen.mean) @ axes
        spread = float(placed.square().mean().sqrt()) or 1.0
        shares, means, covariances = _clusters(
            (placed / spread).cpu().numpy(), self.clusters, self.kind, child_seed(self.seed, "mixture")
        )
        factors = np.linalg.cholesky(covariances)
        found = (
            seen.mean,
            axes,
            np.log(shares),
            means * spread,
            np.linalg.inv(factors) / spread,
        )
        for name, value in zip(_BUFFERS, found, strict=True):
            setattr(self, name, torch.as_tensor(value, dtype=torch.float64).to(self.centre.device))
        return self

    def log_prob(self, latents: Latents) -> Float64[Tensor, " n"]:
        """log q in nats along the principal axes, higher = more common.

        Raises:
            NotFittedError: before `fit`.
            InputError: if the codes are not a finite table as wide as those fitted.
        """
        return joined(part.logsumexp(1) for part in self._scored(latents))

    def memberships(self, latents: Latents) -> Float64[Tensor, "n clusters"]:
        """r: how much of each code belongs to each cluster; each row sums to 1.

        Raises:
            NotFittedError: before `fit`.
            InputError: if the codes are not a finite table as wide as those fitted.
        """
        return joined(part.softmax(1) for part in self._scored(latents))

    def forward(self, latents: Latents) -> Float64[Tensor, " n"]:
        """The same as `log_prob`."""
        return self.log_prob(latents)

    def _scored(self, latents: Latents) -> Iterator[Tensor]:
        """log π_c + log N(x; μ_c, Σ_c), a column a cluster."""
        if not len(self.log_shares):
            raise NotFittedError("Expected clusters to compare with; got none. Call fit first.")
        d = self.means.shape[1]
        constant = self.log_shares - d / 2 * math.log(2 * math.pi)
        constant = constant + self.inverse_factors.diagonal(dim1=1, dim2=2).log().sum(1)
        for chunk in chunks(latents, squared=True):
            if chunk.shape[1] != len(self.centre):
                raise InputError(
                    f"Expected codes with {len(self.centre)} dimensions, as fitted; got {chunk.shape[1]}. "
                    "Encode all images with the same model."
                )
            placed = (chunk.to(self.centre.device) - self.centre) @ self.axes
            squares = [
                ((placed - mean) @ factor.T).square().sum(1)
                for mean, factor in zip(self.means, self.inverse_factors, strict=True)
            ]
            yield constant - torch.stack(squares, 1) / 2

    def _apply(self, fn: Any, recurse: bool = True) -> Mixture:
        """Moves, but keeps float64."""
        before = {name: getattr(self, name) for name in _BUFFERS}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in before.items():
            setattr(self, name, buffer.to(self.centre.device))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in _BUFFERS:
            if prefix + name in state_dict:  # as many clusters as were saved
                setattr(self, name, getattr(self, name).new_zeros(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _clusters(
    points: Float64[np.ndarray, "n d"], clusters: int, kind: Kind, seed: int
) -> tuple[Float64[np.ndarray, " c"], Float64[np.ndarray, "c d"], Float64[np.ndarray, "c d d"]]:
    """Shares, means and covariances, by scikit-learn on one thread: with more, sums depend on who is first."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            "Expected scikit-learn for clusters of codes; it is not installed. "
            "Install it with: pip install 'equipoise[latent]'."
        ) from error
    n, d = points.shape
    state = seed % (1 << 32)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best found so far will do
        if kind == "gaussian":
            model = GaussianMixture(clusters, reg_covar=_RIDGE, max_iter=200, random_state=state).fit(points)
            return model.weights_, model.means_, model.covariances_
        found = KMeans(clusters, n_init=3, max_iter=200, random_state=state).fit(points)
    counts = np.bincount(found.labels_, minlength=clusters)
    kept = counts > 0  # fewer distinct rows than clusters leave some empty
    variance = found.inertia_ / (n * d) + _RIDGE
    each = np.broadcast_to(np.eye(d) * variance, (int(kept.sum()), d, d))
    return counts[kept] / n, found.cluster_centers_[kept], each
