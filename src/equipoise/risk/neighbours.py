"""Representation risk by neighbours: how far the features are from those of the training data."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise import density
from equipoise.density.neighbours import Metric
from equipoise.errors import InputError, NotFittedError
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Seen
from equipoise.risk.wrapped import Method
from equipoise.seeds import child_seed

__all__ = ["KeptRows", "Neighbours", "traced_log_prob"]


class KeptRows(nn.Module):
    """At most `rows` vectors: the last ones that came, or a random sample of all.

    Args:
        rows: How many are kept.
        seed: Of the sample.
    """

    values: Tensor
    position: Tensor

    def __init__(self, rows: int, seed: int) -> None:
        super().__init__()
        self.rows, self.seed = rows, seed
        self.register_buffer("values", torch.zeros(0, 0))
        self.register_buffer("position", torch.zeros(2, dtype=torch.int64))  # next slot, slots filled
        self.sampling, self.keys, self.came = False, torch.zeros(0), 0

    def sample_all(self) -> None:
        """Forget, and keep a random sample from now on, every vector as likely as any other."""
        self.position.zero_()
        self.sampling, self.keys, self.came = True, torch.zeros(0), 0

    def filled(self) -> Float[Tensor, "n k"]:
        """What is kept."""
        return self.values[: int(self.position[1])]

    def push(self, vectors: Float[Tensor, "batch k"]) -> None:
        """Take a batch in.

        Raises:
            InputError: if it is of another width than before.
        """
        if not self.values.numel():
            self.values = torch.zeros(self.rows, vectors.shape[1], device=vectors.device)
            self.position = self.position.to(vectors.device)
        if vectors.shape[1] != self.values.shape[1]:
            raise InputError(
                f"Expected {self.values.shape[1]} features, as before; got {vectors.shape[1]}. "
                "Use the same layer throughout."
            )
        vectors = vectors.to(self.values.dtype)
        if self.sampling:
            self._sample(vectors)
            return
        vectors = vectors[-self.rows :]
        count = len(vectors)
        place = (self.position[0] + torch.arange(count, device=vectors.device)) % self.rows
        self.values.index_copy_(0, place, vectors)
        self.position[0] = (self.position[0] + count) % self.rows
        self.position[1] = (self.position[1] + count).clamp(max=self.rows)

    def _sample(self, vectors: Tensor) -> None:
        """Every vector draws a key; those with the smallest are kept."""
        generator = torch.Generator().manual_seed(child_seed(self.seed, self.came))
        keys = torch.cat([self.keys, torch.rand(len(vectors), generator=generator, dtype=torch.float64)])
        chosen = keys.argsort()[: self.rows]
        count = len(chosen)
        self.values[:count] = torch.cat([self.filled(), vectors])[chosen.to(vectors.device)]
        self.keys, self.came = keys[chosen], self.came + len(vectors)
        self.position[0], self.position[1] = count % self.rows, count

    def _apply(self, fn: Any, recurse: bool = True) -> KeptRows:
        """Moves, but keeps single precision."""
        before = self.values
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.values = before.to(self.position.device)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "values")
        if saved is not None:  # as wide as was saved; another number of rows is an error of torch's own
            rows = self.rows if saved.numel() else 0
            self.values = torch.zeros(rows, saved.shape[-1], device=self.position.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


def traced_log_prob(
    reference: density.NeighbourDensity, features: Float[Tensor, "batch k"]
) -> Float[Tensor, " batch"]:
    """The reference's log-density in operations of torch alone, which can be exported; any k-th neighbour's."""
    points, n = reference.points, reference.points.shape[0]
    k = int(reference.k) if reference.k >= 1 else math.ceil(reference.k * n)
    codes = features.to(points.dtype)
    cosine = reference.metric == "cosine"
    placed = (nn.functional.normalize(codes, dim=1) if cosine else codes) - reference.centre
    squared = placed.square().sum(1, keepdim=True) + points.square().sum(1) - 2 * placed @ points.T
    distance = squared.topk(k, dim=1, largest=False).values[:, -1].clamp_min(0).sqrt()
    d = points.shape[1] - int(cosine and points.shape[1] > 1)
    constant = math.log(k / n) - d / 2 * math.log(math.pi) + math.lgamma(d / 2 + 1)
    return constant - d * distance.clamp_min(reference.nearest).log()


class Neighbours(Method):
    """Representation risk: −log-density of the features, by the distance to the k-th nearest of the training data.

    After `fit` the reference is a random sample of what was fitted. Training fills it with the last samples, because
    features of earlier ones no longer hold.

    Args:
        k: Which neighbour, a whole number; or a share of the reference in (0, 1).
        metric: "cosine", the chord between directions, or "euclidean".
        reference: Samples to compare with. The cost of a score grows with it.
        seed: Of the sample that `fit` takes.

    Raises:
        InputError: if an argument is out of range.

    Source: Sun, Ming, Zhu and Li, 2022, Out-of-Distribution Detection with Deep Nearest Neighbors. Differs from it in:
    the distance becomes a log-density in nats, which ranks the same; the reference is bounded.
    """

    label = "neighbours"
    kinds = ("representation",)
    uses_features = on_features = True

    def __init__(
        self, k: int | float = 20, metric: Metric = "cosine", reference: int = 4096, seed: int = 0
    ) -> None:
        super().__init__()
        density.NeighbourDensity(k, metric, reference=reference)  # checks them
        self.k, self.metric = k, metric
        self.kept = KeptRows(reference, child_seed(seed, "neighbours"))
        self.ready: list[density.NeighbourDensity] = []  # made anew from what is kept; not in state_dict

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"k={self.k}, metric={self.metric!r}, reference={self.kept.rows}"

    def begin(self) -> None:
        self.kept.sample_all()
        self.ready.clear()

    def observe(self, seen: Seen) -> None:
        self.kept.push(seen.needed_features())
        self.ready.clear()

    def finish(self) -> None:
        self.kept.sampling = False
        if not self.ready and self._enough():
            self.ready.append(
                density.NeighbourDensity(self.k, self.metric)
                .to(self.kept.values.device)
                .fit(self.kept.filled())
            )

    def risk(self, seen: Seen) -> Risk:
        features = seen.needed_features().detach()
        exporting = torch.compiler.is_exporting()
        if not (self.ready if exporting else self._enough()):
            got = "none that are ready" if exporting else int(self.kept.position[1])
            raise NotFittedError(
                f"Expected more than k = {self.k} samples to compare with; got {got}. "
                "Train, or call fit with training batches, first."
            )
        if not self.ready:
            self.finish()
        reference = self.ready[0]
        traced = exporting or torch.compiler.is_compiling()
        log_density = traced_log_prob(reference, features) if traced else reference.log_prob(features)
        log_density = log_density.to(features.dtype)
        return Risk(representation=-log_density, raw={"log_density": log_density})

    def _enough(self) -> bool:
        return int(self.kept.position[1]) > max(self.k, 1)

    def _apply(self, fn: Any, recurse: bool = True) -> Neighbours:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.ready.clear()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        self.ready.clear()
        super()._load_from_state_dict(state_dict, prefix, *args)
