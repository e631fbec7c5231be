"""The report: a record in, one self-contained page out. It asks the network for nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from equipoise.report.debias.class_words import is_of_classes
from equipoise.report.debias.differences import differences
from equipoise.report.debias.groups import by_group, overall, summary
from equipoise.report.debias.models import Shown
from equipoise.report.debias.record import RUN, RunRecord
from equipoise.report.debias.sampling_page import class_sampling, sampling_facts
from equipoise.report.debias.stage_words import stage_sentences
from equipoise.report.debias.training import controls, losses, timing, trained
from equipoise.report.debias.words import DOES_NOT_PROVE, headline, saturated
from equipoise.report.parts import tables, words
from equipoise.report.parts.class_differences import class_differences
from equipoise.report.parts.classes import (
    Classes,
    by_class,
    class_groups,
    class_summary,
    confusions,
    overall_classes,
)
from equipoise.report.parts.confusion import Matrix, evaluated_matrix
from equipoise.report.parts.page import Picture, picture, rendered, write_page
from equipoise.report.parts.wrong import wrong_page

__all__ = ["html", "write_report"]

RECONSTRUCTIONS, LEAST, MOST = "reconstructions", "least_represented", "most_represented"


def html(record: RunRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What the run left behind.
        folder: The run's folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    shown, made, many = Shown(record), record.resampling, is_of_classes(record)
    detected = not many or record.positive is not None
    classes = classes_of(shown, many=many)
    return rendered(
        "report.html.j2",
        record,
        headline=headline(record),
        summary=summary(shown) if classes is None or not many else class_summary(classes),
        classes=None if classes is None else class_sections(classes),
        confusion=confusion_matrices(shown),
        wrong=wrong_page(record.wrong, folder),
        many=many,
        detected=detected,
        legend=shown.legend(),
        trained_legend=shown.legend(trained=True),
        overall=overall(shown) if detected else None,
        saturated=saturated(record),
        trained=trained(record.data),
        groups=by_group(shown) if detected else None,
        comparisons=differences(shown),
        controls=controls(shown),
        second_stage=stage_sentences(record),
        losses=losses(shown),
        reconstructions=[_picture(record, folder, RECONSTRUCTIONS)] if _rebuilds(record) else [],
        extremes=[_picture(record, folder, name) for name in (LEAST, MOST)],
        more_pictures=[
            _picture(record, folder, name)
            for name in record.pictures
            if name not in (RECONSTRUCTIONS, LEAST, MOST)
        ],
        class_sampling=class_sampling(record.class_resampling),
        sampling=None if made is None else sampling_facts(made, "positives"),
        trained_here=any(model.steps is not None for model in record.models.values()),
        timing=timing(record.timing),
        settings=[
            tables.pairs("Recipe", record.recipe),
            tables.pairs("Settings", record.settings),
            tables.pairs("Versions", record.versions),
        ],
        does_not_prove=DOES_NOT_PROVE,
        fpr=words.asked(record.fpr),
        recipe=str(record.recipe.get("name", "unnamed")),
    )


def classes_of(shown: Shown, *, many: bool) -> Classes | None:
    """What is shown class by class: of two classes only where both have groups, which the rest does not tell of."""
    measured = [(place, model.classes) for place, model in enumerate(shown.models) if model.classes]
    if not measured:
        return None
    names = [shown.names[place] for place, _ in measured]
    found = Classes(
        names,
        [shown.titles[place] for place, _ in measured],
        [shown.colours[place] for place, _ in measured],
        [numbers for _, numbers in measured],
        names.index(shown.debiased) if shown.debiased in names else 0,
        shown.record.class_comparisons,
    )
    if many or any(map(found.both_grouped, found.attributes)):
        return found
    return None


def confusion_matrices(shown: Shown) -> list[Matrix]:
    """Of the baseline and the model that the page is about; of the first one where nothing was compared."""
    chosen = [name for name in (shown.baseline, shown.debiased) if name is not None] or shown.names[:1]
    found = [
        evaluated_matrix(shown.title(name), shown.record.models[name].classes)
        for name in dict.fromkeys(chosen)
    ]
    return [one for one in found if one is not None]


def class_sections(classes: Classes) -> dict[str, Any]:
    """Class by class, for the template."""
    return {
        "legend": list(zip(classes.titles, classes.colours, strict=True)),
        "overall": overall_classes(classes),
        "recall": by_class(classes),
        "confusions": confusions(classes),
        "groups": class_groups(classes),
        "differences": class_differences(classes),
    }


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/record.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    return write_page(folder, RUN, html)


def _rebuilds(record: RunRecord) -> bool:
    """Whether the debiased model has an autoencoder, whose pictures should be there."""
    return record.recipe.get("objective") != "classifier"


def _picture(record: RunRecord, folder: str | os.PathLike[str] | None, name: str) -> Picture:
    drawn = {LEAST: ", which is drawn most often", MOST: ", which is drawn least often"}
    if record.resampling is None:  # then rarity was looked at, and nobody drew by it
        drawn = {}
    title, caption = {
        RECONSTRUCTIONS: ("Reconstructions", "Test pictures, each above what the autoencoder keeps of it."),
        LEAST: (
            "Least represented",
            f"Training positives that count as rare, first the rarest{drawn.get(LEAST, '')}.",
        ),
        MOST: (
            "Most represented",
            "Training positives that have the most like them in the training data, first the one with the most"
            f"{drawn.get(MOST, '')}.",
        ),
    }.get(name, (name.replace("_", " "), ""))
    return picture(title, caption, record.pictures.get(name), folder)
