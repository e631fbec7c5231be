"""The images of an audit in the order of every risk, and what kind of image each is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.nn import slices
from equipoise.risk import (
    Thresholds,
    kinds,
    label_noise,
    percentile_ranks,
    picture_quality,
    quality_score,
)
from equipoise.run.audit.cross_fitting import Scored
from equipoise.run.audit.numbers import together, within
from equipoise.run.audit.view import Looked
from equipoise.seeds import child_seed

__all__ = ["FOLDS", "LABEL", "QUALITY", "Ranked", "blocks", "ranked"]

LABEL, QUALITY = "label_noise", "picture_quality"
FOLDS = 5  # of label noise
BLOCK = 1 << 25  # bytes of pixels that are read at a time, about


@dataclass(frozen=True, eq=False)
class Ranked:
    """What every risk says of every image; percentiles are higher where an image is to be trusted less.

    Args:
        scored: Scores of the methods.
        noise: How much the given label is contradicted, in nats.
        suspected: Whether another class is confidently predicted.
        replaced: Chance that the label is one put there at random, and no confusion.
        quality: How bad the image is as a picture.
        ranks: Score → percentiles among all images, by which errors are found.
        among: Score → percentiles among images of the same half and label: who is rare is a question about these.
        of_kind: Kind of risk → percentiles of its scores together.
        kinds: Kind of each image.
        wrong: Whether the model's prediction is wrong.
    """

    scored: Scored
    noise: Float[ndarray, " n"]
    suspected: Bool[ndarray, " n"]
    replaced: Float[ndarray, " n"]
    quality: Float[ndarray, " n"]
    ranks: dict[str, Float[ndarray, " n"]]
    among: dict[str, Float[ndarray, " n"]]
    of_kind: dict[str, Float[ndarray, " n"]]
    kinds: NDArray[np.str_]
    wrong: Bool[ndarray, " n"]

    def columns(self, seen: Looked, class_names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """What scores.parquet says of each image; of more than two classes by their names, as labels are."""
        return {
            **_said(seen, class_names),
            "half": self.scored.half,
            **self.scored.raw,
            **self.scored.risks,
            LABEL: self.noise,
            "label_suspected": self.suspected,
            "label_replaced": self.replaced,
            QUALITY: self.quality,
            **{f"{name}_percentile": values for name, values in self.ranks.items()},
            **{f"{name}_percentile_of_label": values for name, values in self.among.items()},
            "kind": self.kinds,
        }

    def clearest(self) -> dict[str, Float[ndarray, " n"]]:
        """Kind of image → a score by which its examples are chosen, highest first."""
        return {
            "ordinary": -np.max(list({**self.ranks, **self.of_kind}.values()), axis=0),
            "rare": self.of_kind["representation"],
            "hard": self.of_kind["epistemic"],
            "mislabelled": self.noise,
            "bad picture": self.quality,
        }


def ranked(table: ImageTable, seen: Looked, scored: Scored, thresholds: Thresholds, seed: int) -> Ranked:
    """Rank the images by every risk, and say what kind each is.

    Raises:
        InputError: if labels cannot be judged.
    """
    noise = label_noise(
        seen.features,
        table.labels,
        same=np.unique(table.digests, return_inverse=True)[1].reshape(-1),
        folds=FOLDS,
        seed=child_seed(seed, "label noise"),
    )
    quality = quality_score(picture_quality(blocks(table)))
    ranks = {
        **scored.percentiles,
        LABEL: percentile_ranks(noise.score),
        QUALITY: percentile_ranks(quality),
    }
    # Errors are found among all images; who is rare is a question about images with the same label.
    among = {
        name: within(values, scored.half, table.labels)
        for name, values in {**scored.risks, LABEL: noise.score, QUALITY: quality}.items()
    }
    of_kind = {}
    for kind in dict.fromkeys(scored.kinds.values()):
        orders = among if kind == "representation" else ranks
        of_kind[kind] = together([orders[column] for column, its in scored.kinds.items() if its == kind])
    sorts = kinds(
        representation=of_kind["representation"],
        epistemic=of_kind["epistemic"],
        label_noise=ranks[LABEL],
        quality=ranks[QUALITY],
        suspected=noise.suspected,
        thresholds=thresholds,
    )
    wrong = seen.logits.argmax(axis=1) != table.labels
    return Ranked(
        *(scored, noise.score, noise.suspected, noise.replaced, quality),
        *(ranks, among, of_kind, np.array(sorts), wrong),
    )


def blocks(table: ImageTable) -> Iterator[UInt8[ndarray, "batch height width channels"]]:
    """The pixels, a block after another, the next ones being decoded meanwhile."""
    size = max(1, BLOCK // (table.image_size**2 * table.channels))
    yield from table.batches(np.arange(place.start, place.stop) for place in slices(len(table), size))


def _said(seen: Looked, class_names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of what the model says: of the positive class, or of the class it says."""
    predicted = seen.logits.argmax(axis=1)
    if seen.logits.shape[1] == 2:
        logits = seen.logits[:, 1] - seen.logits[:, 0]
        return {"probability": seen.probabilities[:, 1], "logit": logits, "predicted": predicted}
    names = np.array(class_names, dtype=object)
    return {"probability": seen.probabilities.max(axis=1), "predicted": names[predicted]}
