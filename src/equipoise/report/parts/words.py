"""Numbers as words: percent, intervals, durations, and what a paired difference allows one to say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from equipoise.rate import Rate

__all__ = [
    "ABSENT",
    "SPACE",
    "Headline",
    "asked",
    "decimal",
    "duration",
    "flipped",
    "harm_first",
    "interval",
    "listed",
    "percent",
    "points",
    "signed",
    "verdict",
]

ABSENT = Rate.undefined("not recorded")
SPACE = "\u202f"  # narrow, not broken
MINUS = "\u2212"
UNDEFINED = "undefined"


@dataclass(frozen=True)
class Headline:
    """What changed, in one line, in sentences, and attribute by attribute."""

    title: str
    tone: str  # "fewer" | "more" | "none" | "unknown"
    sentences: Sequence[str]
    others: Sequence[tuple[str, str]]  # for each further attribute, the same: title, sentences
    harmed: bool = False  # the first sentence says what became measurably worse

    @property
    def harm(self) -> str:
        """What became measurably worse, in words; empty if nothing did."""
        return self.sentences[0] if self.harmed else ""

    @property
    def rest(self) -> Sequence[str]:
        """The other sentences."""
        return self.sentences[int(self.harmed) :]


def decimal(value: float, digits: int = 1) -> str:
    """A number with a real minus sign; "–" for NaN; no negative zero."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.{digits}f}"
    if not any(c in "123456789" for c in text):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def percent(value: float, digits: int = 1) -> str:
    """A share as percent: 0.052 → "5.2 %"."""
    return decimal(100 * value, digits) + (SPACE + "%" if math.isfinite(value) else "")


def asked(fpr: float) -> str:
    """A false-positive rate as somebody would say it: 0.01 → "1 %"."""
    return f"{100 * fpr:.3g}{SPACE}%"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, except for what rounds to zero: 2.14 → "+2.1", −0.01 → "0.0"."""
    text = decimal(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def interval(rate: Rate, scale: float = 100.0, digits: int = 1, *, with_sign: bool = False) -> str:
    """The ends of an interval: "3.9 to 6.8"; empty when there is none."""
    if not rate.defined or math.isnan(rate.low) or math.isnan(rate.high):
        return ""
    show = signed if with_sign else decimal
    return f"{show(rate.low * scale, digits)} to {show(rate.high * scale, digits)}"


def points(difference: Rate) -> str:
    """A difference of shares: "+2.1 points, 95 % interval +0.3 to +4.0"; what is undefined says why."""
    if not difference.defined:
        return f"undefined ({difference.reason})"
    ends = interval(difference, with_sign=True)
    said = f"{signed(100 * difference.value)} points"
    return said + (f", 95{SPACE}% interval {ends}" if ends else "")


def flipped(difference: Rate) -> Rate:
    """A difference of true-positive rates as a difference of miss rates: below 0 = fewer misses."""
    return Rate(-difference.value, -difference.high, -difference.low, difference.n, difference.reason)


def verdict(difference: Rate) -> str:
    """What a paired difference of miss rates allows one to say.

    Example:
        >>> verdict(Rate(-0.02, -0.04, 0.001, 500))
        'no measurable difference'
        >>> verdict(Rate(-0.02, -0.04, -0.001, 500))
        'fewer misses'
    """
    if not difference.defined:
        return UNDEFINED
    if math.isnan(difference.low) or math.isnan(difference.high):
        return "no interval, so nothing can be said"
    if difference.high < 0:
        return "fewer misses"
    if difference.low > 0:
        return "more misses"
    return "no measurable difference"


def harm_first(
    title: str, tone: str, sentences: Sequence[str], harms: Sequence[str]
) -> tuple[str, str, list[str]]:
    """A headline in which what became measurably worse comes first.

    Args:
        title: Without it.
        tone: "fewer" (better), "more" (worse), "none" or "unknown".
        sentences: Without it.
        harms: What became worse, in words; none changes nothing.
    """
    if not harms:
        return title, tone, list(sentences)
    said = [f"Measurably worse: {listed(harms)}.", *sentences]
    if tone == "fewer":
        return f"{title}, at a price", tone, said
    if tone == "more":
        return title, tone, said
    return f"Measurably worse, and {title[0].lower()}{title[1:]}", "more", said


def duration(seconds: float) -> str:
    """Seconds as somebody would say them: 3725 → "1 h 2 min"."""
    if not math.isfinite(seconds) or seconds < 60:
        return f"{decimal(seconds, 1)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def listed(parts: Iterable[str]) -> str:
    """Words in a row: "a, b and c"; "none" of none."""
    items = list(parts)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"
