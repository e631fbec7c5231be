"""The report of `augment`: a record in, one self-contained page out. It asks the network for nothing."""

from __future__ import annotations

import os
from pathlib import Path

from equipoise.report.augment.cells import cells, scores
from equipoise.report.augment.edits import edits, generator, pairs, planes, protected
from equipoise.report.augment.measures import MEASURES
from equipoise.report.augment.metrics import changes, metrics, summary
from equipoise.report.augment.models import Shown
from equipoise.report.augment.record import AUGMENT, AugmentRecord
from equipoise.report.augment.training import data, sources, trained
from equipoise.report.augment.words import AUGMENT_LIMITS, EDITS_HIDDEN, ROLE_WORDS, augment_headline
from equipoise.report.parts import tables
from equipoise.report.parts.page import Picture, picture, rendered, write_page

__all__ = ["augment_html", "write_augment_report"]


def augment_html(record: AugmentRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What augment left behind.
        folder: Its folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    shown = Shown(record)
    return rendered(
        "augment.html.j2",
        record,
        headline=augment_headline(record),
        protected=", ".join(record.protected) or "nothing",
        summary=summary(shown),
        roles={model.role: ROLE_WORDS.get(model.role, "") for model in record.models.values()},
        measures=MEASURES,
        metrics=metrics(shown),
        changes=changes(shown),
        cells=cells(shown),
        scores=scores(shown),
        planes=planes(record),
        edits=edits(record),
        pairs=pairs(record),
        protected_table=protected(record),
        generator=generator(record),
        samples=[_picture(record, folder, "samples")],
        edited=[_picture(record, folder, "edits")] if "edits" in record.pictures else [],
        edits_hidden=EDITS_HIDDEN,
        trained=trained(shown),
        data=data(shown),
        sources=sources(record),
        settings=[tables.pairs("Settings", record.settings), tables.pairs("Versions", record.versions)],
        limits=AUGMENT_LIMITS,
    )


def write_augment_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/augment.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    return write_page(folder, AUGMENT, augment_html)


def _picture(record: AugmentRecord, folder: str | os.PathLike[str] | None, name: str) -> Picture:
    """A picture of the run."""
    title, caption = {
        "samples": (
            "Samples",
            "Images that the generator drew, not chosen.",
        ),
        "edits": (
            "Edited images",
            "Pairs: what the generator drew, and its edit. The setting show_edits asked for them; they show what was "
            "trained on, and nothing about anybody.",
        ),
    }[name]
    return picture(title, caption, record.pictures.get(name), folder)
