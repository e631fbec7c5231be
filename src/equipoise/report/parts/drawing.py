"""What all figures of a page share: their style while they are drawn, plain axes, and an <svg> element of it all."""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec
from xml.sax.saxutils import escape

from equipoise.shown import harmless

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["INK", "RULE", "plain", "styled", "svg"]

INK, RULE = "#010203", "#040506"  # stand-ins, replaced by colours of the page
# In a tag: more than hundredths of a point, fonts one by one (the page names one for all), turns by nothing.
TOO_MUCH = re.compile(r"""(\d\.\d\d)\d+|font-family: [^;"]*; ?| transform="rotate\(-?0 [^)]*\)\"""")
P = ParamSpec("P")


def styled(draw: Callable[P, str]) -> Callable[P, str]:
    """Draw under the settings of this report; those of whoever else uses matplotlib come back after it."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> str:
        import matplotlib

        settings: dict[Any, Any] = {
            "font.family": "sans-serif",
            "svg.fonttype": "none",
            # ids that no other figure of the page has
            "svg.hashsalt": harmless(f"{kwargs.get('title')}{' (narrow)' if kwargs.get('narrow') else ''}"),
            "text.parse_math": False,
            "text.usetex": False,
            "axes.formatter.use_mathtext": False,
            "axes.unicode_minus": True,
        }
        with matplotlib.rc_context(settings):
            return draw(*args, **kwargs)

    return drawn


def plain(axes: Axes) -> None:
    """Axes with two thin sides, in colours of the page."""
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)
    axes.figure.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_edgecolor(RULE)
        spine.set_linewidth(1)
    axes.tick_params(colors=RULE, labelcolor=INK, labelsize=8, width=0.8)
    axes.xaxis.label.set_color(INK)
    axes.xaxis.label.set_fontsize(8.5)


def svg(figure: Figure, title: str) -> str:
    """The figure as an <svg> element that can stand in a page beside others."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # the reader's own font draws the text
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text, title = buffer.getvalue(), harmless(title)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", lambda tag: TOO_MUCH.sub(r"\1", tag[0]), text)
    text = re.sub(r">\s+<", "><", text)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: m.group(0) if m.group(1) in used else "", text)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    size = (float(box.group(1)), float(box.group(2))) if box else (360.0, 240.0)
    name = escape(title, {'"': "&quot;"})
    body = f"<title>{escape(title)}</title>{body.strip()}"
    body = body.replace("xlink:href", "href").replace(INK, "currentColor").replace(RULE, "var(--rule)")
    return (
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {size[0]:g} {size[1]:g}" '
        f'style="max-width:{size[0] * 1.85:.0f}px; font-family: sans-serif">{body}'
    )
