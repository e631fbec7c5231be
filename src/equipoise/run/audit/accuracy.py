"""How often the model is right, measured before anything rests on it, and whether that is what its owner knows of it.

A network whose pictures come in another way than in its training is a worse network, and nothing else says so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.intervals import combination, proportion
from equipoise.nn import Backbone
from equipoise.rate import Rate
from equipoise.report.audit.record import AuditedModel
from equipoise.report.parts import words
from equipoise.run.audit.view import Looked
from equipoise.run.model_source import ModelSource

__all__ = ["audited_model", "check_accuracy", "check_expected", "pictures_in_words"]


def audited_model(
    source: ModelSource, backbone: Backbone, table: ImageTable, seen: Looked, expected: float | None
) -> AuditedModel:
    """What the record says of the model."""
    right = seen.logits.argmax(axis=1) == table.labels
    return AuditedModel(
        source.title,
        source.source,
        seen.task,
        seen.layer,
        seen.features.shape[1],
        proportion(int(right.sum()), len(right), "no images"),
        _balanced(right, table.labels),
        expected,
        pictures_in_words(backbone, table),
    )


def _balanced(right: Bool[ndarray, " n"], labels: Int[ndarray, " n"]) -> Rate:
    """The mean of the classes' accuracies, of those that have images."""
    classes = np.unique(labels)
    recalls = [proportion(int(right[labels == k].sum()), int((labels == k).sum()), "") for k in classes]
    return combination(np.full(len(classes), 1 / len(classes)), recalls, len(labels))


def pictures_in_words(backbone: Backbone, table: ImageTable) -> str:
    """How pictures reached the network."""
    came, size = backbone.preprocessing, table.image_size
    framed = f"{size}×{size} pixels, as given" if table.framing is None else str(table.framing)
    colour = {1: "grey", 3: "RGB"}.get(came.channels, f"{came.channels} channels")
    scaled = "pixels in [0, 1]"
    if came.mean:
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (came.mean, came.std))
        scaled += f", minus {mean}, divided by {std}"
    return f"{framed}; {colour}; {scaled}"


def check_expected(expected: float | None) -> None:
    """Whether it is an accuracy.

    Raises:
        InputError: if it is not.
    """
    if expected is not None and not 0 <= expected <= 1:
        raise InputError(
            f"`expect_accuracy` must be a share in [0, 1]; got {expected:g}. Write 74 % as 0.74."
        )


def check_accuracy(model: AuditedModel, class_names: tuple[str, ...]) -> None:
    """Whether the measured accuracy is the expected one, but for chance.

    Raises:
        InputError: if it is not; says what to check.
    """
    found, expected = model.accuracy, model.expected_accuracy
    if expected is None or found.low <= expected <= found.high:
        return
    names = words.listed([*class_names[:5], *(["…"] if len(class_names) > 5 else [])])
    raise InputError(
        f"Expected an accuracy of {words.percent(expected)} (`expect_accuracy`); measured {words.percent(found.value)} "
        f"({words.interval(found)}) of {found.n:,} images. Check how pictures come, now: {model.preprocessing} "
        "(`resize`, `crop`, `mean`, `std`, as in training); the order of the classes, now: "
        f"{names}; and that the weights are the trained ones. Nothing is audited yet; features are kept."
    )
