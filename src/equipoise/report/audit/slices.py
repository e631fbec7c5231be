"""The hidden groups of an audit in words, for its page and for the terminal."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equipoise.report.audit.record import AuditSlice, AuditSlices, NearWord, SearchedClass
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Series
from equipoise.report.parts.page import Picture, picture
from equipoise.report.parts.tables import Column, Panel, Table
from equipoise.report.parts.terminal import wrapped

__all__ = ["ShownSlice", "SlicesPage", "picture_name", "slices_page", "slices_text", "slices_title"]

FIRST = 5  # told on the terminal
CHARTED = 12
LEGEND = (("images of the slice", figures.COLOURS[5]), ("the rest of its class", figures.COLOURS[0]))
TOLD = 3  # values of columns, classes that images are taken for, and words, in a sentence
KINDS = {
    "rare": "rare: such images are few, or lie where images of their class are few",
    "hard": "hard: such images are not rare",
    "mislabelled": "label and model disagree: most of its errors look like another class; wrong labels and a model "
    "that takes the two for one another look the same here, so look at them",
    "bad picture": "bad picture: most of its errors are bad as pictures",
}


@dataclass(frozen=True)
class ShownSlice:
    """A slice as the page shows it."""

    title: str
    sentences: Sequence[str]
    typical: Picture | None


@dataclass(frozen=True)
class SlicesPage:
    """The section of the page: what was found in words, as a table, one by one; and what could have been seen."""

    sentences: Sequence[str]
    panel: Panel | None
    slices: Sequence[ShownSlice]
    power: Sequence[str]
    notes: Sequence[str]
    legend: Sequence[tuple[str, str]] = LEGEND


def picture_name(number: int) -> str:
    """Of the contact sheet of a slice, counted from 1."""
    return f"slice_{number}"


def slices_page(
    sought: AuditSlices,
    pictures: Mapping[str, str],
    folder: str | os.PathLike[str] | None,
    rows_of: str = "scores.parquet",
) -> SlicesPage:
    """The section about hidden groups.

    Args:
        sought: What was found.
        pictures: Name → file of a picture, relative to `folder`.
        folder: Where they are; None if the page is rendered without them.
        rows_of: The table that rows are told by.
    """
    shown = []
    for number, one in enumerate(sought.found, 1):
        where = f"Rows of {rows_of}: {', '.join(map(str, one.typical))}."
        said, file = _sentences(one, sought), pictures.get(picture_name(number))
        if file is None:
            said.append(f"Most typical, nearest to its centre, of the half that tests. {where}")
            typical = None
        else:
            nearest = f"Nearest to its centre, of the half that tests. {where}"
            typical = picture("Most typical", nearest, file, folder)
        shown.append(ShownSlice(f"{one.name} ({one.kind})", said, typical))
    power = [_power(one) for one in sought.classes]
    return SlicesPage(_lead(sought), _panel(sought), shown, power, sought.notes)


def slices_title(sought: AuditSlices) -> str:
    """How many were found and how bad the worst is; that none was, if none was."""
    if not sought.found:
        return "No hidden group was found that the model fails more than the rest of its class"
    few, worst = len(sought.found), sought.found[0]
    return (
        f"{f'{few} hidden groups' if few > 1 else 'One hidden group'} found; the worst, {worst.name}, is wrong "
        f"{words.percent(worst.errors.value, 0)} against {words.percent(worst.rest.value, 0)} of the rest of its class"
    )


def slices_text(sought: AuditSlices) -> str:
    """The same for the terminal: five lines, and how many more there are."""
    lines = _lead(sought)
    lines += [f"  {_line(one)}" for one in sought.found[:FIRST]]
    if sought.found and sought.words is not None and not any(one.words for one in sought.found):
        lines.append("  None of your words passes the test for any of them.")
    more = len(sought.found) - FIRST
    lines += [f"  {more} more on the page."] if more > 0 else []
    if not sought.found and sought.reason is None:
        powers = [f"  {_power(one)}" for one in sought.classes]
        rest = len(powers) - FIRST
        lines += [*powers[:FIRST], *([f"  {rest} more classes on the page."] if rest > 0 else [])]
    return "\n".join(map(wrapped, lines))


def _lead(sought: AuditSlices) -> list[str]:
    if sought.reason is not None:
        return [f"Hidden groups that the model fails on could not be sought. {sought.reason}"]
    if not sought.found:
        return [
            "No hidden group was found that the model fails more than the rest of its class. That says little of small "
            "groups, and nothing of those that the features do not tell from others."
        ]
    many = len(sought.found)
    few = f"{many} hidden groups (slices) were" if many > 1 else "One hidden group (slice) was"
    return [
        f"{few} found that the model fails more than the rest of their class, worst first: found on half of the images "
        f"and tested on the other. At most {words.percent(sought.fdr, 0)} of such findings are false, on the mean. "
        + (
            "They have numbers, not names: what their images have in common, people must see."
            if sought.words is None
            else _asked(sought.words.words, sought.words.by)
        )
    ]


def _asked(words_given: Sequence[str], by: str) -> str:
    many = len(words_given)
    few = f"{many:,} words that you gave were" if many > 1 else "The one word that you gave was"
    return (
        f"They have numbers, not names. {few} compared with their images by {by}: those that the images of a slice are "
        "nearer to than the rest of their class stand beside it, tested; no other does. Whether they say what the "
        "images have in common, people must see."
    )


def _line(one: AuditSlice) -> str:
    return (
        f"{one.name}: {one.size:,} images, wrong {words.percent(one.errors.value, 0)} against "
        f"{words.percent(one.rest.value, 0)} ({_points(one)}, p {_p(one.p)}); {_taken(one)}; {one.kind}"
        + (f"; {_value(one, 0)}" if one.more_often else "")
        + (f"; near “{one.words[0].word}” (p {_p(one.words[0].p)})" if one.words else "")
    )


def _sentences(one: AuditSlice, sought: AuditSlices) -> list[str]:
    found = [
        f"{words.percent(one.share.value)} of class {one.class_name}; {one.errors.n:,} of its {one.size:,} images are "
        "in the half that tests.",
        f"{_taken(one)[0].upper()}{_taken(one)[1:]}. {KINDS.get(one.kind, one.kind).capitalize()}.",
    ]
    if one.told:
        found.append(f"It is told by columns: {one.told}.")
    if one.more_often:
        values = [_value(one, i) for i in range(min(TOLD, len(one.more_often)))]
        found.append(f"More often than in the rest of the class: {'; '.join(values)}.")
    if one.words:
        found.append(f"Nearer than the rest of the class to {'; '.join(map(_word, one.words[:TOLD]))}.")
    elif sought.words is not None:
        found.append("None of your words passes the test for it.")
    return found


def _word(one: NearWord) -> str:
    return (
        f"“{one.word}” (in {words.percent(one.nearer.value, 0)} of pairs; mean cosine {one.cosine:.3f} against "
        f"{one.rest:.3f}, adjusted p {_p(one.p)})"
    )


def _points(one: AuditSlice) -> str:
    ends = words.interval(one.excess, digits=0, with_sign=True)
    return f"{words.signed(100 * one.excess.value, 0)} points, {ends}"


def _p(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"{value:.2g}"


def _taken(one: AuditSlice) -> str:
    taken = list(one.confused_with.items())
    named = words.listed([f"{name} ({count:,})" for name, count in taken[:TOLD]])
    return f"taken for {named}" if taken else "taken for no other class in the half that tests"


def _value(one: AuditSlice, number: int) -> str:
    value = one.more_often[number]
    what = value.value if value.column == "flag" else f"{value.column} = {value.value}"
    return f"{what} in {words.percent(value.share.value, 0)} against {words.percent(value.rest.value, 0)}"


def _power(one: SearchedClass) -> str:
    if one.reason is not None:
        return f"{one.name}: not searched; {one.reason}."
    start = f"{one.name}: {words.percent(one.errors.value)} wrong of {one.errors.n:,} test images"
    seen = [
        f"{words.percent(float(share), 0)} of it if {words.percent(rate, 0)} were wrong"
        for share, rate in one.smallest.items()
        if rate is not None
    ]
    if not seen:
        most = words.percent(max(map(float, one.smallest), default=0.0), 0)
        return f"{start}; too few images or errors to see a group of up to {most} of it."
    return f"{start}; four times of five a group would be seen that holds {', or '.join(seen)}."


def _panel(sought: AuditSlices) -> Panel | None:
    if not sought.found:
        return None
    shown = sought.found[:CHARTED]
    title = "Hidden groups that the model fails on, worst first"
    rates = [one.errors for one in shown], [one.rest for one in shown]
    drawn = functools.partial(
        figures.bars,
        [one.name for one in shown],
        [Series(*one) for one in zip(*zip(*LEGEND, strict=True), rates, strict=True)],
        label="wrong (%)",
        title=title,
        limit=1.0,
        lead=True,
    )
    more = (
        f"The chart shows the {CHARTED} worst of {len(sought.found)}." if len(sought.found) > CHARTED else ""
    )
    return Panel.charted(title, _table(sought, title), drawn, more)


def _table(sought: AuditSlices, title: str) -> Table:
    rows = [
        [
            tables.name(one.name, tag=one.kind),
            tables.count(one.size),
            tables.share(one.errors),
            tables.share(one.rest),
            tables.change(one.excess),
            tables.name(_p(one.p)),
        ]
        for one in sought.found
    ]
    heads = [Column("Slice", numeric=False), Column("Images"), Column("Wrong"), Column("Rest of its class")]
    heads += [Column("Difference, points"), Column("Adjusted p", numeric=False)]
    return Table(title, heads, rows)
