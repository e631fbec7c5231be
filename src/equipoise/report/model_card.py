"""A model card: what a model is, what was measured of it, and what that does not prove, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.fairness import ClassEvaluation
from equipoise.notebook import rate_text
from equipoise.report.debias.record import ModelRecord, RunRecord
from equipoise.sharing import shareable
from equipoise.shown import harmless

__all__ = ["model_card"]

MOST = 200  # rows of a table
LIMITS = (
    "Numbers are of the pictures named above and no others: other places, cameras, times and people may fare worse. "
    "Intervals are 95 % intervals of these pictures as a sample; they do not cover a change of the world. Groups with "
    "fewer than 30 images say little. A group that nobody noted was not looked at."
)
UNMEASURED = "Nothing was measured for this card. What the model gets wrong, and in which groups, is not known from it."


def model_card(
    *,
    class_names: Sequence[str] | None,
    preprocessing: Mapping[str, Any],
    source: str,
    record: RunRecord | None = None,
    model: str | None = None,
) -> str:
    """The text of a README.md for a folder of transformers.

    Args:
        class_names: By id, if known.
        preprocessing: How pictures are made, as plain values.
        source: What it was exported from.
        record: Of an evaluation, if there is one.
        model: Which of the record's models it is.
    """
    classes = "not named" if class_names is None else ", ".join(map(_plain, class_names))
    made = ", ".join(f"{key} {value}" for key, value in preprocessing.items() if value is not None)
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: image-classification",
        "---",
        "# Model card",
        "",
        f"An image classifier, exported by equipoise from `{_plain(shareable(source))}`.",
        "",
        f"- Classes: {classes}",
        f"- Pictures: {made}",
        "",
    ]
    if record is None or model is None:
        return "\n".join([*lines, "## Numbers", "", UNMEASURED, ""])
    lines += ["## Data", "", *_data(record), "", "## Numbers", "", *_numbers(record.models[model]), ""]
    made_by = (
        f"Measured by equipoise {record.versions.get('equipoise', 'of unknown version')}, seed {record.seed}."
    )
    return "\n".join([*lines, "## Limits", "", LIMITS, "", made_by, ""])


def _data(record: RunRecord) -> list[str]:
    data = record.data
    sources = [f"- {name}: `{_plain(shareable(value))}`" for name, value in data.sources.items()]
    counts = [
        f"- {side}: " + ", ".join(f"{count:,} {_plain(name)}" for name, count in found.items())
        for side, found in data.counts.items()
    ]
    return [*sources, *counts, f"- {data.rejected:,} pictures could not be read"]


def _numbers(model: ModelRecord) -> list[str]:
    lines: list[str] = []
    if model.classes is not None:
        lines += _of_classes(model.classes)
    if model.numbers is not None:
        found = model.numbers
        rows = [
            (f"found at {found.threshold:g}", found.tpr),
            (f"false positives at {found.threshold:g}", found.fpr),
            (f"found at {100 * found.fpr_asked:g} % false positives", found.tpr_at_fpr),
            ("AUROC", found.auroc),
        ]
        lines += ["", *_table(("positives against negatives", "value"), [(n, rate_text(r)) for n, r in rows])]
    return lines


def _of_classes(found: ClassEvaluation) -> list[str]:
    worst = found.worst_class
    rows = [
        ("accuracy", rate_text(found.accuracy)),
        ("balanced accuracy", rate_text(found.balanced_accuracy)),
        (f"worst class: {_plain(str(worst['class']))}", rate_text(worst["recall"])),
    ]
    lines = _table((f"of {found.n:,} images", "value (95 % interval)"), rows)
    recalls = [(_plain(name), rate_text(rate)) for name, rate in found.recall.items()]
    lines += ["", *_table(("class", "called right"), recalls)]
    for attribute, groups in found.groups.items():
        of = [
            (_plain(name) + (" (few)" if group.small else ""), f"{group.n:,}", rate_text(group.accuracy))
            for name, group in groups.items()
        ]
        lines += ["", *_table((_plain(attribute), "images", "called right"), of)]
    return lines


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows[:MOST]]
    if len(rows) > MOST:
        lines.append(f"| … and {len(rows) - MOST:,} more |{' |' * (len(heads) - 1)}")
    return lines


def _plain(text: str) -> str:
    """Text of others as one line of Markdown that is no markup."""
    shown = harmless(text)
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in shown)
