r"""Density by the distance to the k-th nearest of the training codes.

.. math:: \log q(x) = \log \frac{k}{N} - \log V_d - d\,\log r_k(x)

with r_k the distance to the k-th neighbour and V_d the volume of the unit ball in d dimensions. Small k sees
fine detail; k as large as a tenth of the reference sees where the mass is: the neighbourhood of an image
from a group smaller than that has to reach over to the others. Few principal axes in place of all dimensions
leave out the noise that hides such a distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor, nn

from equipoise.density.chunks import Latents, chunks, joined
from equipoise.density.principal import Moments, chunk_moments, principal_axes
from equipoise.errors import InputError, NotFittedError

__all__ = ["NeighbourDensity", "neighbour_distances", "sample"]

Metric = Literal["euclidean", "cosine"]

_BUFFERS = ("points", "centre", "axes", "nearest")
_DISTANCES = 1 << 20  # 8 MiB of float64


def neighbour_distances(
    latents: Float64[Tensor, "m d"],
    reference: Float64[Tensor, "n d"],
    *,
    k: int,
    squares: Float64[Tensor, " n"] | None = None,
) -> Float64[Tensor, " m"]:
    """Euclidean distance to the k-th nearest row of `reference`, in blocks of bounded memory.

    Args:
        squares: Squared lengths of the reference, where they are known.
    """
    across = min(reference.shape[0], _DISTANCES // 64)
    squares = reference.square().sum(1) if squares is None else squares
    down = max(1, _DISTANCES // across)
    # Made once: whatever is made anew for each block may land above the last, and memory grows with the rows.
    distances = latents.new_empty(latents.shape[0], dtype=torch.float64)
    space = latents.new_empty(min(down, latents.shape[0]) * across)
    for first in range(0, latents.shape[0], down):
        block = latents[first : first + down]
        own = block.square().sum(1, keepdim=True)
        nearest = block.new_zeros(block.shape[0], 0)
        for start in range(0, reference.shape[0], across):
            part = reference[start : start + across]
            squared = space[: block.shape[0] * part.shape[0]].view(block.shape[0], part.shape[0])
            torch.addmm(squares[None, start : start + across], block, part.T, alpha=-2.0, out=squared)
            squared.add_(own)
            nearest = squared if part.shape[0] == reference.shape[0] else torch.cat([nearest, squared], dim=1)
            if across < reference.shape[0] and nearest.shape[1] > k:
                nearest = nearest.topk(k, dim=1, largest=False, sorted=False).values
        distances[first : first + down] = _kth(nearest, k)
    return distances.clamp_min_(0.0).sqrt_()


def sample(latents: Latents, *, rows: int) -> Float64[Tensor, "m k"]:
    """At most `rows` rows, chosen by what is in them: the same ones in whatever order and cut the codes come.

    The rows with the smallest 64-bit hash of their values, in the order of the hash; one pass, and the sample
    of two halves' samples is the sample of the whole. Equal rows have equal hashes.
    """
    kept, keys = torch.zeros(0), np.zeros(0, np.uint64)
    for number, chunk in enumerate(chunks(latents)):
        hashes = _hash(chunk)
        kept = torch.cat([kept, chunk]) if number else chunk
        keys = np.concatenate([keys, hashes])
        first = np.argsort(keys, kind="stable")[:rows]
        kept, keys = kept[torch.from_numpy(first).to(kept.device)], keys[first]
    return kept


class NeighbourDensity(nn.Module):
    """k-th neighbour log-density of latent codes.

    Buffers hold the reference, so `state_dict` saves it and `.to` moves it.

    Args:
        k: Which neighbour, a whole number; or a share of the reference in (0, 1), say 0.1.
        metric: "euclidean", or "cosine" for codes whose length says nothing: the chord between directions.
        reference: Keep at most this many training rows, chosen by content (`sample`); None keeps all. The
            cost of scoring a row grows with it.
        components: Measure along this many principal axes of the codes; None measures in all dimensions.

    Raises:
        InputError: if an argument is out of range.

    Example:
        >>> codes = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 9.0]])
        >>> log_density = NeighbourDensity(k=2).fit(codes).log_prob(codes, leave_one_out=True)
        >>> int(log_density.argmin())
        3
    """

    points: Tensor
    centre: Tensor
    axes: Tensor
    nearest: Tensor

    def __init__(
        self,
        k: int | float = 20,
        metric: Metric = "euclidean",
        *,
        reference: int | None = None,
        components: int | None = None,
    ) -> None:
        super().__init__()
        if metric not in ("euclidean", "cosine"):
            raise InputError(f"metric must be 'euclidean' or 'cosine'; got {metric!r}. Choose one of them.")
        if not (0.0 < k < 1.0 or (k >= 1 and k == int(k))):
            raise InputError(f"k must be a whole number from 1 on, or a share in (0, 1); got {k}. Try 20.")
        if reference is not None and reference <= max(k, 1):
            raise InputError(f"reference must be larger than k = {k}; got {reference}. Keep more rows.")
        if components is not None and components < 1:
            raise InputError(f"components must be at least 1; got {components}. None measures in all.")
        self.k, self.metric, self.reference, self.components = k, metric, reference, components
        for name in _BUFFERS:
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return (
            f"k={self.k}, metric={self.metric!r}, reference={self.reference}, "
            f"components={self.components}, rows={len(self.points)}"
        )

    def fit(self, latents: Latents) -> NeighbourDensity:
        """Keep these codes as the reference, in one pass.

        Raises:
            InputError: if the codes are not a finite table of more than k rows.
        """
        kept: list[Tensor] = []
        moments: Moments | None = None
        for chunk in chunks(latents, squared=True):
            chunk = self._direction(chunk.to(self.points.device))
            moments = chunk_moments(chunk) if moments is None else moments.merge(chunk_moments(chunk))
            kept.append(chunk)
            if self.reference is not None:
                kept = [sample(kept, rows=self.reference)]
        points = torch.cat(kept)
        if moments is None or len(points) <= self.k:
            raise InputError(
                f"Expected more than k = {self.k} codes; got {len(points)}. Use a smaller k or more images."
            )
        self.centre = moments.mean
        self.axes = (
            torch.eye(points.shape[1], dtype=torch.float64, device=points.device)
            if self.components is None
            else principal_axes(moments, components=self.components)
        )
        self.points = self._along_axes(points)
        # Distances below the rounding of the matrix product, and those of copies, count as this.
        spread = float(moments.scatter.trace()) / moments.rows
        self.nearest = points.new_tensor(1e-6 * math.sqrt(spread) if spread > 0 else 1.0)
        return self

    def log_prob(self, latents: Latents, *, leave_one_out: bool = False) -> Float64[Tensor, " n"]:
        """log q in nats, higher = more common.

        Args:
            latents: Any codes as wide as those fitted.
            leave_one_out: The codes are those fitted: do not count a row as its own neighbour.

        Raises:
            NotFittedError: before `fit`.
            InputError: if the codes are not a finite table as wide as those fitted.
        """
        if not len(self.points):
            raise NotFittedError("Expected a reference to compare with; got none. Call fit first.")
        return joined(self._scored(latents, leave_one_out))

    def forward(self, latents: Latents) -> Float64[Tensor, " n"]:
        """The same as `log_prob` of codes that were not fitted."""
        return self.log_prob(latents)

    def _scored(self, latents: Latents, leave_one_out: bool) -> Iterator[Tensor]:
        n, axes = self.points.shape
        k = int(self.k) if self.k >= 1 else math.ceil(self.k * n)
        d = axes - 1 if self.metric == "cosine" and axes == len(self.centre) > 1 else axes
        constant = math.log(k / n) - d / 2 * math.log(math.pi) + math.lgamma(d / 2 + 1)
        squares = self.points.square().sum(1)
        for chunk in chunks(latents, squared=True):
            if chunk.shape[1] != len(self.centre):
                raise InputError(
                    f"Expected codes with {len(self.centre)} dimensions, as fitted; got {chunk.shape[1]}. "
                    "Encode all images with the same model."
                )
            placed = self._along_axes(self._direction(chunk.to(self.points.device)))
            distance = neighbour_distances(
                placed, self.points, k=min(k + int(leave_one_out), n), squares=squares
            )
            yield constant - d * distance.clamp_min(self.nearest).log()

    def _along_axes(self, codes: Tensor) -> Tensor:
        """From the centre; a product with all axes would change nothing."""
        return codes - self.centre if self.components is None else (codes - self.centre) @ self.axes

    def _direction(self, codes: Tensor) -> Tensor:
        return torch.nn.functional.normalize(codes, dim=1) if self.metric == "cosine" else codes

    def _apply(self, fn: Any, recurse: bool = True) -> NeighbourDensity:
        """Moves, but keeps float64."""
        before = {name: getattr(self, name) for name in _BUFFERS}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in before.items():
            setattr(self, name, buffer.to(self.points.device))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in _BUFFERS:
            if prefix + name in state_dict:  # as many rows as were saved
                setattr(self, name, getattr(self, name).new_zeros(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _kth(values: Tensor, k: int) -> Tensor:
    """The k-th smallest of each row, rounded to float32, which halves the cost of selecting."""
    if values.is_cuda:
        return values.kthvalue(k, dim=1).values
    # A power of two, which costs no digit, keeps what is very large or very small inside of single precision.
    scale = math.ldexp(1.0, math.frexp(float(values.max()))[1]) if values.numel() else 1.0
    part = (values / scale).to(torch.float32).numpy()
    part.partition(k - 1, axis=1)
    return torch.from_numpy(part[:, k - 1].astype(np.float64)) * scale


def _hash(rows: Tensor) -> NDArray[np.uint64]:
    """SplitMix64 over the bits of each row's values; −0 is 0."""
    bits = (rows.cpu().numpy() + 0.0).view(np.uint64)
    hashes = np.full(len(bits), 0x9E3779B97F4A7C15, np.uint64)
    for column in bits.T:
        hashes ^= column
        hashes += np.uint64(0x9E3779B97F4A7C15)
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes ^= hashes >> np.uint64(31)
    return hashes
