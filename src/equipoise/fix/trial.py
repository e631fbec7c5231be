"""Every candidate on rows that it has not seen, by several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.fix.folds import folds
from equipoise.fix.merit import cell_accuracies, merged, merit, reference_layers, worst_cell
from equipoise.fix.registry import FIXES, fix_named
from equipoise.fix.regression import logits_of, predicted
from equipoise.fix.rows import FINDING, Known, Rows
from equipoise.seeds import checked_seed, child_seed

__all__ = ["LEAVE", "Candidate", "Plan", "Trial", "Tried", "settings_to_try"]

#: Name of the choice to leave the network as it is.
LEAVE = "leave it"
Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]
Tried = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """How much is tried.

    Args:
        classes: K; None takes the largest label.
        parts: Folds.
        seeds: How often rows are shared out anew.
        seed: Decides all of it.
        price: Share of all rows, in [0, 1], that a candidate may be right on less often than "leave it"; None lets any
            be lost.
        most: Rows that the choice is made on.
    """

    classes: int | None = None
    parts: int = FINDING
    seeds: int = 3
    seed: int = 0
    price: float | None = None
    most: int = 50_000

    def __post_init__(self) -> None:
        for name, least in (("parts", 2), ("seeds", 1), ("most", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}; got {getattr(self, name)}. Leave it out.")
        checked_seed(self.seed)
        if self.price is not None and not 0 <= self.price <= 1:  # NaN is refused too
            raise InputError(
                f"price must be a share of images in [0, 1]; got {self.price}. 0.01 lets one in a hundred be lost."
            )


@dataclass(frozen=True)
class Candidate:
    """What was tried, and what it is worth on rows that it was not fitted on.

    Args:
        method: A name in `FIXES`, or "leave it".
        settings: Of the method.
        merit: What the choice goes by, in [0, 1], larger is better: the mean of the worst found cell and, 2.5 times, of
            the mean recall of classes (`merit`), or the worst given cell.
        merits: Of each seed.
        accuracy: Share of all rows that is right.
        balanced: Mean over classes of their recall.
        worst_class: Recall of the worst class.
        worst_group: Accuracy of the worst cell of class × group, if groups are known; None if not.
        may_win: False of methods that need groups where these only measure, and of what is beyond the price.
    """

    method: str
    settings: dict[str, Any]
    merit: float
    merits: tuple[float, ...]
    accuracy: float
    balanced: float
    worst_class: float
    worst_group: float | None
    may_win: bool = True

    @property
    def name(self) -> str:
        """Method and settings in one line."""
        words = {True: "equal classes first", False: "plain first stage"}
        parts = [
            words[value] if isinstance(value, bool) else f"{name} {value:g}"
            for name, value in self.settings.items()
        ]
        said = ", ".join(parts)
        return f"{self.method} ({said})" if said else self.method


class Trial:
    """Which rows each candidate gets right, and the cells that it is judged by, one of each a seed."""

    def __init__(
        self, rows: Rows, tried: list[Tried], current: Ids | None, by_groups: bool, plan: Plan
    ) -> None:
        self.rows, self.tried, self.by_groups = rows, tried, by_groups
        self.groups = _cells_of_groups(rows)
        self.price = plan.price
        self.cells: list[list[Ids]] = []
        self.right: list[list[Bools]] = [[] for _ in tried]
        self.errors = len(rows)
        for number in range(plan.seeds):
            self._once(rows.seeded(child_seed(plan.seed, "choose", number)), plan.parts)
        if current is not None:
            self.tried = [*tried, (LEAVE, {})]
            self.right.append([current == rows.labels] * plan.seeds)

    def _once(self, rows: Rows, parts: int) -> None:
        known = rows.labels if rows.known.groups is None else 2 * rows.labels + (rows.known.groups >= 0)
        place = folds(known, rows.units, parts, child_seed(rows.seed, "parts"))
        said = np.empty((len(self.tried), len(rows)), np.int64)
        wrong = np.empty((0, len(rows)), bool)
        for part in range(parts):
            fitted, seen = rows.take(place != part), place == part
            some = rows.coordinates[seen]
            for index, (method, settings) in enumerate(self.tried):
                said[index, seen] = predicted(logits_of(some, FIXES[method](fitted, **settings)))
            layers = [] if self.by_groups else reference_layers(fitted)
            wrong = wrong if len(wrong) else np.zeros((len(layers), len(rows)), bool)
            for index, layer in enumerate(layers):
                wrong[index, seen] = predicted(logits_of(some, layer)) != rows.labels[seen]
        for index, one in enumerate(said):
            self.right[index].append(one == rows.labels)
        if self.by_groups and self.groups is not None:
            self.cells.append([self.groups])
        else:
            self.errors = min(self.errors, int(wrong.sum(1).max()))
            self.cells.append([merged(2 * rows.labels + some) for some in wrong])

    def candidates(self) -> list[Candidate]:
        """All; without a network as it is, the plain layer that is most often right stands for it."""
        found = [self._candidate(index) for index in range(len(self.tried))]
        if not any(one.method == LEAVE for one in found):
            best = max((one for one in found if one.method == "plain"), key=lambda one: one.accuracy)
            index = found.index(best)
            self.tried.append((LEAVE, best.settings))
            self.right.append(self.right[index])
            found.append(replace(best, method=LEAVE))
        left = next(one for one in found if one.method == LEAVE)
        return [replace(one, may_win=one.may_win and self._affordable(one, left)) for one in found]

    def _affordable(self, one: Candidate, left: Candidate) -> bool:
        return self.price is None or left.accuracy - one.accuracy <= self.price

    def _candidate(self, index: int) -> Candidate:
        method, settings = self.tried[index]
        right, labels = self.right[index], self.rows.labels
        of_all = None if self.by_groups else labels
        merits = [merit(one, cells, of_all) for one, cells in zip(right, self.cells, strict=True)]
        groups = self.groups
        return Candidate(
            method,
            settings,
            float(np.mean(merits)),
            tuple(merits),
            float(np.mean(right)),
            float(np.mean([cell_accuracies(one, labels).mean() for one in right])),
            float(np.mean([worst_cell(one, labels) for one in right])),
            None if groups is None else float(np.mean([worst_cell(one, groups) for one in right])),
            self.by_groups or method == LEAVE or not FIXES[method].needs_groups,
        )


def settings_to_try(known: Known, methods: Sequence[str] | None) -> list[Tried]:
    """Methods with their settings; the plain ones are always among them.

    Raises:
        InputError: if a method does not exist, or what it needs is not known.
    """
    for name in methods or ():
        if not fix_named(name).possible(known):
            raise InputError(
                f"Expected {FIXES[name].needs} for {name!r}; got none. Give them, or leave it out."
            )
    names = [
        n
        for n, fix in FIXES.items()
        if (fix.unasked and fix.possible(known) if methods is None else n in methods)
    ]
    names = list(dict.fromkeys(["plain", "classes equal", *names]))  # what the others are measured by
    return [(name, dict(settings)) for name in names for settings in FIXES[name].tried]


def _cells_of_groups(rows: Rows) -> Ids | None:
    groups = rows.known.groups
    if groups is None:
        return None
    return np.where(groups >= 0, rows.labels * (int(groups.max(initial=0)) + 1) + groups, -1)
