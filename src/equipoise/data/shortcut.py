"""`shortcut`: small drawn faces with and without glasses, and a light that tells the two apart in most pictures.

Most faces with glasses are lit from behind and most without are not, so a classifier learns the light, which is easier
to see, and fails the few faces of which this does not hold: hidden groups of known size. The columns are drawing
parameters, not people.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from equipoise.data.drawn import check_drawn, choices, drawn
from equipoise.data.planted import FACE
from equipoise.data.table import ImageTable
from equipoise.errors import InputError
from equipoise.seeds import child_seed

__all__ = ["shortcut"]

CLASSES = {"no glasses": 0, "glasses": 1}
GLASSES = "none", "glasses"  # by class id
LIGHT = "even", "backlit"  # what goes with it in most pictures


def shortcut(
    images: int = 15000,
    *,
    size: int = 48,
    seed: int = 0,
    share: float = 0.04,
    cache: str | os.PathLike[str] | None = None,
    workers: int | None = None,
) -> ImageTable:
    """Draw the embedded task with a shortcut: half "glasses" (label 1), half "no glasses" (label 0), all faces.

    Column `light` is "backlit" in most pictures of the first class and "even" in most of the second; the others are
    the hidden groups, in both classes alike. All other drawing parameters, a column each, are independent of the class.

    Args:
        images: How many in all.
        size: Pixels a side.
        seed: The one source of chance; the same arguments give the same pictures.
        share: Share of each class whose light is that of the other class; met exactly, to one picture.
        cache: Folder to keep the drawn set in; None takes the user's cache folder.
        workers: Processes that draw; None takes one a core.

    Raises:
        InputError: if a number is out of range.
        DataError: if the cache cannot be written.
    """
    check_drawn(images, size, workers)
    if not 0 <= share <= 0.5:
        raise InputError(f"`share` must be in [0, 0.5]; got {share}. Try 0.04; at 0.5 there is no shortcut.")
    key = {"images": images, "size": size, "seed": seed, "share": share}
    plan = partial(_plan, images, share, seed)
    return drawn(key, plan, name="shortcut", classes=CLASSES, cache=cache, workers=workers)


def _plan(images: int, share: float, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(child_seed(seed, "shortcut", "plan"))
    plan: dict[str, Any] = {name: choices(rng, shares, images) for name, shares in FACE.items()}
    truth = rng.permutation(np.arange(images) % 2)
    light = truth.copy()
    for label in CLASSES.values():
        mine = rng.permutation(np.flatnonzero(truth == label))
        light[mine[: round(share * len(mine))]] = 1 - label
    plan["glasses"] = np.array(GLASSES, object)[truth]
    plan["light"] = np.array(LIGHT, object)[light]
    plan["hair"][plan["hat"] == "hat"] = "covered"
    return {**plan, "truth": truth}
