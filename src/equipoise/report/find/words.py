"""What was found, in words for the terminal and the head of the page."""

from __future__ import annotations

from equipoise.report.audit.slices import slices_text, slices_title
from equipoise.report.find.record import FindRecord
from equipoise.report.parts import words
from equipoise.report.parts.terminal import blocks, wrapped

__all__ = ["FIND_LIMITS", "find_headline", "find_text"]

FIND_LIMITS = (
    "Why a hidden group fails. What its images have in common, people must see.",
    "That none is left where none was found. A kind of image that the vectors do not tell from others is not found at "
    "any size.",
    "How the model does on new images, if it was trained or chosen on these: then its errors here are too few, and not "
    "the ones that it will make.",
    "That a prediction is wrong where it differs from the given label. Labels err too.",
    "That a word says what the images of a group show. It says that, by the model that compared them, they are nearer "
    "to it than others of their class are, and of the words that were given only.",
)


def find_headline(record: FindRecord) -> tuple[str, list[str]]:
    """The title, and what comes first."""
    accuracy, columns = record.accuracy, record.slices.columns
    return slices_title(record.slices), [
        f"The model is right on {words.percent(accuracy.value)} ({words.interval(accuracy)}) of {accuracy.n:,} images, "
        "as the table of predictions has it.",
        f"Sought in vectors of {record.data.dimensions:,} numbers"
        + (
            f", and in the column{'s' * (len(columns) > 1)} {words.listed(columns)}."
            if columns
            else "; no column was sought in."
        ),
    ]


def find_text(record: FindRecord) -> str:
    """The summary for the terminal."""
    return blocks(["\n".join(map(wrapped, find_headline(record)[1])), slices_text(record.slices)])
