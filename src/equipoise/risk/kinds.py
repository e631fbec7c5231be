"""Rare ≠ hard ≠ mislabelled ≠ bad picture: which of the four an image is, from percentiles of four scores.

Resampling may amplify the first two, and never the last two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from equipoise.errors import InputError
from equipoise.pictures.quality import PictureQuality
from equipoise.risk.analysis import percentile_ranks

__all__ = ["IMAGE_KINDS", "ImageKind", "Thresholds", "kinds", "quality_score"]

ImageKind = Literal["ordinary", "rare", "hard", "mislabelled", "bad picture"]
#: Kinds of images that `kinds` tells.
IMAGE_KINDS: tuple[ImageKind, ...] = get_args(ImageKind)


@dataclass(frozen=True)
class Thresholds:
    """Percentiles, in (0, 1], from which on an image counts as something other than ordinary.

    They set how many images are named, not how many there are: with 0.98, the worst two in a hundred pictures are
    called bad, in a set without bad pictures too. Look at the examples.

    Args:
        bad_picture: Of the picture-quality score.
        mislabelled: Of the label-noise score.
        rare: Of the representation risk.
        hard: Of the epistemic risk, or of the loss.
    """

    bad_picture: float = 0.97
    mislabelled: float = 0.9
    rare: float = 0.9
    hard: float = 0.9

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise InputError(
                    f"The threshold {name} must be a percentile in (0, 1]; got {value}. 0.9 takes the highest tenth."
                )


def kinds(
    *,
    representation: Float[ndarray, " n"],
    epistemic: Float[ndarray, " n"],
    label_noise: Float[ndarray, " n"],
    quality: Float[ndarray, " n"],
    suspected: Bool[ndarray, " n"] | None = None,
    thresholds: Thresholds | None = None,
) -> list[ImageKind]:
    """One kind an image, by the first of these rules that holds; else "ordinary".

    1. "bad picture": `quality` at least its threshold. Nothing else can be told from such a picture.
    2. "mislabelled": `label_noise` at least its threshold, and `suspected`. A wrong label makes an image look hard.
    3. "rare": `representation` at least its threshold. Rare images are often hard because they are rare.
    4. "hard": `epistemic` at least its threshold.

    A rare image that the label-noise classifier has never understood may look mislabelled; a person has to look
    before a label is changed or an image dropped.

    Args:
        representation: Percentiles, in [0, 1], higher = rarer; as are the other three, higher = worse.
        epistemic: Of what the model has not learned; percentiles of the loss will do.
        label_noise: Of how much speaks against the given label.
        quality: Of how bad the picture is.
        suspected: Labels that another class contradicts, as `LabelNoise.suspected`; None suspects all.
        thresholds: When an image counts as something other than ordinary.

    Raises:
        InputError: if lengths differ, or something is not a percentile.

    Example:
        >>> ordinary, worst = np.array([0.5, 0.5]), np.array([0.5, 1.0])
        >>> kinds(representation=worst, epistemic=worst, label_noise=ordinary, quality=ordinary)
        ['ordinary', 'rare']
    """
    lines = thresholds or Thresholds()
    given = {
        "representation": representation,
        "epistemic": epistemic,
        "label_noise": label_noise,
        "quality": quality,
    }
    for name, values in given.items():
        if np.shape(values) != np.shape(representation) or not ((values >= 0) & (values <= 1)).all():
            raise InputError(
                f"Expected {name} as {len(representation)} percentiles in [0, 1]; got shape {np.shape(values)}"
                f"{', some outside' if np.shape(values) == np.shape(representation) else ''}. "
                "Turn scores into percentiles first."
            )
    doubted = np.ones(len(representation), np.bool_) if suspected is None else suspected
    rules: list[tuple[ImageKind, Bool[ndarray, " n"]]] = [
        ("bad picture", quality >= lines.bad_picture),
        ("mislabelled", (label_noise >= lines.mislabelled) & doubted),
        ("rare", representation >= lines.rare),
        ("hard", epistemic >= lines.hard),
    ]
    return [
        next((kind for kind, holds in rules if holds[row]), "ordinary") for row in range(len(representation))
    ]


def quality_score(quality: PictureQuality) -> Float[ndarray, " n"]:
    """One score in (0, 1), higher = worse: the largest of the measures' percentiles among these pictures.

    A picture is as bad as what is worst about it. Only order counts, so no measure drowns the others; and somebody
    is always worst, in a set of good pictures too.
    """
    worst: Float[ndarray, " n"] = np.stack([percentile_ranks(values) for values in quality]).max(axis=0)
    return worst
