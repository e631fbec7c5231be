"""Batches of equal shares of each class, the rows of a class drawn by weights that can be renewed, or uniformly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd
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

Rows = NDArray[np.int64]


class AdaptiveSampler(Sampler[list[int]]):
    """Row positions of batches balanced over classes: for `DataLoader(batch_sampler=...)` or a bare loop.

    Every class has the same share of the draws. Where the classes do not divide a batch, or a batch has fewer rows
    than there are classes, the rows that are left are dealt out in turn, so that shares are equal exactly over a few
    batches; the order of the turns is drawn anew each time round. Of two classes an odd batch has one more negative.

    Rows of a class are drawn by its weights one after another without replacement within the batch, or uniformly.
    Of more than two classes, one with fewer rows (with a weight above 0) than its share of a batch has each of them
    in it as often as it takes. Draws of different batches are independent, as in the labs. A batch costs O(batch),
    renewing the weights O(rows). Uniform until weights are given.

    A batch depends on the seed, its epoch, its step and the weights, and on nothing else. So every process of
    a distributed run draws the same batch and takes its own share of it, the shares together are the batch of
    a single process, and a restored sampler continues exactly. All processes must be given the same weights.

    Draws without replacement cannot follow weights that ask for a row more than once a batch: `draws` says what was
    drawn, and `Draws.shares` what weights come to.

    One pass of `for` yields what is left of the epoch: all `steps` of it, or after `load_state_dict` or a
    `break` the rest.

    Args:
        labels: Class id of each row, 0…K−1; of two classes 1 = positive, 0 = negative.
        batch_size: Rows of a batch over all processes.
        steps: Batches of an epoch; None for rows // batch_size, at least 1.
        seed: 0 or larger.
        rank: This process, 0…replicas−1.
        replicas: Processes. A batch, of two classes each half of it, must divide among them.

    Attributes:
        rows: Row positions of each class, by its id.

    Raises:
        InputError: if labels are not a vector of class ids, a class has no rows, or the data or the processes do not
            fit the batch.

    Source: MIT 6.S191 lab 2, `TrainingDatasetLoader.get_batch`. Differs from it in: its cost, that every class can be
    given weights, and any number of classes.

    Example:
        >>> sampler = AdaptiveSampler([1, 1, 1, 0, 0, 0], batch_size=2, steps=100)
        >>> sampler.renew({1: [0.0, 0.0, 1.0]})
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
        if batch_size < 2:
            raise InputError(f"batch_size must be at least 2, one of each class; got {batch_size}. Raise it.")
        if steps is not None and steps < 1:
            raise InputError(f"steps must be at least 1; got {steps}. None makes an epoch of all rows.")
        if replicas < 1 or not 0 <= rank < replicas:
            raise InputError(
                f"rank must be 0…replicas−1; got rank {rank} of {replicas}. Number the processes."
            )
        self.rows = _rows_by_class(labels, batch_size)
        self.batch_size, self.seed, self.rank, self.replicas = batch_size, seed, rank, replicas
        total, count = sum(rows.size for rows in self.rows), len(self.rows)
        self._whole, self._left = divmod(batch_size, count)
        shared = batch_size % replicas if count > 2 else self._left % replicas + self._whole % replicas
        if shared:
            raise InputError(
                f"{'A batch' if count > 2 else 'Each half of a batch'} must divide among {replicas} processes; got a "
                f"batch of {batch_size}. Use a multiple of {replicas if count > 2 else 2 * replicas}."
            )
        self.steps = steps if steps is not None else max(1, total // batch_size)
        self.epoch = 0
        self.step = 0
        self._key = child_seed(seed, "adaptive sampler")
        self._tables: dict[int, AliasTable] = {}
        self._counted = np.zeros(total, np.int64)  # of each row, the times it was drawn by weights
        self._batches = np.zeros(count, np.int64)  # of each class, the batches in which it was
        self._turns: tuple[int, Rows] = -1, np.zeros(0, np.int64)

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
    def weights(self) -> dict[int, NDArray[np.float64]]:
        """Class id → weights of its rows in row order, summing to 1; without classes that are drawn uniformly."""
        return {class_id: table.weights for class_id, table in self._tables.items()}

    @property
    def draws(self) -> dict[int, Draws]:
        """Class id → how often each of its rows was drawn, over all processes, in batches that were drawn by weights;
        of classes that have weights or had some."""
        more = self._left / len(self.rows) if len(self.rows) > 2 else 0.0
        return {
            class_id: Draws(self._least(class_id), int(batches), self._counted[self.rows[class_id]], more)
            for class_id, batches in enumerate(self._batches)
            if batches or class_id in self._tables
        }

    def renew(self, weights: Mapping[int, ArrayLike | Tensor] | None) -> None:
        """Draw by these weights from the next batch on.

        Args:
            weights: Class id → one a row of that class, in row order, finite and ≥ 0; need not sum to 1. A class that
                is left out is drawn uniformly; None draws all of them so.

        Raises:
            InputError: if there is no such class, a length is wrong, a weight is negative or not finite, or too few
                rows have a weight above 0: one at least, of two classes as many as a batch needs. The weights stay as
                they were.
        """
        if weights is not None and not isinstance(weights, Mapping):
            raise InputError(
                f"Expected a mapping from class ids to weights; got {type(weights).__name__}. "
                "For weights of the positives write {1: weights}."
            )
        given = dict(weights or {})
        if unknown := [class_id for class_id in given if class_id not in range(len(self.rows))]:
            raise InputError(
                f"Expected weights of classes 0…{len(self.rows) - 1}; got some of {unknown[:5]}. Check the class ids."
            )
        two = len(self.rows) == 2
        self._tables = {
            int(class_id): _table(
                values,
                self.rows[class_id],
                self._least(class_id) if two else 1,
                _named(class_id, two=two),
            )
            for class_id, values in sorted(given.items())
        }

    def state_dict(self, *, step: int | None = None) -> dict[str, Any]:
        """Everything the rest of the run depends on: whole numbers, and arrays.

        Args:
            step: Batches of this epoch that were trained on, if fewer than were drawn: the workers of a
                `DataLoader` draw ahead. None for all that were drawn.

        Returns:
            `weights`, one a row, NaN where a class is drawn uniformly, is None if all are; `drawn` counts rows,
            `drawn_batches` batches of each class.
        """
        counted, batches = self._counted.copy(), self._batches.copy()
        for ahead in range(self.step if step is None else step, self.step):
            self._count(self._drawn(ahead), counted, batches, times=-1)
        weights = np.full(counted.size, np.nan) if self._tables else None
        for class_id, table in self._tables.items():
            weights[self.rows[class_id]] = table.weights  # type: ignore[index]
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "rows": int(counted.size),
            "classes": len(self.rows),
            "epoch": self.epoch,
            "step": self.step if step is None else step,
            "weights": weights,
            "drawn": counted,
            "drawn_batches": batches,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another sampler over the same rows stood; ranks and replicas may differ.

        States of the versions that knew two classes are read too.

        Raises:
            InputError: if that sampler was set up otherwise, or its weights do not fit.
        """
        mine, earlier = self.state_dict(), "classes" not in state
        missing = sorted(
            set(mine) - set(state) - ({"classes", "drawn", "drawn_batches"} if earlier else set())
        )
        if missing:
            raise InputError(
                f"Expected a sampler's state; got one without {missing}. Save it with state_dict."
            )
        for name in ("seed", "batch_size", "steps", "rows", "classes"):
            found = 2 if earlier and name == "classes" else int(state[name])
            if found != mine[name]:
                raise InputError(
                    f"Expected the state of a sampler with {name} {mine[name]}; got {name} {found}. "
                    "Resume with the settings and the data of the first run."
                )
        counted, batches = np.zeros_like(self._counted), np.zeros_like(self._batches)
        if earlier:
            named = {1: (state["weights"], "positives"), 0: (state.get("negative_weights"), "negatives")}
            self.renew({class_id: values for class_id, (values, _) in named.items() if values is not None})
            for class_id, (_, name) in named.items():  # the first versions counted nothing
                counted[self.rows[class_id]] = state.get(f"drawn_{name}", 0)
                batches[class_id] = counted[self.rows[class_id]].sum() // self._least(class_id)
        else:
            self.renew(self._by_class(state["weights"]))
            counted[:], batches[:] = state["drawn"], state["drawn_batches"]
        self.epoch, self.step = int(state["epoch"]), int(state["step"])
        self._counted, self._batches = counted, batches

    def _by_class(self, weights: ArrayLike | None) -> dict[int, NDArray[np.float64]]:
        if weights is None:
            return {}
        values = np.asarray(weights, np.float64)
        if values.shape != self._counted.shape:
            raise InputError(
                f"Expected one weight for each of {self._counted.size} rows; got shape {values.shape}. "
                "Save the state with state_dict."
            )
        parts = {class_id: values[rows] for class_id, rows in enumerate(self.rows)}
        return {class_id: part for class_id, part in parts.items() if not np.isnan(part).all()}

    def _batch(self) -> list[int]:
        drawn = self._drawn(self.step)
        self._count(drawn, self._counted, self._batches)
        rows: list[int] = [row for class_id, places in drawn for row in self.rows[class_id][places].tolist()]
        return rows[self.rank :: self.replicas]

    def _least(self, class_id: int) -> int:
        """Rows of a class that every batch has."""
        return self._whole + (self._left if len(self.rows) == 2 and class_id == 0 else 0)

    def _shares(self, step: int) -> list[tuple[int, int]]:
        """Classes of a batch of this epoch, ids descending, and how many rows of each."""
        count = len(self.rows)
        shares = {class_id: self._least(class_id) for class_id in range(count if self._whole else 0)}
        if count > 2 and self._left:
            batch, length = self.epoch * self.steps + step, count // gcd(count, self._left)
            around, place = divmod(batch, length)  # after so many batches all had the same number of turns
            if self._turns[0] != around:
                key = child_seed(self.seed, "turns of classes", around)
                self._turns = around, np.random.Generator(np.random.Philox(key=key)).permutation(count)
            for turn in range(place * self._left, (place + 1) * self._left):
                class_id = int(self._turns[1][turn % count])
                shares[class_id] = shares.get(class_id, 0) + 1
        return sorted(shares.items(), reverse=True)

    def _drawn(self, step: int) -> list[tuple[int, Rows]]:
        """Classes of a batch of this epoch, over all processes, and their rows as places among those of the class."""
        counter = np.array([0, 0, step, self.epoch], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=self._key, counter=counter))
        return [
            (class_id, self._places(class_id, count, generator)) for class_id, count in self._shares(step)
        ]

    def _places(self, class_id: int, count: int, generator: np.random.Generator) -> Rows:
        table, rows = self._tables.get(class_id), self.rows[class_id]
        repeated = np.zeros(0, np.int64)
        if count > (rows.size if table is None else table.drawable):
            everything = np.arange(rows.size) if table is None else np.flatnonzero(table.weights)
            times, count = divmod(count, everything.size)
            repeated = np.tile(everything, times)
        if table is None:
            places: Rows = generator.choice(rows.size, count, replace=False)
        elif count == 1 and len(self.rows) > 2:  # two classes draw as the first versions did
            places = table.draw(1, generator)
        else:
            places = table.draw_distinct(count, generator)
        return np.concatenate([repeated, places]) if repeated.size else places

    def _count(self, drawn: list[tuple[int, Rows]], counted: Rows, batches: Rows, times: int = 1) -> None:
        """Count what was drawn by weights."""
        for class_id, places in drawn:
            if class_id in self._tables:
                np.add.at(counted, self.rows[class_id][places], times)
                batches[class_id] += times


def _rows_by_class(labels: ArrayLike | Tensor, batch_size: int) -> list[Rows]:
    """Row positions of each class.

    Raises:
        InputError: if labels are no class ids, a class has no rows, or one of two too few for its half of a batch.
    """
    given = np.asarray(labels)
    ids = given.astype(np.int64) if given.ndim == 1 and given.dtype.kind in "biuf" else None
    if ids is None or not (ids == given).all() or ids.min(initial=0) < 0:
        wrong = [] if ids is None else np.unique(given[(ids != given) | (ids < 0)])[:5].tolist()
        raise InputError(
            f"Labels must be a vector of class ids 0…K−1 (of two classes 1 = positive, 0 = negative); got shape "
            f"{given.shape}{f' with {wrong}' if wrong else ''}. Number the classes."
        )
    found, count = np.unique(ids), max(2, int(ids.max(initial=0)) + 1)
    if count == 2:
        rows = [np.flatnonzero(ids == class_id) for class_id in (0, 1)]
        for class_id, needed in ((1, batch_size // 2), (0, batch_size - batch_size // 2)):
            if rows[class_id].size < needed:
                raise InputError(
                    f"A batch of {batch_size} needs {needed} different {_named(class_id, two=True)}s; got "
                    f"{rows[class_id].size} in {ids.size} rows. Use a smaller batch or more data."
                )
        return rows
    if len(found) < count:
        absent = int(np.flatnonzero(found != np.arange(len(found)))[0])
        raise InputError(
            f"Every class needs rows; got {len(found)} of {count} classes, and no row of class {absent}. "
            "Add some, or number the classes that there are from 0."
        )
    return np.split(np.argsort(ids, kind="stable"), np.cumsum(np.bincount(ids))[:-1])


def _named(class_id: int, *, two: bool) -> str:
    return ("negative", "positive")[class_id] if two else f"class {class_id} row"


def _table(values: ArrayLike | Tensor, rows: Rows, needed: int, name: str) -> AliasTable:
    weights = np.asarray(values).astype(np.float64)
    if weights.shape != rows.shape:
        raise InputError(
            f"Expected one weight for each of {rows.size} {name}s, in row order; got shape "
            f"{weights.shape}. Weigh the {name}s only, all of them."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        row = int(np.flatnonzero(~np.isfinite(weights) | (weights < 0))[0])
        raise InputError(
            f"Weights must be finite and 0 or larger; got {weights[row]} for {name} {row}. "
            "Look at the latents they come from."
        )
    drawable = int((weights > 0).sum())
    if drawable < needed or not np.isfinite(weights.sum()):
        raise InputError(
            f"A batch needs {needed} different {name}s; got weights above 0 for {drawable}, "
            f"sum {weights.sum():g}. Temper the weights to a larger effective sample size."
        )
    return AliasTable(weights)
