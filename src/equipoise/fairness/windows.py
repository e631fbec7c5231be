"""The windows protocol (PPB): an image counts as detected if any square window of it is classified as a face.

"Any window" rewards a trigger-happy model, so the same protocol's false detections on images without a face
stand beside its accuracy.

Source: Amini, Soleimany, Schwarting, Bhatia, Rus 2019, Uncovering and mitigating algorithmic bias through
learned latent structure, section 4.3. Differs from it in: false detections and intervals; windows are sized
by the shorter side, so that they fit into any picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.fairness.evaluation import Evaluation, evaluate
from equipoise.groups import Groups
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate

__all__ = ["Windows", "windows"]


@dataclass(frozen=True)
class Windows:
    """What the protocol found. Rates are in [0, 1], the variance in percent².

    Args:
        accuracy: Share of the face images that are detected.
        groups: group → the same in the group.
        variance: Variance of these over groups, percent².
        worst_group: Group with the lowest, None if there is none.
        false_detections: Share of the images without a face that are "detected"; undefined without such images.
        at_fpr: Share of the face images detected when the threshold lets at most `fpr_asked` of the images
            without a face be detected.
        scores: Highest probability over the windows of each image, shape (n,).
        evaluation: Everything that `evaluate` says about these scores.
    """

    accuracy: Rate
    groups: dict[str, Rate]
    variance: Rate
    worst_group: str | None
    false_detections: Rate
    at_fpr: Rate
    scores: NDArray[np.float64]
    evaluation: Evaluation

    def __repr__(self) -> str:
        return (
            f"Windows(detected {rate_text(self.accuracy)}, false detections {rate_text(self.false_detections)}, "
            f"variance {self.variance.value:.2f} percent², worst {short(self.worst_group or '–')})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ["all", rate_text(self.accuracy)],
            *([name, rate_text(rate)] for name, rate in self.groups.items()),
        ]
        rows.append(["false detections", rate_text(self.false_detections)])
        return table_html("Detected in any window", ["group", "share"], rows)


def windows(
    scores: ArrayLike,
    labels: Sequence[int] | NDArray[Any],
    groups: Groups,
    *,
    threshold: float = 0.5,
    fpr: float = 0.01,
    replicates: int = 2000,
    seed: int = 0,
) -> Windows:
    """The windows protocol on face images (label 1) and, beside them, images without a face (label 0).

    Args:
        scores: Highest probability over the windows of each image, shape (n,), as
            `pictures.windows.window_scores` gives it.
        labels: 1 = shows a face, 0 = shows none.
        groups: Group of each image.
        threshold: An image is detected if any window is at or above it.
        fpr: Rate of false detections at which detection is also reported.
        replicates: As in `evaluate`; `seed` likewise.

    Raises:
        InputError: as `evaluate`.

    Warns:
        UndefinedRateWarning: once, naming the groups without face images.

    Undefined: false detections and detection at a matched rate without images that show no face.
    """
    found = evaluate(scores, labels, groups, fpr=fpr, threshold=threshold, replicates=replicates, seed=seed)
    name = groups.attribute
    return Windows(
        accuracy=found.tpr,
        groups={group: numbers.tpr for group, numbers in found.groups[name].items()},
        variance=found.variance[name]["at_0.5"],
        worst_group=found.worst_group[name]["at_0.5"]["group"],
        false_detections=found.fpr,
        at_fpr=found.tpr_at_fpr,
        scores=scores if isinstance(scores, np.ndarray) else np.asarray(scores, dtype=np.float64),
        evaluation=found,
    )
