"""Bars, paired differences, curves and histograms as SVG text: numbers in, a picture out, the same bytes every time.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. Text and rules follow the colours of
the page (`currentColor`), so that a figure reads on white and on black.

Source: M. Okabe, K. Ito, Color Universal Design, 2008, https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.rate import Rate
from equipoise.report.parts.drawing import INK, RULE, plain, styled, svg
from equipoise.shown import harmless

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "DASHES",
    "Curve",
    "Series",
    "Steps",
    "Trend",
    "bars",
    "curves",
    "differences",
    "highest",
    "histograms",
    "thinned",
    "trends",
]

COLOURS = ("#8a8f98", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
DASHES = ("solid", "solid", "dashed", "dashdot", "dotted", "dashed", "dashdot")
MOST_POINTS = 240


@dataclass(frozen=True)
class Series:
    """One bar or dot in each row, of one colour or a colour a row."""

    name: str
    colour: str | Sequence[str]
    rates: Sequence[Rate]


@dataclass(frozen=True)
class Curve:
    """One line."""

    name: str
    colour: str
    dash: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Steps:
    """One histogram, as counts."""

    name: str
    colour: str
    dash: str
    counts: Sequence[int]


@dataclass(frozen=True)
class Trend:
    """A number at several places, with its intervals; a reference is drawn as a dashed line with a band."""

    name: str
    colour: str
    x: Sequence[float]
    rates: Sequence[Rate]
    reference: bool = False


@styled
def bars(
    rows: Sequence[str],
    series: Sequence[Series],
    *,
    label: str,
    title: str,
    percent: bool = True,
    limit: float | None = None,
    chance: float = math.nan,
    lead: bool = False,
    narrow: bool = False,
) -> str:
    """Horizontal bars with their intervals: a row a group, a bar a series.

    Args:
        rows: Names of the rows, top to bottom.
        series: One rate a row each; an undefined rate is written out as such.
        label: What the horizontal axis shows.
        title: What the picture shows, for readers who cannot see it.
        percent: Whether rates are shares, shown in percent.
        limit: Upper end of the axis; by default what the intervals need.
        chance: Where a dashed line is drawn, in the unit of the rates.
        lead: Whether values are written beside the bars, as of a chart that a page begins with.
        narrow: As wide as a telephone: names stand above their bars.
    """
    figure, axes, positions, height = _rows(rows, len(series), label, room=0.5 * lead, narrow=narrow)
    scale = 100.0 if percent else 1.0
    for k, one in enumerate(series):
        colours = [one.colour] * len(rows) if isinstance(one.colour, str) else one.colour
        known = _placed(axes, [top + (k + 0.5) * height for top in positions], one.rates)
        axes.barh(
            [y for y, _ in known.values()],
            [scale * rate.value for _, rate in known.values()],
            height=0.86 * height,
            color=[colours[i] for i in known],
            linewidth=0,
        )
        ends = [(y, rate) for y, rate in known.values() if not math.isnan(rate.low + rate.high)]
        low, high = ([scale * getattr(rate, end) for _, rate in ends] for end in ("low", "high"))
        axes.hlines([y for y, _ in ends], low, high, color=INK, linewidth=1, alpha=0.85)
        for y, rate in known.values() if lead else ():
            _value(axes, y, scale * rate.value, percent=percent)
    if not math.isnan(chance):
        _upright(axes, scale * chance, positions, len(series) * height, linestyle="dashed")
    axes.set_xlim(0, max(scale * 1.04 * (highest(series) if limit is None else limit), 1e-3))
    return svg(figure, title)


@styled
def differences(
    rows: Sequence[str],
    series: Sequence[Series],
    *,
    label: str,
    title: str,
    scale: float = 100.0,
    narrow: bool = False,
) -> str:
    """Dots with intervals about a line at 0: a row a group, a dot a series; times `scale`, 100 = points.

    `narrow`: as wide as a telephone, names stand above their dots.
    """
    figure, axes, positions, height = _rows(rows, len(series), label, narrow=narrow)
    reach = scale / 1000
    for k, one in enumerate(series):
        colours = [one.colour] * len(rows) if isinstance(one.colour, str) else one.colour
        known = _placed(axes, [top + (k + 0.5) * height for top in positions], one.rates)
        for i, (y, rate) in known.items():
            value = scale * rate.value
            ends = [scale * end for end in (rate.low, rate.high) if not math.isnan(end)]
            axes.plot(ends, [y] * len(ends), color=colours[i], linewidth=1.8)
            axes.plot([value], [y], "o", color=colours[i], markersize=4.2, markeredgewidth=0)
            reach = max([reach, abs(value), *map(abs, ends)])
    if narrow:
        _upright(axes, 0.0, positions, len(series) * height)
    else:
        axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_xlim(-1.08 * reach, 1.08 * reach)
    return svg(figure, title)


@styled
def curves(lines: Sequence[Curve], *, label: str, title: str, side: str = "") -> str:
    """Lines over training steps, or over what `label` says; `side` names the vertical axis."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(4.0, 3.0 if side else 2.3))
    axes = figure.add_axes((0.15, 0.16, 0.82, 0.8) if side else (0.13, 0.19, 0.84, 0.74))
    for line in lines:
        marker = {"marker": "o", "markersize": 3} if len(line.x) == 1 else {}
        axes.plot(line.x, line.y, color=line.colour, linestyle=line.dash, linewidth=1.6, **marker)  # type: ignore[arg-type]
    axes.set_xlabel(harmless(label))
    if side:
        axes.set_ylabel(harmless(side), color=INK, fontsize=8.5)
    plain(axes)
    axes.grid(axis="both", color=RULE, linewidth=0.6)
    axes.margins(x=0.02)
    return svg(figure, title)


@styled
def histograms(
    edges: Sequence[float],
    panels: Mapping[str, Sequence[Steps]],
    *,
    label: str,
    title: str,
    threshold: float = math.nan,
    narrow: bool = False,
) -> str:
    """Histograms laid over one another as steps, one panel above the other, all on one scale.

    Args:
        edges: Edges of the bins, one more than there are bins.
        panels: What a panel shows → its histograms, each as shares of its own images. One without images is
            left out, and a panel without any says so.
        label: What the horizontal axis shows.
        title: What the picture shows, for readers who cannot see it.
        threshold: Where a line is drawn through all panels.
        narrow: As wide as a telephone.
    """
    import matplotlib.figure

    tall, whole = 1.25, 1.25 * len(panels) + 0.5
    width = 3.9 if narrow else 5.0
    figure = matplotlib.figure.Figure(figsize=(width, whole))
    shares = {
        name: [(one, [100 * n / sum(one.counts) for n in one.counts]) for one in steps if sum(one.counts)]
        for name, steps in panels.items()
    }
    top = max((share for drawn in shares.values() for _, found in drawn for share in found), default=1.0)
    for i, (name, drawn) in enumerate(shares.items()):
        bottom = 0.45 + tall * (len(panels) - 1 - i)
        axes = figure.add_axes((0.5 / width, bottom / whole, 1 - 0.65 / width, 0.8 * tall / whole))
        for one, found in drawn:
            axes.stairs(found, edges, color=one.colour, linestyle=one.dash, linewidth=1.7, baseline=None)
            if len(drawn) < 3:
                axes.stairs(found, edges, color=one.colour, alpha=0.14, fill=True, linewidth=0)
        if not math.isnan(threshold):
            axes.axvline(threshold, color=INK, linewidth=0.9, linestyle="dashed")
        axes.set_title(
            harmless(name if drawn else f"{name}: none"), loc="left", fontsize=8.5, color=INK, pad=3
        )
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.05 * top)
        axes.set_ylabel("%", color=INK, fontsize=8.5)
        axes.set_xlabel(harmless(label) if i == len(panels) - 1 else "")
        plain(axes)
        axes.tick_params(axis="x", labelbottom=i == len(panels) - 1)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
    return svg(figure, title)


@styled
def trends(
    panels: Mapping[str, Sequence[Trend]],
    *,
    places: Mapping[float, str],
    label: str,
    title: str,
    log: bool = False,
    linked: bool = True,
    narrow: bool = False,
) -> str:
    """Shares against a setting, panels side by side, each with an axis of its own from 0 on.

    Args:
        panels: What a panel shows → its lines. An undefined rate leaves a gap; a panel without any says so.
        places: Position on the horizontal axis → what is written there.
        label: What the horizontal axis shows.
        title: What the picture shows, for readers who cannot see it.
        log: Whether the horizontal axis is logarithmic.
        linked: Whether dots are joined; words have no order.
        narrow: As wide as a telephone: panels below one another.
    """
    import matplotlib.figure
    from matplotlib.ticker import NullLocator
    from matplotlib.transforms import ScaledTranslation

    each, tall = 4.1, 2.9
    across, down = (1, len(panels)) if narrow else (len(panels), 1)
    figure = matplotlib.figure.Figure(figsize=(each * across, tall * down))
    for i, (name, lines) in enumerate(panels.items()):
        column, row = divmod(i, down)
        left, bottom = (column + 0.13) / across, (down - 1 - row + 0.17) / down
        axes = figure.add_axes((left, bottom, 0.83 / across, 0.72 / down))
        axes.set_xscale("log" if log else "linear")
        axes.plot(list(places), [0.0] * len(places), linewidth=0)  # room for those without a number too
        moving = [line for line in lines if not line.reference]
        for line in lines:
            known = [(x, rate) for x, rate in zip(line.x, line.rates, strict=True) if rate.defined]
            x, y = [x for x, _ in known], [100 * rate.value for _, rate in known]
            low, high = ([100 * getattr(rate, end) for _, rate in known] for end in ("low", "high"))
            if line.reference:
                axes.plot(x, y, color=line.colour, linestyle="dashed", linewidth=1.5)
                axes.fill_between(x, low, high, color=line.colour, alpha=0.14, linewidth=0)
                continue
            aside = 5 * (
                moving.index(line) - (len(moving) - 1) / 2
            )  # points: intervals stand beside one another
            shift = axes.transData + ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans)
            joint = "o-" if linked else "o"
            axes.plot(x, y, joint, color=line.colour, linewidth=1.6, markersize=4.2, transform=shift)
            axes.vlines(x, low, high, color=line.colour, linewidth=1.6, alpha=0.75, transform=shift)
        some = any(rate.defined for line in lines for rate in line.rates)
        axes.set_title(
            harmless(name if some else f"{name}: undefined"), loc="left", fontsize=8.5, color=INK, pad=5
        )
        axes.set_xticks(list(places), [harmless(place) for place in places.values()])
        axes.xaxis.set_minor_locator(NullLocator())
        ends = [100 * end for line in lines for rate in line.rates for end in (rate.value, rate.high)]
        axes.set_ylim(0, 1.06 * max((end for end in ends if math.isfinite(end)), default=100.0) or 1.0)
        axes.margins(x=0.08)
        axes.set_xlabel(harmless(label))
        axes.set_ylabel("%", color=INK, fontsize=8.5)
        plain(axes)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
    return svg(figure, title)


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most 240 points: means over blocks of neighbours, so that a long log stays a small file."""
    size = max(1, math.ceil(len(y) / MOST_POINTS))
    blocks = [slice(start, start + size) for start in range(0, len(y), size)]
    return [_mean(x[block]) for block in blocks], [_mean(y[block]) for block in blocks]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def highest(series: Sequence[Series]) -> float:
    """The upper end that bars of these series need; 1 if nothing is defined."""
    ends = [end for one in series for rate in one.rates for end in (rate.value, rate.high)]
    return max((end for end in ends if math.isfinite(end)), default=1.0)


def _placed(axes: Axes, heights: Sequence[float], rates: Sequence[Rate]) -> dict[int, tuple[float, Rate]]:
    """Row → height and rate of those that are defined; the others are written out as undefined."""
    for y, rate in zip(heights, rates, strict=True):
        if not rate.defined:
            axes.text(0, y, " undefined", va="center", ha="left", fontsize=7, color=INK, style="italic")
    return {i: (y, rate) for i, (y, rate) in enumerate(zip(heights, rates, strict=True)) if rate.defined}


def _upright(
    axes: Axes, place: float, tops: Sequence[float], height: float, linestyle: str = "solid"
) -> None:
    """A vertical line row by row, so that it does not cross names that stand above their rows."""
    starts, ends = ([top + end for top in tops] for end in (-0.03, height + 0.03))
    axes.vlines([place] * len(tops), starts, ends, color=INK, linewidth=0.9, linestyle=linestyle)


def _value(axes: Axes, y: float, value: float, *, percent: bool) -> None:
    """A number at the right side, in line with its bar."""
    text = f"{value:.1f} %" if percent else f"{value:.3f}"
    axes.text(
        1.02, y, text, transform=axes.get_yaxis_transform(), va="center", ha="left", fontsize=8, color=INK
    )


def _rows(
    rows: Sequence[str], series: int, label: str, *, room: float = 0.0, narrow: bool = False
) -> tuple[Figure, Axes, list[float], float]:
    """A figure as tall as its rows need; the tops of the rows, and the height of a bar, in inches.

    `room` is left at the right for what is written there, in inches.
    """
    import matplotlib.figure

    width, most = (3.9, 44) if narrow else (7.2, 26)
    labels = [name if len(name) <= most else f"{name[: most - 1]}…" for name in map(harmless, rows)]
    height = {1: 0.17, 2: 0.15, 3: 0.12}.get(series, 0.105)
    head = 0.2 if narrow else 0.0
    pitch = head + series * height + 0.13
    left = 0.08 if narrow else 0.25 + 0.072 * max((len(name) for name in labels), default=4)
    tall, below, above = max(len(rows), 1) * pitch, 0.46, 0.06
    figure = matplotlib.figure.Figure(figsize=(width, tall + below + above))
    whole = tall + below + above
    axes = figure.add_axes((left / width, below / whole, (width - left - 0.16 - room) / width, tall / whole))
    positions = [pitch * i + 0.065 + head for i in range(len(rows))]
    axes.set_ylim(tall, 0)
    axes.set_yticks(
        [] if narrow else [top + series * height / 2 for top in positions], [] if narrow else labels
    )
    for top, name in zip(positions, labels, strict=True) if narrow else ():
        axes.text(
            0, top - 0.03, name, transform=axes.get_yaxis_transform(), va="bottom", fontsize=8, color=INK
        )
    axes.set_xlabel(harmless(label))
    plain(axes)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    return figure, axes, positions, height
