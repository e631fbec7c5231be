r"""Histogram densities, one a latent dimension; the joint log-density is their sum.

Over `bins` bins of equal width between the smallest and the largest code of a dimension, with open outer
edges:

.. math:: \hat Q_i(b) \propto \frac{n_{ib}}{N\,\Delta_{ib}} + \alpha, \qquad \sum_b \hat Q_i(b) = 1, \qquad
          \log \hat Q(x) = \sum_i \log \hat Q_i(b_i(x))

The functions make exactly the bins of `numpy.histogram`, for which the range must be known before anything
is counted. `HistogramDensity` learns from a stream and can be merged: it counts in 2,049 to 4,096 fine cells a
dimension, whose width is a power of two and follows from the range alone. Cells of a wider range are unions
of cells of a narrower one, so counts add up exactly, in whatever order and in however many parts the rows
came. A bin's edge is the border of a cell, at most 1/4096 of the range from where the functions have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from equipoise.density.chunks import Latents, chunks
from equipoise.errors import InputError, NotFittedError

__all__ = ["Bins", "HistogramDensity", "bin_rows", "histogram_bins", "log_probabilities"]

_CELLS = 4096
_MOST_BINS = 512


class Bins(NamedTuple):
    """What the rows of a table fall into.

    Args:
        edges: Edges of the bins; the outer ones are the smallest and the largest code.
        counts: Rows in each bin.
        flat: Dimensions with a single value: they say nothing and count as uniform.
    """

    edges: Float64[Tensor, "k edges"]
    counts: Int64[Tensor, "k bins"]
    flat: Bool[Tensor, " k"]


def histogram_bins(latents: Latents, *, bins: int = 10) -> Bins:
    """Counts in exactly the bins of `numpy.histogram`, every dimension at once, in two passes over the codes.

    Raises:
        InputError: if `bins` is not 1…512 or the latents are not a table of finite numbers.
    """
    _check(bins, 0.0)
    low = high = torch.zeros(0)
    for number, chunk in enumerate(chunks(latents)):
        smallest, largest = chunk.aminmax(dim=0)
        low = torch.minimum(low, smallest) if number else smallest
        high = torch.maximum(high, largest) if number else largest
    edges, flat = _equal_edges(low, high, bins)
    counts = torch.zeros(low.shape[0], bins, dtype=torch.int64, device=low.device)
    for chunk in chunks(latents):
        _count(counts, bin_rows(chunk, edges))
    return Bins(edges, counts, flat)


def bin_rows(latents: Float64[Tensor, "m k"], edges: Float64[Tensor, "k edges"]) -> Int64[Tensor, "m k"]:
    """The bin of every code, 0…bins−1: a bin holds its lower edge, and the outer bins are open.

    The bins of a dimension must be equally wide: their number follows from a division, and only codes so near
    to an edge that rounding might decide are compared with it.
    """
    count = edges.shape[1] - 1
    low, width = edges[:, 0], (edges[:, -1] - edges[:, 0]) / count
    position = (latents - low).div_(width)
    rows = position.clamp(0, count - 1).long()
    rounding = 1e-9 + 1e-15 * edges.abs().amax(1) / width
    near = position.sub_(position.round()).abs_() <= rounding
    if bool(near.any()):
        _, dimension = near.nonzero(as_tuple=True)
        rows[near] = (latents[near][:, None] >= edges[dimension, 1:-1]).sum(1)
    return rows


def log_probabilities(bins: Bins, *, smoothing: float = 0.0) -> Float64[Tensor, "k bins"]:
    """log Q̂ of every bin in nats, ≤ 0; −∞ for an empty bin without smoothing; uniform where flat.

    Args:
        bins: Counts and edges.
        smoothing: α, in the unit of a density (1 / unit of the codes); larger is nearer to uniform.
    """
    density = bins.counts / (bins.counts.sum(1, keepdim=True) * bins.edges.diff(dim=1)) + smoothing
    density = torch.where(bins.flat[:, None], torch.ones_like(density), density)
    return density.log() - density.sum(1, keepdim=True).log()


class HistogramDensity(nn.Module):
    """Histogram log-density of latent codes, learned from a stream.

    Buffers hold everything, so `state_dict` saves it and `.to` moves it.

    Args:
        bins: Bins a dimension, 1…512.
        smoothing: α, in the unit of a density; 0 gives a code in an empty bin the log-density −∞.

    Raises:
        InputError: if an argument is out of range.

    Example:
        >>> codes = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
        >>> histogram = HistogramDensity(bins=2).fit(codes)
        >>> histogram.log_prob(torch.tensor([[-5.0], [5.0]])).exp()
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """

    low: Tensor
    high: Tensor
    exponent: Tensor
    counts: Tensor

    def __init__(self, bins: int = 10, smoothing: float = 0.0) -> None:
        super().__init__()
        _check(bins, smoothing)
        self.bins, self.smoothing = bins, smoothing
        self._reset()

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"bins={self.bins}, smoothing={self.smoothing}, rows={self.rows}"

    @property
    def rows(self) -> int:
        """Rows learned so far."""
        return int(self.counts[0].sum()) if self.counts.numel() else 0

    def fit(self, latents: Latents) -> HistogramDensity:
        """Forget what was learned and learn these codes."""
        self._reset()
        return self.update(latents)

    def update(self, latents: Latents) -> HistogramDensity:
        """Learn more codes, in one pass. The order and the cut into parts change nothing.

        Raises:
            InputError: if the codes are not a finite table as wide as those before.
        """
        for chunk in chunks(latents):
            chunk = chunk.to(self.counts.device)
            smallest, largest = chunk.aminmax(dim=0)
            self._widen(smallest, largest)
            _count(self.counts, self._cells(chunk))
        return self

    def merge(self, other: HistogramDensity) -> HistogramDensity:
        """Add what another histogram learned, exactly as if its rows had come here.

        Raises:
            InputError: if the other has other settings or another number of dimensions.
        """
        if (self.bins, self.smoothing) != (other.bins, other.smoothing):
            raise InputError(
                f"Histograms that merge must have the same settings; got {self} and {other}. Make both alike."
            )
        if other.rows:
            device = self.counts.device
            self._widen(other.low.to(device), other.high.to(device))
            regridded = _regrid(
                other.counts.to(device), other.exponent.to(device), other.low.to(device), self
            )
            self.counts += regridded
        return self

    def log_prob_per_dimension(self, latents: Latents) -> Float64[Tensor, "n k"]:
        """log Q̂_i of every code in nats, higher = more common. Outside the range, that of the outer bin.

        Raises:
            NotFittedError: before anything was learned.
            InputError: if the codes are not a finite table as wide as those learned.
        """
        return torch.cat(list(self._scored(latents)))

    def log_prob(
        self, latents: Latents, *, dimensions: Bool[Tensor, " k"] | None = None
    ) -> Float64[Tensor, " n"]:
        """Joint log-density in nats, Σ_i log Q̂_i, higher = more common. Raises as one dimension does.

        Args:
            latents: Any codes as wide as those learned.
            dimensions: Sum over these only, for example the active units; None sums over all.
        """
        kept = slice(None) if dimensions is None else dimensions.to(self.counts.device)
        return torch.cat([log_prob[:, kept].sum(1) for log_prob in self._scored(latents)])

    def forward(self, latents: Latents) -> Float64[Tensor, " n"]:
        """The same as `log_prob`."""
        return self.log_prob(latents)

    def table(self) -> Bins:
        """Counts in the `bins` bins between the smallest and the largest code.

        Raises:
            NotFittedError: before anything was learned.
        """
        if not self.rows:
            raise NotFittedError(
                "Expected a histogram that has seen codes; got an empty one. Call fit first."
            )
        borders, flat = self._borders()
        total = torch.nn.functional.pad(self.counts.cumsum(1), (1, 0))
        scale = _power_of_two(self.exponent)
        edges = (borders + _cell(self.low, self.exponent)[:, None]) * scale[:, None]
        edges[:, 0], edges[:, -1] = self.low, self.high
        edges = torch.where(flat[:, None], torch.arange(self.bins + 1, device=edges.device), edges)
        return Bins(edges, total.gather(1, borders).diff(dim=1), flat)

    def variances(self) -> Float64[Tensor, " k"]:
        """Variance of the codes of each dimension, read off the fine cells; exactly 0 where all are equal.

        Raises:
            NotFittedError: before anything was learned.
        """
        if not self.rows:
            raise NotFittedError(
                "Expected a histogram that has seen codes; got an empty one. Call fit first."
            )
        position = torch.arange(_CELLS, device=self.counts.device, dtype=torch.float64)
        mean = (self.counts * position).sum(1) / self.rows
        squares = (self.counts * (position - mean[:, None]).square()).sum(1) / self.rows
        return torch.where(self.high > self.low, squares * _power_of_two(self.exponent).square(), 0.0)

    def _scored(self, latents: Latents) -> Iterator[Tensor]:
        bins = self.table()
        borders, _ = self._borders()
        cell = torch.arange(_CELLS, device=borders.device).expand(len(borders), -1).contiguous()
        bin_of_cell = torch.searchsorted(borders[:, 1:-1].contiguous(), cell, right=True)
        by_cell = log_probabilities(bins, smoothing=self.smoothing).gather(1, bin_of_cell).view(-1)
        offset = torch.arange(len(borders), device=borders.device) * _CELLS
        for chunk in chunks(latents):
            chunk = chunk.to(self.counts.device)
            self._check_width(chunk.shape[1])
            yield by_cell.take(self._cells(chunk).add_(offset))

    def _cells(self, codes: Tensor) -> Tensor:
        first = _cell(self.low, self.exponent)
        scaled = (codes * _power_of_two(-self.exponent)).floor_()
        return scaled.sub_(first).clamp_(0, _CELLS - 1).long()

    def _borders(self) -> tuple[Tensor, Tensor]:
        """The cell in which each bin starts, and one past the last; dimensions too narrow to have bins."""
        first = _cell(self.low, self.exponent)
        spans = _cell(self.high, self.exponent) - first + 1
        edges, flat = _equal_edges(self.low, self.high, self.bins)
        borders = ((edges * _power_of_two(-self.exponent)[:, None]).round() - first[:, None]).long()
        borders[:, 0], borders[:, -1] = 0, spans.long()
        return borders.clamp_(0, _CELLS), flat | (spans < 2 * self.bins)

    def _widen(self, low: Tensor, high: Tensor) -> None:
        if not self.rows:
            self.low, self.high = low.clone(), high.clone()
            self.exponent = _exponent(low, high)
            self.counts = torch.zeros(len(low), _CELLS, dtype=torch.int64, device=low.device)
            return
        self._check_width(len(low))
        low, high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        if not (torch.equal(low, self.low) and torch.equal(high, self.high)):
            counts, exponent, before = self.counts, self.exponent, self.low
            self.low, self.high, self.exponent = low, high, _exponent(low, high)
            self.counts = _regrid(counts, exponent, before, self)

    def _check_width(self, width: int) -> None:
        if width != len(self.low):
            raise InputError(
                f"Expected codes with {len(self.low)} dimensions, as learned; got {width}. "
                "Encode all images with the same model."
            )

    def _reset(self) -> None:
        device = self.counts.device if hasattr(self, "counts") else None
        for name in ("low", "high"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64, device=device))
        self.register_buffer("exponent", torch.zeros(0, dtype=torch.int64, device=device))
        self.register_buffer("counts", torch.zeros(0, _CELLS, dtype=torch.int64, device=device))

    def _apply(self, fn: Any, recurse: bool = True) -> HistogramDensity:
        """Moves, but keeps float64: `.half()` on a model must not touch the edges."""
        low, high = self.low, self.high
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.low, self.high = low.to(self.counts.device), high.to(self.counts.device)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("low", "high", "exponent", "counts"):
            if prefix + name in state_dict:  # as many dimensions as were saved
                mine, saved = getattr(self, name), state_dict[prefix + name]
                setattr(self, name, torch.zeros(saved.shape, dtype=mine.dtype, device=mine.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _check(bins: int, smoothing: float) -> None:
    if not 1 <= bins <= _MOST_BINS:
        raise InputError(f"bins must be 1…{_MOST_BINS}; got {bins}. The labs use 10.")
    if not 0.0 <= smoothing < np.inf:
        raise InputError(f"smoothing must be 0 or larger and finite; got {smoothing}. The labs use 0.001.")


def _equal_edges(low: Tensor, high: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """`numpy.histogram`'s edges, bit for bit; 0, 1, 2, … where there is no range to divide."""
    with np.errstate(over="ignore"):
        spans = high.cpu().numpy() - low.cpu().numpy()
    if not np.isfinite(spans).all():
        raise InputError(
            f"Latents must span less than {np.finfo(np.float64).max:.2g} in a dimension; got {float(low.min()):g}… "
            f"{float(high.max()):g}. Scale them, or look for a training run that diverged."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low.cpu().numpy(), high.cpu().numpy(), bins + 1, axis=1)
    # A step of zero anywhere makes linspace compute every row another way: do those rows apart.
    flat = ~(np.diff(edges, axis=1) > 1e-300).all(1)  # below, one over a width is beyond all numbers
    if flat.any():
        edges[flat] = np.arange(bins + 1)
        edges[~flat] = np.linspace(low.cpu().numpy()[~flat], high.cpu().numpy()[~flat], bins + 1, axis=1)
    return torch.from_numpy(edges).to(low.device), torch.from_numpy(flat).to(low.device)


def _count(counts: Tensor, cells: Tensor) -> None:
    k, width = counts.shape
    flat = (cells + torch.arange(k, device=cells.device) * width).reshape(-1)
    counts += torch.bincount(flat, minlength=k * width).view(k, width)


def _exponent(low: Tensor, high: Tensor) -> Tensor:
    """log2 of the cell width: the smallest for which low…high fits, never below the codes' own precision.

    A function of the range alone that only grows when the range does; both are what merging rests on.
    """
    _, above = np.frexp((high / _CELLS - low / _CELLS).cpu().numpy())
    _, precision = np.frexp(torch.maximum(low.abs(), high.abs()).cpu().numpy())
    exponent = torch.from_numpy(np.clip(np.maximum(above - 1, precision - 53), -1000, 1000).astype(np.int64))
    exponent = torch.where((high > low).cpu(), exponent, torch.from_numpy(np.maximum(precision - 53, -1000)))
    exponent = exponent.to(low.device)
    for _ in range(2):
        exponent = exponent + (_cell(high, exponent) - _cell(low, exponent) + 1 > _CELLS)
    return exponent


def _power_of_two(exponent: Tensor) -> Tensor:
    return torch.from_numpy(np.ldexp(1.0, exponent.cpu().numpy())).to(exponent.device)


def _cell(codes: Tensor, exponent: Tensor) -> Tensor:
    return (codes * _power_of_two(-exponent)).floor()


def _regrid(counts: Tensor, exponent: Tensor, low: Tensor, to: HistogramDensity) -> Tensor:
    """Counts on the grid of `to`, whose cells are unions of these."""
    shift = (to.exponent - exponent).clamp(0, 62)
    before = _cell(low, exponent).long()[:, None] + torch.arange(_CELLS, device=counts.device)
    after = (before >> shift[:, None]) - _cell(to.low, to.exponent).long()[:, None]
    return torch.zeros_like(counts).scatter_add_(1, after.clamp_(0, _CELLS - 1), counts)
