"""`ClassCounts`: how many images of each class and group a model takes for what, and so all that numbers rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.class_calls import called_classes, checked_classes, class_ids
from equipoise.fairness.scored import attributes_of
from equipoise.groups import Groups
from equipoise.intervals import Proportions

__all__ = ["ALL_TOLD", "FREQUENT", "ClassCells", "ClassCounts", "Mistakes"]

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FREQUENT = 5
"""Classes that wrong images are taken for, which are told by name."""
ALL_TOLD = 12
"""Up to so many classes all are told: then what is taken for what is a whole matrix."""
MOST_GROUPS = 20_000
MODEL = "model"
"""Name of a model that was given none."""
DENSE = 4  # possible rows of a table for each that was given, up to which they are counted without sorting
KEYS = 1 << 62  # of a whole number
EXACT = 1 << 53  # images: sums of doubles count them all


class Mistakes(TypedDict):
    """What wrong images are taken for: class → how many, the 5 most frequent (of up to 12 classes all); and how many
    for all `other` classes."""

    taken_for: dict[str, int]
    other: int


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Rows that differ from each other, and how many images each stands for; build it with `ClassCounts.of`.

    All numbers of `evaluate_classes` and `compare_classes` rest on these counts, their intervals too, so that what they
    cost grows with the cells that occur, not with images.

    Args:
        labels: Class id of each row, shape (m,).
        called: Model → class id that it gives, likewise.
        classes: Name of each id.
        groups: One `Groups` an attribute, likewise.
        times: Images of each row, at least 1.
        ties: Model → images whose highest score several classes share.
    """

    labels: Ints
    called: Mapping[str, Ints]
    classes: tuple[str, ...]
    groups: tuple[Groups, ...]
    times: Ints
    ties: Mapping[str, int]

    @classmethod
    def of(
        cls,
        predicted: ArrayLike | Mapping[str, ArrayLike],
        labels: ArrayLike,
        groups: Groups | Sequence[Groups] = (),
        *,
        classes: Sequence[str],
        times: ArrayLike | None = None,
    ) -> ClassCounts:
        """Count images; there may be none, as in an empty shard.

        Args:
            predicted: As `evaluate_classes` takes it, or model → such, of the same images. Of two classes with one
                score it is `probabilities >= threshold`.
            labels: True class of each image, ids 0…K−1.
            groups: One `Groups` an attribute, over all images.
            classes: Names of the classes, by id.
            times: How many images each row stands for, shape (n,), where rows were counted elsewhere; None counts each
                once.

        Raises:
            InputError: as `evaluate_classes`, or if `times` are no whole numbers of 0 or more.

        Example:
            >>> site = Groups.from_column(["a", "b", "a"], attribute="site")
            >>> counts = ClassCounts.of([0, 1, 0], [0, 0, 0], site, classes=["cat", "dog"])
            >>> counts.labels.tolist(), counts.called["model"].tolist(), counts.times.tolist()
            ([0, 0], [0, 1], [2, 1])
        """
        names = checked_classes(classes)
        truth = class_ids(labels, len(names), "Labels")
        models = dict(predicted) if isinstance(predicted, Mapping) else {MODEL: predicted}
        if not models:
            raise InputError(
                "Expected what a model predicts; got no model. Give predicted classes or scores."
            )
        found = {model: called_classes(values, len(names)) for model, values in models.items()}
        for called, _ in found.values():
            attributes_of((), {"labels": len(truth)}, len(called), intersections=False)
        attributes = attributes_of(groups, {"labels": len(truth)}, len(truth), intersections=False)
        _check_few(attributes)
        counted = _checked_times(times, len(truth))
        return cls(
            truth,
            {model: called for model, (called, _) in found.items()},
            names,
            attributes,
            counted,
            {model: ties for model, (_, ties) in found.items()},
        )._distinct()

    def merge(self, other: ClassCounts) -> ClassCounts:
        """Counts of both sets of images, exactly as if they had come together; groups are joined by name.

        Raises:
            InputError: if they are of other classes, models or attributes, or a group's value is known on one side
                only.
        """
        for what, mine, theirs in (
            ("classes", self.classes, other.classes),
            ("models", tuple(self.called), tuple(other.called)),
            ("attributes", self._attributes, other._attributes),
        ):
            if mine != theirs:
                raise InputError(
                    f"Counts that merge must be of the same {what}, in one order; got {_few(mine)} and "
                    f"{_few(theirs)}. Count both alike."
                )
        return ClassCounts(
            np.concatenate([self.labels, other.labels]),
            {model: np.concatenate([called, other.called[model]]) for model, called in self.called.items()},
            self.classes,
            tuple(one.joined(two) for one, two in zip(self.groups, other.groups, strict=True)),
            np.concatenate([self.times, other.times]),
            {model: ties + other.ties[model] for model, ties in self.ties.items()},
        )._distinct()

    @property
    def images(self) -> int:
        """Images in all."""
        return int(self.times.sum())

    @property
    def of_classes(self) -> Ints:
        """Images of each class, shape (k,)."""
        return self.count(self.labels, len(self.classes))

    def of_groups(self, groups: Groups) -> Ints:
        """Images of each group of an attribute."""
        return self.count(groups.ids, len(groups.names))

    def count(self, ids: Ints, many: int, rows: Flags | slice = slice(None)) -> Ints:
        """Images of each id 0…many−1; `rows` chooses some."""
        return np.bincount(ids[rows], self.times[rows], many).astype(np.int64)

    def right(self, model: str) -> Flags:
        """Whether a model calls the images of each row right, shape (m,)."""
        return np.asarray(self.labels == self.called[model])

    def mistakes(self, model: str, keys: Ints, rows: Flags) -> dict[int, Mistakes]:
        """Key, for example true class, → what its images are taken for, most frequent first, then by class id.

        Args:
            model: Whose mistakes.
            keys: One a row, shape (m,).
            rows: Those that are wrong.
        """
        if not rows.any():
            return {}
        k = len(self.classes)
        pairs, places = np.unique(keys[rows] * k + self.called[model][rows], return_inverse=True)
        counts = np.bincount(places.reshape(-1), self.times[rows]).astype(np.int64)
        owners, takers = pairs // k, pairs % k
        order = np.lexsort((takers, -counts, owners))
        owners, takers, counts = owners[order], takers[order], counts[order]
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        totals = np.add.reduceat(counts, starts)
        ends = np.append(starts[1:], len(owners))
        found: dict[int, Mistakes] = {}
        most = k if k <= ALL_TOLD else FREQUENT
        for start, end, total in zip(starts, ends, totals, strict=True):
            told = range(start, min(end, start + most))
            taken = {self.classes[takers[i]]: int(counts[i]) for i in told}
            found[int(owners[start])] = {"taken_for": taken, "other": int(total) - sum(taken.values())}
        return found

    def crossed(self, intersections: bool) -> ClassCounts:
        """The same with the pairwise intersections of the attributes, if asked for.

        Raises:
            InputError: if an attribute has more groups than can be compared, or there is no image.
        """
        if not len(self.times):
            raise InputError("Numbers need at least one image; got none. Check which rows were chosen.")
        rows = len(self.labels)
        attributes = attributes_of(self.groups, {}, rows, intersections=intersections)
        _check_few(attributes)
        return replace(self, groups=attributes)

    @property
    def _attributes(self) -> tuple[str, ...]:
        return tuple(groups.attribute for groups in self.groups)

    def _distinct(self) -> ClassCounts:
        """Rows that are alike as one, in an order of their own; without rows of no image."""
        columns = [(self.labels, len(self.classes))]
        columns += [(called, len(self.classes)) for called in self.called.values()]
        columns += [(groups.ids, len(groups.names)) for groups in self.groups]
        keys, possible = np.zeros(len(self.labels), np.int64), 1
        for ids, many in columns:
            if possible > KEYS // max(1, many):
                keys, possible = _numbered(keys)
            keys, possible = keys * many + ids, possible * many
        if possible > DENSE * len(keys):
            keys, possible = _numbered(keys)
        times = np.bincount(keys, self.times, possible).astype(np.int64)
        row = np.zeros(len(times), np.int64)
        row[keys] = np.arange(len(keys))  # one of those that are alike
        there = np.flatnonzero(times)
        rows = row[there]
        return replace(
            self,
            labels=self.labels[rows],
            called={model: called[rows] for model, called in self.called.items()},
            groups=tuple(groups.take(rows) for groups in self.groups),
            times=times[there],
        )


@dataclass(frozen=True, eq=False)
class ClassCells:
    """Class × group cells that have images, c of them, ordered by group, then class.

    Args:
        counts: Of the images.
        classes: Class id of each cell, shape (c,).
        groups: Group id of each cell, shape (c,).
        of_row: Cell of each row of the counts, shape (m,).
        n: Images of each cell, shape (c,).
    """

    counts: ClassCounts
    classes: Ints
    groups: Ints
    of_row: Ints
    n: Ints

    @classmethod
    def of(cls, counts: ClassCounts, groups: Groups) -> ClassCells:
        """The cells of an attribute; what it takes grows with rows of the counts, not with possible cells."""
        k = len(counts.classes)
        keys, places = np.unique(groups.ids * k + counts.labels, return_inverse=True)
        of_row = places.reshape(-1)
        return cls(counts, keys % k, keys // k, of_row, counts.count(of_row, len(keys)))

    def known(self, groups: Groups) -> Ints:
        """Positions of the cells whose group is known, which are compared."""
        return np.flatnonzero(~np.isin(self.groups, list(groups.unknown)))

    def recall(self, right: Flags) -> Proportions:
        """Share of each cell's images that are called right."""
        return Proportions(self.counts.count(self.of_row, len(self.n), right), self.n)


def _numbered(keys: Ints) -> tuple[Ints, int]:
    """Keys that occur as 0, 1, …, in their order, and how many there are."""
    seen, places = np.unique(keys, return_inverse=True)
    return places.reshape(-1).astype(np.int64), len(seen)


def _checked_times(times: ArrayLike | None, rows: int) -> Ints:
    if times is None:
        return np.ones(rows, np.int64)
    given = np.asarray(times)
    if given.shape != (rows,) or given.dtype.kind not in "iu" or (given < 0).any():
        what = f"{int(given.min())} among them" if given.dtype.kind in "iu" and given.size else given.dtype
        raise InputError(
            f"Expected `times` as how many images each of {rows} rows stands for, whole numbers of 0 or more; got "
            f"shape {given.shape}, {what}. Count them as integers."
        )
    if given.sum(dtype=np.float64) > EXACT:
        raise InputError(
            f"Expected at most {EXACT:,} images; got {given.sum(dtype=np.float64):.3g}. Check `times`."
        )
    return given.astype(np.int64)


def _check_few(attributes: Sequence[Groups]) -> None:
    for attribute in attributes:
        if len(attribute.names) > MOST_GROUPS:
            raise InputError(
                f"Expected at most {MOST_GROUPS:,} groups of an attribute, since each is compared with each; got "
                f"{len(attribute.names):,} of {attribute.attribute!r}. Leave it out if it names single images, or "
                "leave out intersections."
            )


def _few(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > 10 else ""
    return f"[{', '.join(map(repr, names[:10]))}{more}]"
