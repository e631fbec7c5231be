"""Candidates: values of the user's columns, and pairs of values of two columns. Features play no part.

Source: Y. Chung et al., Automated Data Slicing for Model Validation, ICDE 2019 (Slice Finder): conjunctions of values,
few first. Differs from it in: at most two, tested on images they were not found on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from equipoise.groups import Groups
from equipoise.slices.candidates import Candidate, ClassView
from equipoise.slices.excess import failing

__all__ = ["intersections"]


def intersections(view: ClassView) -> Iterator[Candidate]:
    """A candidate a value, and a pair of values, of which the finding half's images fail more often than the rest."""
    for groups in view.columns:
        for i in _failing(groups, view):
            yield Candidate(groups.ids == i, "columns", 0, _told(groups, i))
    for one, other in combinations(view.columns, 2):
        if len(one.names) * len(other.names) > len(one.ids):  # mostly values of single images
            one, other = _common(one, view.finding), _common(other, view.finding)
        both = one.cross(other)
        for i in _failing(both, view):
            first = int(np.flatnonzero(both.ids == i)[0])
            told = f"{_told(one, one.ids[first])} and {_told(other, other.ids[first])}"
            yield Candidate(both.ids == i, "pairs of columns", 0, told)


def _failing(groups: Groups, view: ClassView) -> list[int]:
    ids, wrong = groups.ids[view.finding], view.wrong[view.finding]
    many = len(groups.names)
    n, errors = np.bincount(ids, minlength=many), np.bincount(ids, wrong, minlength=many)
    able = failing(errors.astype(np.int64), n, int(wrong.sum()), len(ids))
    return [i for i in np.flatnonzero(able).tolist() if i not in groups.unknown]


def _common(groups: Groups, finding: NDArray[np.bool_]) -> Groups:
    """Values that are too seldom to be judged count as unknown."""
    counts = np.bincount(groups.ids[finding], minlength=len(groups.names))
    kept = [i for i in np.flatnonzero(counts >= 10).tolist() if i not in groups.unknown]
    place = np.full(len(groups.names), len(kept))
    place[kept] = np.arange(len(kept))
    names = (*(groups.names[i] for i in kept), "(other values)")
    return Groups(place[groups.ids], names, groups.attribute, frozenset({len(kept)}))


def _told(groups: Groups, i: int) -> str:
    return f"{groups.attribute} = {groups.names[i]}"
