"""Overlapping candidates become one slice, by the errors of the half that finds; those of the other half play no part.

First comes what stands apart from its class, then by rank, then by the lower limit of the excess error. What overlaps a
slice is added to it if its other images fail at least half as often beyond the rest as the slice does, and is dropped
otherwise; to a slice of clusters of a context nothing but such clusters is added. Slices share no image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equipoise.slices.apart import Side, gap, parts
from equipoise.slices.candidates import FEWEST, Candidate, ClassView, Floats, Points, Rule
from equipoise.slices.context import CONTEXT
from equipoise.slices.excess import failing, lower_limits

__all__ = ["Merged", "Step", "merged", "replayed"]

OVERLAP = 0.5  # of the smaller set
SHARE = 0.5  # of the slice's excess error, that what is added must have
MOST = 20
APART = 4.0  # gap from which a set stands apart
WIDER, HELD = 1.3, 0.8  # how much larger a candidate is that holds a set, and how much of the set

Mask = NDArray[np.bool_]


@dataclass(eq=False)
class Merged:
    """A slice of one class.

    Args:
        rows: Whether each image of the class belongs, shape (n,).
        sources: Generators of what it was made of, the first first.
        told: Columns and values, if they tell it.
    """

    rows: Mask
    sources: list[str]
    told: str | None


class Step(NamedTuple):
    """What a rule tells and no slice holds yet belongs to a slice, by its position."""

    rule: Rule
    slice: int


def replayed(steps: Sequence[Step], points: Points) -> NDArray[np.int64]:
    """The slice of any images of the class, by its position, −1 in none, shape (n,)."""
    found = np.full(len(points.places), -1, np.int64)
    for step in steps:
        found[step.rule(points) & (found < 0)] = step.slice
    return found


def merged(candidates: Iterable[Candidate], view: ClassView) -> tuple[list[Merged], list[Step]]:
    """Slices of one class, disjoint, and how they were made; a candidate that falls into sets that stand apart becomes
    these.

    Args:
        candidates: Of the class.
        view: The class.
    """
    judged, wrong = view.finding, view.wrong
    errors, total = int(wrong.sum()), int(judged.sum())
    able = _worth(_parts(_worth(candidates, view), view), view)
    able = [replace(one, rank=0 if _apart(one, able, view) else 1 + one.rank) for one in able]
    sizes = np.array([(one.rows & judged).sum() for one in able], np.int64)
    hits = np.array([(one.rows & wrong).sum() for one in able], np.int64)
    low = lower_limits(hits, sizes, errors, total)
    ranks = np.array([one.rank for one in able], np.int64)
    found: list[Merged] = []
    steps: list[Step] = []
    for i in np.lexsort((-low, ranks)).tolist():
        candidate = able[i]
        other = _overlapped(candidate.rows, found, judged)
        if other is not None:
            added = _free(candidate.rows, found)
            blurs = CONTEXT in other.sources and candidate.source != CONTEXT
            if not blurs and _as_bad(added, other.rows, wrong, judged):
                steps.append(Step(candidate.rule, found.index(other)))
                other.rows = other.rows | added
                other.sources = list(dict.fromkeys([*other.sources, candidate.source]))
                other.told = None
            continue
        rows = _free(candidate.rows, found)
        left = np.array([(rows & judged).sum()]), np.array([(rows & judged & wrong).sum()])
        if len(found) < MOST and failing(left[1], left[0], errors, total)[0]:
            told = candidate.told if (rows == candidate.rows).all() else None
            steps.append(Step(candidate.rule, len(found)))
            found.append(Merged(rows, [candidate.source], told))
    return found, steps


def _worth(candidates: Iterable[Candidate], view: ClassView) -> list[Candidate]:
    """Those that are large enough and fail more often than the rest, on the half that finds; each set once."""
    errors, total = np.array([view.wrong.sum()]), np.array([view.finding.sum()])
    kept: dict[bytes, Candidate] = {}
    for one in candidates:
        hits, n = np.array([(one.rows & view.wrong).sum()]), np.array([(one.rows & view.finding).sum()])
        if failing(hits, n, int(errors[0]), int(total[0]))[0]:
            kept.setdefault(np.packbits(one.rows).tobytes(), one)
    return list(kept.values())


def _apart(one: Candidate, others: Sequence[Candidate], view: ClassView) -> bool:
    """Whether a set stands apart from its class, and from the rest of each larger candidate that holds it."""
    points, finding = view.whitened, view.finding
    if gap(points, one.rows, finding) < APART:
        return False
    own = one.rows.sum()
    for other in others:
        around = other.rows | one.rows
        if around.sum() < WIDER * own or (other.rows & one.rows).sum() < HELD * own:
            continue
        if gap(points[around], one.rows[around], finding[around]) < APART:
            return False
    return True


def _parts(candidates: Iterable[Candidate], view: ClassView) -> Iterator[Candidate]:
    for one in candidates:
        found = parts(view.whitened, one.rows, view.finding, view.generator)
        if len(found) == 1:
            yield one
            continue
        yield from (
            Candidate(rows, one.source, one.rank, _within(one.rule, view.spread, side))
            for rows, side in found
        )


def _within(rule: Rule, spread: Floats, side: Side) -> Rule:
    """What a rule tells, on one side."""
    return lambda points: rule(points) & side(np.asarray(points.places / spread, np.float32))


def _overlapped(rows: Mask, found: Sequence[Merged], judged: Mask) -> Merged | None:
    """The first slice that overlaps."""
    own = int((rows & judged).sum())
    for other in found:
        both, size = int((rows & other.rows & judged).sum()), int((other.rows & judged).sum())
        if both >= OVERLAP * min(own, size):
            return other
    return None


def _as_bad(added: Mask, slice_: Mask, wrong: Mask, judged: Mask) -> bool:
    """Whether images fail at least half as much beyond the rest as a slice does."""
    inside, new, rest = (slice_ & judged), (added & judged), (~slice_ & ~added & judged)
    if new.sum() < FEWEST or not rest.any():
        return False
    base = wrong[rest].mean()
    return bool(wrong[new].mean() - base >= SHARE * (wrong[inside].mean() - base))


def _free(rows: Mask, found: Sequence[Merged]) -> Mask:
    """Without the images of slices."""
    for other in found:
        rows = rows & ~other.rows
    return rows
