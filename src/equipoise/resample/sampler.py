"""Batches in which half are positives, drawn by weights that can be renewed, and half negatives, which may be too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Sampler

from equipoise.errors import InputError
from equipoise.resample.alias import AliasTable
from equipoise.resample.inclusion import Draws
from equipoise.seeds import child_seed

__all__ = ["AdaptiveSampler"]


class AdaptiveSampler(Sampler[list[int]]):
    """Row positions of balanced batches: for `DataLoader(batch_sampler=...)` or a bare loop.

    Half of a batch are positives, drawn by the weights one after another without replacement within the
    batch; the others are negatives, drawn likewise if they were given weights and uniformly if not. Draws of
    different batches are independent, as in the labs. A batch costs O(batch), renewing the weights O(positives).
    Uniform until weights are given.

    A batch depends on the seed, its epoch, its step and the weights, and on nothing else. So every process of
    a distributed run draws the same batch and takes its own share of it, the shares together are the batch of
    a single process, and a restored sampler continues exactly. All processes must be given the same weights.

    Draws without replacement cannot follow weights that ask for a row more than once a batch: `inclusion_probabilities`
    says what weights come to, and `draws` what was drawn.

    One pass of `for` yields what is left of the epoch: all `steps` of it, or after `load_state_dict` or a
    `break` the rest.

    Args:
        labels: 1 = positive, 0 = negative, one a row.
        batch_size: Rows of a batch over all processes; an odd one has one more negative.
        steps: Batches of an epoch; None for rows // batch_size, at least 1.
        seed: 0 or larger.
        rank: This process, 0…replicas−1.
        replicas: Processes. Each half of a batch must divide among them.

    Raises:
        InputError: if labels are not a vector of 0 and 1, or the data or the processes do not fit the batch.

    Source: MIT 6.S191 lab 2, `TrainingDatasetLoader.get_batch`. Differs from it in: its cost, and that
    negatives can be given weights too.

    Example:
        >>> sampler = AdaptiveSampler([1, 1, 1, 0, 0, 0], batch_size=2, steps=100)
        >>> sampler.renew([0.0, 0.0, 1.0])
        >>> {batch[0] for batch in sampler}
        {2}
    """

    def __init__(
        self,
        labels: ArrayLike | Tensor,
        *,
        batch_size: int,
        steps: int | None = None,
        seed: int = 0,
        rank: int = 0,
        replicas: int = 1,
    ) -> None:
        classes = np.asarray(labels)
        if classes.ndim != 1 or not np.isin(classes, (0, 1)).all():
            wrong = np.unique(classes[~np.isin(classes, (0, 1))])[:5].tolist() if classes.ndim == 1 else []
            raise InputError(
                f"Labels must be a vector of 1 (positive) and 0 (negative); got shape {classes.shape}"
                f"{f' with {wrong}' if wrong else ''}. Choose one class as the positives."
            )
        if batch_size < 2:
            raise InputError(f"batch_size must be at least 2, one of each class; got {batch_size}. Raise it.")
        if steps is not None and steps < 1:
            raise InputError(f"steps must be at least 1; got {steps}. None makes an epoch of all rows.")
        self.positives = np.flatnonzero(classes == 1)
        self.negatives = np.flatnonzero(classes == 0)
        self._halves = batch_size // 2, batch_size - batch_size // 2
        named = zip(("positives", "negatives"), (self.positives, self.negatives), self._halves, strict=True)
        for name, rows, needed in named:
            if rows.size < needed:
                raise InputError(
                    f"A batch of {batch_size} needs {needed} different {name}; got {rows.size} in "
                    f"{classes.size} rows. Use a smaller batch or more data."
                )
        if replicas < 1 or not 0 <= rank < replicas:
            raise InputError(
                f"rank must be 0…replicas−1; got rank {rank} of {replicas}. Number the processes."
            )
        if any(half % replicas for half in self._halves):
            raise InputError(
                f"Each half of a batch must divide among {replicas} processes; got a batch of {batch_size}. "
                f"Use a multiple of {2 * replicas}."
            )
        self.batch_size, self.seed, self.rank, self.replicas = batch_size, seed, rank, replicas
        self.steps = steps if steps is not None else max(1, classes.size // batch_size)
        self.epoch = 0
        self.step = 0
        self._key = child_seed(seed, "adaptive sampler")
        self._table: AliasTable | None = None
        self._negative_table: AliasTable | None = None
        self._counted = {name: np.zeros(rows.size, np.int64) for name, rows in self._rows().items()}

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        if self.step >= self.steps:
            self.epoch, self.step = self.epoch + 1, 0
        while self.step < self.steps:
            batch = self._batch()
            self.step += 1
            yield batch
        self.epoch, self.step = self.epoch + 1, 0

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """Weights of the positives in row order, summing to 1; None while sampling is uniform."""
        return None if self._table is None else self._table.weights

    @property
    def negative_weights(self) -> NDArray[np.float64] | None:
        """Weights of the negatives likewise."""
        return None if self._negative_table is None else self._negative_table.weights

    @property
    def draws(self) -> Draws:
        """How often each positive was drawn, over all processes, in the batches that were drawn by weights."""
        return self._draws("positives", self._halves[0])

    @property
    def negative_draws(self) -> Draws:
        """The same of the negatives."""
        return self._draws("negatives", self._halves[1])

    def _draws(self, name: str, batch: int) -> Draws:
        counts = self._counted[name].copy()
        return Draws(batch, int(counts.sum()) // batch, counts)

    def _rows(self) -> dict[str, NDArray[np.int64]]:
        return {"positives": self.positives, "negatives": self.negatives}

    def renew(
        self, weights: ArrayLike | Tensor | None, negative_weights: ArrayLike | Tensor | None = None
    ) -> None:
        """Draw by these weights from the next batch on; None for uniformly.

        Args:
            weights: One a positive, in row order, finite and ≥ 0; need not sum to 1.
            negative_weights: One a negative, likewise.

        Raises:
            InputError: if a length is wrong, a weight is negative or not finite, or fewer rows of a class than
                a batch needs have a weight above 0. The weights stay as they were.
        """
        half, others = self._halves
        tables = (
            _table(weights, self.positives, half, "positive"),
            _table(negative_weights, self.negatives, others, "negative"),
        )
        self._table, self._negative_table = tables

    def state_dict(self, *, step: int | None = None) -> dict[str, Any]:
        """Everything the rest of the run depends on: whole numbers, and the weights as an array or None.

        Args:
            step: Batches of this epoch that were trained on, if fewer than were drawn: the workers of a
                `DataLoader` draw ahead. None for all that were drawn.
        """
        weights, negative_weights = self.weights, self.negative_weights
        counts = {name: counted.copy() for name, counted in self._counted.items()}
        for ahead in range(self.step if step is None else step, self.step):
            self._count(counts, *self._drawn(ahead), times=-1)
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "rows": int(self.positives.size + self.negatives.size),
            "epoch": self.epoch,
            "step": self.step if step is None else step,
            "weights": None if weights is None else weights.copy(),
            "negative_weights": None if negative_weights is None else negative_weights.copy(),
            **{f"drawn_{name}": counted for name, counted in counts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another sampler over the same rows stood; ranks and replicas may differ.

        Raises:
            InputError: if that sampler was set up otherwise, or its weights do not fit.
        """
        mine = self.state_dict()
        counts = {f"drawn_{name}" for name in self._counted}  # earlier versions counted nothing
        missing = sorted(set(mine) - set(state) - counts - {"negative_weights"})
        if missing:
            raise InputError(
                f"Expected a sampler's state; got one without {missing}. Save it with state_dict."
            )
        for name in ("seed", "batch_size", "steps", "rows"):
            if int(state[name]) != mine[name]:
                raise InputError(
                    f"Expected the state of a sampler with {name} {mine[name]}; got {name} {state[name]}. "
                    "Resume with the settings and the data of the first run."
                )
        self.renew(state["weights"], state.get("negative_weights"))
        self.epoch, self.step = int(state["epoch"]), int(state["step"])
        for name, counted in self._counted.items():
            counted[:] = state.get(f"drawn_{name}", 0)

    def _batch(self) -> list[int]:
        positives, negatives = self._drawn(self.step)
        self._count(self._counted, positives, negatives)
        mine = slice(self.rank, None, self.replicas)
        rows: list[int] = [
            *self.positives[positives[mine]].tolist(),
            *self.negatives[negatives[mine]].tolist(),
        ]
        return rows

    def _drawn(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positives and negatives of a batch of this epoch, over all processes, as places among their kind."""
        counter = np.array([0, 0, step, self.epoch], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=self._key, counter=counter))
        half, others = self._halves
        if self._table is None:
            positives = generator.choice(self.positives.size, half, replace=False)
        else:
            positives = self._table.draw_distinct(half, generator)
        if self._negative_table is None:
            negatives = generator.choice(self.negatives.size, others, replace=False)
        else:
            negatives = self._negative_table.draw_distinct(others, generator)
        return positives, negatives

    def _count(
        self,
        counts: Mapping[str, NDArray[np.int64]],
        positives: NDArray[np.int64],
        negatives: NDArray[np.int64],
        times: int = 1,
    ) -> None:
        """Count a batch, without replacement, where it was drawn by weights."""
        if self._table is not None:
            counts["positives"][positives] += times
        if self._negative_table is not None:
            counts["negatives"][negatives] += times


def _table(
    weights: ArrayLike | Tensor | None, rows: NDArray[np.int64], needed: int, name: str
) -> AliasTable | None:
    if weights is None:
        return None
    values = np.asarray(weights).astype(np.float64)
    if values.shape != rows.shape:
        raise InputError(
            f"Expected one weight for each of {rows.size} {name}s, in row order; got shape "
            f"{values.shape}. Weigh the {name}s only, all of them."
        )
    if not np.isfinite(values).all() or (values < 0).any():
        row = int(np.flatnonzero(~np.isfinite(values) | (values < 0))[0])
        raise InputError(
            f"Weights must be finite and 0 or larger; got {values[row]} for {name} {row}. "
            "Look at the latents they come from."
        )
    drawable = int((values > 0).sum())
    if drawable < needed or not np.isfinite(values.sum()):
        raise InputError(
            f"A batch needs {needed} different {name}s; got weights above 0 for {drawable}, "
            f"sum {values.sum():g}. Temper the weights to a larger effective sample size."
        )
    return AliasTable(values)
