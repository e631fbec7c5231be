"""`find`: hidden groups of images that a model fails on, found on one half of them and tested on the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from equipoise.errors import InputError
from equipoise.intervals import proportion
from equipoise.seeds import checked_seed
from equipoise.slices.axes import SAME
from equipoise.slices.candidates import FEWEST
from equipoise.slices.found import Found
from equipoise.slices.halves import Halves, fingerprints, halves
from equipoise.slices.inputs import Given, given
from equipoise.slices.membership import membership_of
from equipoise.slices.power import smallest_rate
from equipoise.slices.search import Searched, searched
from equipoise.slices.slice import ClassSummary
from equipoise.slices.verdict import judged

__all__ = ["Options", "find"]

SHARES = (0.02, 0.05, 0.1)  # of a class, that power is told for


@dataclass(frozen=True)
class Options:
    """How slices are sought.

    Args:
        fdr: Share of false ones among the slices, at most, on the mean; in (0, 1).
        most: Slices shown, at most.
        seed: Decides the halves and where clusters start. The order of the images plays no part.

    Raises:
        InputError: if a value is out of range.
    """

    fdr: float = 0.1
    most: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.fdr < 1:
            raise InputError(f"fdr must lie between 0 and 1; got {self.fdr}. 0.1 is the default.")
        if self.most < 1:
            raise InputError(f"most must be at least 1; got {self.most}. 20 is the default.")
        checked_seed(self.seed)


def find(
    features: Any,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    columns: Mapping[str, Sequence[Any]] | None = None,
    together: Sequence[Sequence[Any]] = (),
    class_names: Sequence[str] | None = None,
    flags: Mapping[str, ArrayLike] | None = None,
    options: Options | None = None,
) -> Found:
    """Find hidden groups that a model fails on, among images that it was not trained on.

    Half of the images find: within each class clusters, discriminants of errors that look alike, and values of columns
    give candidates, told by features or columns alone; those that fail are merged where they overlap. The other half
    tests each of these slices: Fisher's exact test, one-sided, whether its images are wrong more often than the rest of
    their class, with the false discovery rate of Benjamini and Hochberg over all of them. Slices with fewer than ten
    test images are not judged. Their intervals are those of Benjamini and Yekutieli for chosen ones.

    Args:
        features: Shape (n, d), any float type; a memory map is read in blocks. Equal rows count as copies of one image:
            they are on one side, and one of them in a class is counted.
        labels: Class ids 0…K−1, shape (n,).
        scores: Probabilities or logits, of label 1, shape (n,) or (n, 1), or of each class, shape (n, K); or predicted
            class ids as whole numbers, shape (n,). Floats of label 1 that all lie in [0, 1] are probabilities.
        columns: What else is known of images, by name: slices may be told by their values, and are explained by them.
        together: Columns whose equal values are on one side, and of which one image a class is counted: the subject
            (all images of one are likely to fail together), or a digest of the picture.
        class_names: By id; None takes "class 0" and so on.
        flags: What is known to be wrong with images, for example "mislabelled" or "bad quality": whether each image
            carries it, shape (n,).
        options: False discovery rate, number of slices, seed.

    Returns:
        Slices, worst first; none where nothing was found. A slice is of the `kind` of a flag that most of its errors
        carry and that it has more often than its class; else "rare" if it is less than 5 % of its class or lies where
        the class is thin; else "hard".

    Raises:
        InputError: if shapes differ, there are fewer than 50 images, a feature or score is not finite, all features
            are the same, or what belongs together leaves no second half.

    Undefined: classes without errors, with nothing but errors, or with fewer than ten images in a half have no slices,
    and say so in `Found.classes`.

    Source: Benjamini, Hochberg 1995, Controlling the false discovery rate; Benjamini, Yekutieli 2005, False discovery
    rate–adjusted multiple confidence intervals for selected parameters.
    """
    chosen = options or Options()
    known = given(
        features,
        labels,
        scores,
        columns=columns,
        together=together,
        class_names=class_names,
        flags=flags,
    )
    strata = 2 * known.labels + known.wrong
    contents = fingerprints(known.features, known.labels)
    if (contents[:, 0] == contents[0, 0]).all():
        raise InputError(SAME)
    sides = halves(contents, strata, known.labels, known.together, chosen.seed)
    _check_halves(sides)
    reasons = {class_id: _reason(known, sides, class_id) for class_id in np.unique(known.labels).tolist()}
    able = [class_id for class_id, reason in reasons.items() if reason is None]
    axes, found = searched(known, sides, able, chosen.seed)
    slices, ids, tested = judged(known, sides, found, fdr=chosen.fdr, most=chosen.most)
    level = chosen.fdr / max(1, sum(tested.values()))
    tried = {one.class_id: one for one in found}
    classes = tuple(
        _summary(known, sides, class_id, tried.get(class_id), tested.get(class_id, 0), level, reason)
        for class_id, reason in reasons.items()
    )
    return Found(
        slices,
        ids,
        sides.testing,
        sides.counted,
        classes,
        chosen.fdr,
        _notes(known, sides, classes),
        membership_of(axes, found, ids, tuple(groups.attribute for groups in known.columns)),
    )


def _check_halves(sides: Halves) -> None:
    n = [int((sides.counted & (sides.testing == half)).sum()) for half in (False, True)]
    if min(n) < 2 * FEWEST:
        raise InputError(
            f"Expected at least {2 * FEWEST} different images in each half; got {n[0]} that find and {n[1]} that test, "
            f"of {len(sides.testing)}, with copies and what belongs together counted once. Give more different images, "
            "or a column of `together` with more values."
        )


def _reason(known: Given, sides: Halves, class_id: int) -> str | None:
    """Why slices cannot be sought in a class; None if they can."""
    mine = known.labels == class_id
    wrong = known.wrong[mine & sides.counted]
    if not wrong.any():
        return f"none of {wrong.size} images is wrong, so no part of it fails more than the rest"
    if wrong.all():
        return f"all of {wrong.size} images are wrong: it fails as a whole, and no part more than the rest"
    fewest = min(int((mine & sides.counted & (sides.testing == half)).sum()) for half in (False, True))
    if fewest <= FEWEST:
        return f"{fewest} images in a half are too few for a slice of {FEWEST} and a rest"
    return None


def _summary(
    known: Given,
    sides: Halves,
    class_id: int,
    found: Searched | None,
    tested: int,
    level: float,
    reason: str | None,
) -> ClassSummary:
    mine = known.labels == class_id
    wrong = known.wrong[mine & sides.testing & sides.counted]
    errors = proportion(int(wrong.sum()), wrong.size, "no test images")
    smallest: dict[float, float | None] = {}
    if reason is None:
        for share in SHARES:
            smallest[share] = smallest_rate(
                math.floor(share * wrong.size), int(wrong.sum()), wrong.size, level
            )
    tried = 0 if found is None else found.tried
    return ClassSummary(known.class_names[class_id], int(mine.sum()), errors, tried, tested, smallest, reason)


def _notes(known: Given, sides: Halves, classes: Sequence[ClassSummary]) -> tuple[str, ...]:
    """What is to be known of the numbers."""
    notes = []
    wrong = int(known.wrong.sum())
    if not wrong:
        notes.append(f"The model is right in all of {len(known)} images: there is no failure to find.")
    if len(classes) == 1:
        notes.append(f"All images are of {classes[0].name}: slices were sought in it alone.")
    spare = int((~sides.counted).sum())
    if spare:
        notes.append(
            f"{spare} of {len(known)} images are copies, or belong together with others of their class, and were not "
            "counted."
        )
    if known.outputs.kind == "predictions":
        notes.append("Scores were predicted classes: how sure the model was is not known.")
    return tuple(notes)
