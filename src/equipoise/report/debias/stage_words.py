"""What the second stage did, in words: on which images, what was chosen, and what that changed."""

from __future__ import annotations

from equipoise.report.debias.record import RunRecord, SecondStageRecord
from equipoise.report.parts import words
from equipoise.report.parts.choice import LEFT

__all__ = ["stage_sentences"]


def stage_sentences(record: RunRecord) -> list[str]:
    """A sentence or more for each model that went through it."""
    return [_told(record, one) for one in record.second_stage.values()]


def _told(record: RunRecord, one: SecondStageRecord) -> str:
    where = (
        f"{one.images:,} images that were held out from training"
        if one.held_out
        else f"the {one.images:,} training images, cross-fitted, whose labels its features have not seen"
    )
    lead = f"Second stage of the {record.models[one.model].title} model, chosen on {where}, without labels of groups"
    if one.left_out:
        where = f"{one.left_out:,} held-out images are trained on too, and took no part"
        lead = f"{lead} ({where})"
    if one.choice.method == LEFT or one.change is None:
        return " ".join(
            [f"{lead}: its last layer is left as it is, so there is no further model.", *one.choice.notes]
        )
    change = one.change
    worst = [("of the worst class", change.worst_class)]
    worst += [(f"of the worst cell of class and {name}", rate) for name, rate in change.worst_cell.items()]
    said = "; ".join(f"{what} {words.points(rate)}" for what, rate in [("of all", change.accuracy), *worst])
    return f"{lead}: {one.choice.told}. Called right on test images, against the model before: {said}."
