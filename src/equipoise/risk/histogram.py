r"""Representation risk by histograms: how rarely this combination of features was seen in training.

.. math:: r(x) = -\sum_i \log \hat Q_i(b_i(x))

over histograms of each feature's last `queue` values. Features are taken as independent.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from equipoise.density import histogram_bins, log_probabilities
from equipoise.errors import InputError, NotFittedError
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Seen
from equipoise.risk.wrapped import Method

__all__ = ["Histogram", "RunningHistogram"]


class RunningHistogram(torch.nn.Module):
    """Histograms over the last `queue` codes: a ring buffer, and the table that scoring reads.

    Buffers hold everything. The table is made anew when a score is asked for after codes came.

    Args:
        bins: Bins a dimension, between the smallest and the largest code of the queue; the outer edges are open.
        queue: Codes that are kept.
        smoothing: α, in the unit of a density (1 / unit of the codes); larger is nearer to uniform.

    Raises:
        InputError: if an argument is out of range.
    """

    codes: Tensor
    position: Tensor
    low: Tensor
    scale: Tensor
    table: Tensor

    def __init__(self, bins: int = 5, queue: int = 2000, smoothing: float = 1e-3) -> None:
        super().__init__()
        if not 1 <= bins <= 512:
            raise InputError(f"bins must be 1…512; got {bins}. The lab uses 5.")
        if queue < 10 * bins:
            raise InputError(
                f"queue must be at least 10 × bins = {10 * bins}; got {queue}. A shorter one says nothing."
            )
        if not 0 < smoothing < float("inf"):
            raise InputError(f"smoothing must be larger than 0; got {smoothing}. Use 0.001.")
        self.bins, self.queue, self.smoothing = bins, queue, smoothing
        self.register_buffer("codes", torch.zeros(0, 0))
        self.register_buffer("position", torch.zeros(2, dtype=torch.int64))  # next slot, slots filled
        for name in ("low", "scale", "table"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.stale = True

    def forget(self) -> None:
        """Empty the queue."""
        self.position.zero_()
        self.table = self.table[:0]
        self.stale = True

    def push(self, codes: Float[Tensor, "batch k"]) -> None:
        """Put a batch into the queue, over the oldest.

        Raises:
            InputError: if the batch is larger than the queue, of another width, or not finite.
        """
        rows, width = codes.shape
        _check_finite(codes)
        if rows > self.queue:
            raise InputError(
                f"A queue of {self.queue} cannot take a batch of {rows}. Make the queue longer: some batches."
            )
        if not self.codes.numel():
            self.codes = torch.zeros(self.queue, width, device=codes.device)
            self.position = self.position.to(codes.device)
        if width != self.codes.shape[1]:
            raise InputError(
                f"Expected {self.codes.shape[1]} features, as before; got {width}. Use the same layer throughout."
            )
        place = (self.position[0] + torch.arange(rows, device=codes.device)) % self.queue
        self.codes.index_copy_(0, place, codes.to(self.codes.dtype))
        self.position[0] = (self.position[0] + rows) % self.queue
        self.position[1] = (self.position[1] + rows).clamp(max=self.queue)
        self.stale = True

    def refresh(self) -> None:
        """Make the table from the filled slots, if codes came since the last time and there are enough."""
        if not self.stale:
            return
        filled = int(self.position[1])
        if filled < 10 * self.bins:
            return
        kept = self.codes[:filled]
        found = histogram_bins(kept, bins=self.bins)
        if bool(found.flat.all()):
            raise InputError(
                f"Expected features that vary; all {kept.shape[1]} are the same in the last {filled} samples. "
                "Name another layer, or look for dead units."
            )
        low, high = found.edges[:, 0], found.edges[:, -1]
        scale = torch.where(found.flat, 0.0, self.bins / (high - low))
        table = log_probabilities(found, smoothing=self.smoothing)
        # a table made in inference mode could not be scored with outside of it
        with torch.inference_mode(False):
            self.low, self.scale = low.clone().float(), scale.clone().float()
            # by bin, then dimension: what one gather reads
            self.table = table.T.clone(memory_format=torch.contiguous_format).float()
        self.stale = False

    def log_prob(
        self, codes: Float[Tensor, "batch k"], *, dimensions: Bool[Tensor, " k"] | None = None
    ) -> Float[Tensor, " batch"]:
        """Σ log Q̂ in nats, higher = more common. A feature that never varied counts as uniform.

        Args:
            codes: Any codes as wide as those pushed.
            dimensions: Sum over these only, for example the active units; None sums over all.

        Raises:
            NotFittedError: while fewer than 10 × bins codes have been seen.
            InputError: if a code is not finite, or of another width.
        """
        if not torch.compiler.is_exporting():
            self.refresh()
            _check_finite(codes)
        if not self.table.numel():
            got = "no table of them" if torch.compiler.is_exporting() else int(self.position[1])
            raise NotFittedError(
                f"Expected at least {10 * self.bins} samples in the queue; got {got}. "
                "Train, or call fit with training batches, first."
            )
        if codes.shape[1] != len(self.low):
            raise InputError(
                f"Expected {len(self.low)} features, as before; got {codes.shape[1]}. Use the same layer throughout."
            )
        place = ((codes.float() - self.low) * self.scale).floor().clamp(0, self.bins - 1).long()
        found = self.table.gather(0, place)
        return (found if dimensions is None else found.where(dimensions, 0.0)).sum(1)

    def _apply(self, fn: Any, recurse: bool = True) -> RunningHistogram:
        """Moves, but keeps single precision."""
        before = {name: getattr(self, name) for name in ("codes", "low", "scale", "table")}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in before.items():
            setattr(self, name, buffer.to(self.position.device))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "codes")
        if saved is not None:  # as wide as was saved; a queue of another length is an error of torch's own
            rows = self.queue if saved.numel() else 0
            self.codes = torch.zeros(rows, saved.shape[-1], device=self.position.device)
            self.table = self.table[:0]
            self.stale = True
        super()._load_from_state_dict(state_dict, prefix, *args)


class Histogram(Method):
    """Representation risk: −log-density of the features, from histograms of the last samples seen in training.

    Args:
        bins: Bins a feature.
        queue: Samples that the histograms are built on.
        smoothing: α, in the unit of a density; larger is nearer to uniform.
        on: "features" of the network, or its "inputs" if they are few numbers.

    Raises:
        InputError: if an argument is out of range.

    Source: Capsa's histogram wrapper, as MIT 6.S191 lab 3 (2023) uses it. Differs from it in: slots of the queue
    that no sample has filled are not counted, and the risk is −log-density where Capsa gives the density.
    """

    label = "histogram"
    kinds = ("representation",)

    def __init__(
        self,
        bins: int = 5,
        queue: int = 2000,
        smoothing: float = 1e-3,
        on: Literal["features", "inputs"] = "features",
    ) -> None:
        super().__init__()
        if on not in get_args(Literal["features", "inputs"]):
            raise InputError(f"on must be 'features' or 'inputs'; got {on!r}. Choose one of them.")
        self.on = on
        self.uses_features = self.on_features = on == "features"  # type: ignore[misc]
        self.running = RunningHistogram(bins, queue, smoothing)

    def observe(self, seen: Seen) -> None:
        self.running.push(self._codes(seen))

    def begin(self) -> None:
        self.running.forget()

    def finish(self) -> None:
        self.running.refresh()

    def risk(self, seen: Seen) -> Risk:
        log_density = self.running.log_prob(self._codes(seen))
        return Risk(representation=-log_density, raw={"log_density": log_density})

    def _codes(self, seen: Seen) -> Tensor:
        return seen.needed_features() if self.on == "features" else seen.inputs.flatten(1)


def _check_finite(codes: Tensor) -> None:
    if not bool(torch.isfinite(codes).all()):
        raise InputError(
            "Expected finite features; got NaN or infinity. Look for a broken input, or for weights that diverged."
        )
