"""`planted`: small drawn faces and non-faces with hidden rare groups of known size.

The columns are drawing parameters, not people: "darker" is the colour with which a face was filled. They exist
so that it is known who is rare, and methods that are not told can be checked.

The heads are DiceBear's, drawn at run time (open-peeps, voxel-art and pixel-art, CC0; avataaars by Pablo Stanley,
free for personal and commercial use); so are the robots and scenes among the non-faces. What makes the task hard is
ours: non-faces made of the tiles of faces or of heads without features, clutter, occlusion, blur, noise, low light,
light from behind and colour casts.
Non-faces made of faces often have the looks that are rare among faces, so most training pictures with a hidden
group's look are not faces: a plain classifier learns to doubt that look.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data.drawn import check_drawn, choices, drawn
from equipoise.data.table import ImageTable
from equipoise.errors import InputError
from equipoise.seeds import child_seed

__all__ = ["HIDDEN", "planted"]

HIDDEN: dict[str, dict[str, tuple[str, ...]]] = {
    "darker skin": {"skin": ("darker",)},
    "backlit": {"light": ("backlit",)},
    "pixel style": {"kind": ("pixel face",)},
    "block style": {"kind": ("block face",)},
    "hat and sunglasses": {"hat": ("hat",), "glasses": ("sunglasses",)},
    "beard in low light": {"beard": ("beard",), "light": ("low",)},
}
"""Named hidden groups: the drawing parameters, all of which a face of the group has and no other face has."""

DEFAULT_HIDDEN = {"darker skin": 0.05, "backlit": 0.05}

# Choices and shares of each drawing parameter of a face outside the hidden groups.
FACE: dict[str, dict[str, float]] = {
    "kind": {"flat face": 0.5, "ink face": 0.3, "block face": 0.12, "pixel face": 0.08},
    "skin": {"lighter": 0.55, "medium": 0.37, "darker": 0.08},
    "hair": {"short": 0.45, "long": 0.45, "none": 0.1},
    "hair_colour": {"brown": 0.4, "black": 0.25, "blond": 0.25, "grey": 0.1},
    "glasses": {"none": 0.7, "glasses": 0.25, "sunglasses": 0.05},
    "hat": {"none": 0.85, "hat": 0.15},
    "beard": {"none": 0.75, "beard": 0.25},
    "expression": {"smile": 0.5, "serious": 0.3, "open mouth": 0.2},
    "background": {"plain": 0.4, "gradient": 0.3, "clutter": 0.3},
    "light": {"even": 0.66, "side": 0.17, "low": 0.12, "backlit": 0.05},
}
NEGATIVE: dict[str, float] = {
    "scrambled face": 0.33,
    "blank face": 0.03,
    "robot": 0.24,
    "landscape": 0.08,
    "planet": 0.08,
    "shapes": 0.08,
    "patchwork": 0.08,
}


def planted(
    images: int = 20000,
    *,
    size: int = 64,
    seed: int = 0,
    hidden: Mapping[str, float] | None = None,
    label_noise: float = 0.0,
    bad: float = 0.0,
    cache: str | os.PathLike[str] | None = None,
    workers: int | None = None,
) -> ImageTable:
    """Draw the embedded data set: half faces (label 1), half non-faces (label 0).

    Attributes are null for non-faces, but for `kind`, `noisy_label` and `bad_picture`; `hidden` names the hidden
    group of a face, or "common".

    Args:
        images: How many in all.
        size: Pixels a side.
        seed: The one source of chance; the same arguments give the same pictures.
        hidden: Hidden groups out of `HIDDEN` and their shares of the faces; None takes 5 % "darker skin" and 5 %
            "backlit". Shares are met exactly, to one face.
        label_noise: Share of images with the wrong label.
        bad: Share of images that show almost nothing: black, white, or noise.
        cache: Folder to keep the drawn set in; None takes the user's cache folder.
        workers: Processes that draw; None takes one a core.

    Raises:
        InputError: if a number is out of range or a hidden group is not known.
        DataError: if the cache cannot be written.
    """
    check_drawn(images, size, workers)
    groups = dict(sorted((DEFAULT_HIDDEN if hidden is None else hidden).items()))
    _check(groups, label_noise, bad)
    key = {
        "images": images,
        "size": size,
        "seed": seed,
        "hidden": groups,
        "label_noise": label_noise,
        "bad": bad,
    }
    plan = partial(_plan, images, groups, label_noise, bad, seed)
    return drawn(key, plan, name="planted", cache=cache, workers=workers)


def _check(groups: dict[str, float], label_noise: float, bad: float) -> None:
    for name, share in groups.items():
        if name not in HIDDEN:
            raise InputError(
                f"A hidden group must be one of {', '.join(HIDDEN)}; got {name!r}. Choose one of them."
            )
        if not 0 <= share <= 0.5:
            raise InputError(f"The share of {name!r} must be in [0, 0.5]; got {share}. Try 0.05.")
    if sum(groups.values()) > 0.9:
        raise InputError(f"Hidden groups may have 0.9 of the faces in all; got {sum(groups.values())}.")
    for label, value in (("label_noise", label_noise), ("bad", bad)):
        if not 0 <= value < 0.5:
            raise InputError(f"{label} is a share in [0, 0.5); got {value}. Try 0.05.")


def _plan(images: int, groups: dict[str, float], label_noise: float, bad: float, seed: int) -> dict[str, Any]:
    """Every drawing parameter of every image, shape (images,); whatever is drawn follows from it."""
    rng = np.random.default_rng(child_seed(seed, "planted", "plan"))
    faces = images // 2
    columns = {name: choices(rng, shares, faces) for name, shares in FACE.items()}
    belongs = np.full(faces, "common", dtype=object)
    order = rng.permutation(faces)
    start = 0
    for name, share in groups.items():
        rows = order[start : start + round(share * faces)]
        start += len(rows)
        belongs[rows] = name
    for name in groups:
        for attribute, values in HIDDEN[name].items():
            inside = belongs == name
            columns[attribute][inside] = rng.choice(values, int(inside.sum()))
    while any(_avoid(rng, columns, HIDDEN[name], belongs != name) for name in groups):
        pass  # what one group's rows were given may be another group's looks
    columns["hair"][columns["hat"] == "hat"] = "covered"
    truth = np.zeros(images, np.int64)
    truth[rng.permutation(images)[:faces]] = 1
    position = np.flatnonzero(truth == 1)
    plan: dict[str, Any] = {name: _spread(values, position, images) for name, values in columns.items()}
    plan["hidden"] = _spread(belongs, position, images)
    negatives = np.flatnonzero(truth == 0)
    plan["kind"][negatives] = choices(rng, NEGATIVE, len(negatives))
    plan["truth"] = truth
    noisy = np.zeros(images, bool)
    noisy[rng.permutation(images)[: round(label_noise * images)]] = True
    plan["noisy_label"] = noisy
    spoiled = np.zeros(images, bool)
    spoiled[rng.permutation(images)[: round(bad * images)]] = True
    plan["bad_picture"] = spoiled
    return plan


def _avoid(
    rng: np.random.Generator,
    columns: dict[str, NDArray[Any]],
    combination: Mapping[str, tuple[str, ...]],
    outside: NDArray[np.bool_],
) -> bool:
    """Give faces outside a hidden group that have its looks another value of its first parameter; were there any?"""
    looks = outside.copy()
    for attribute, values in combination.items():
        looks &= np.isin(columns[attribute].astype(str), values)
    attribute, values = next(iter(combination.items()))
    others = {name: share for name, share in FACE[attribute].items() if name not in values}
    columns[attribute][looks] = choices(rng, others, int(looks.sum()))
    return bool(looks.any())


def _spread(values: NDArray[Any], position: NDArray[np.int64], images: int) -> NDArray[Any]:
    out = np.full(images, None, dtype=object)
    out[position] = values
    return out
