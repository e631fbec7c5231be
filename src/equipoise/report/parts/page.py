"""The frame of every page: its template, the pictures inside it, and the one file that it is written to."""

from __future__ import annotations

import base64
import functools
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from equipoise.files import read_bytes, write_text
from equipoise.report.parts.tables import Tabs
from equipoise.report.parts.versioned import Schema, fitting
from equipoise.shown import harmless

if TYPE_CHECKING:
    import jinja2

__all__ = ["Picture", "picture", "rendered", "write_page"]

MOST_PICTURE = 64 << 20  # bytes
FORMS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
Record = TypeVar("Record")


@dataclass(frozen=True)
class Picture:
    """A picture of the run as a data URI, or the reason why it is not there."""

    title: str
    caption: str
    uri: str | None
    missing: str = ""


def rendered(name: str, record: Any, **parts: Any) -> str:
    """A page as text.

    Args:
        name: Of the template.
        record: What it is about.
        parts: What the template shows of it.
    """
    return _template(name).render(record=record, next_id=itertools.count().__next__, **parts)


def write_page(
    folder: str | os.PathLike[str], schema: Schema[Record], html: Callable[[Record, Path], str]
) -> Path:
    """Render the record of a folder, and the pictures that it names, into folder/report.html, atomically.

    Args:
        folder: Of a finished run.
        schema: Which record it is.
        html: The page from the record and its folder.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    place = Path(folder)
    record = schema.read(place)
    with fitting(place / schema.file):
        text = html(record, place)
    write_text(place / "report.html", text)
    return place / "report.html"


def picture(title: str, caption: str, file: str | None, folder: str | os.PathLike[str] | None) -> Picture:
    """A PNG or JPEG file of a run's folder for the page, or why it is not there.

    Args:
        title: What people read; `caption` below it.
        file: Relative to `folder`; None if none was made.
        folder: The run's folder; None if the page is rendered without it.
    """
    if file is None:
        return Picture(title, caption, None, "This run made no such picture.")
    if folder is None:
        return Picture(
            title, caption, None, f"The picture {file} is missing: rendered without the run's folder."
        )
    path = Path(folder) / file
    try:
        inside = path.resolve().is_relative_to(Path(folder).resolve())
        content = read_bytes(path, most=MOST_PICTURE) if inside else b""
    except (OSError, ValueError):
        return Picture(title, caption, None, f"The picture {file} is missing from the run's folder.")
    form = next((form for start, form in FORMS.items() if content.startswith(start)), None)
    if form is None:
        return Picture(
            title, caption, None, f"{file} is left out: it is not a PNG or JPEG picture of the run's folder."
        )
    return Picture(title, caption, f"data:image/{form};base64," + base64.b64encode(content).decode())


@functools.cache
def _template(name: str) -> jinja2.Template:
    """A page's template; its figures are trusted, all other text is escaped."""
    import jinja2
    from markupsafe import Markup

    folder = Path(__file__).parents[1] / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: harmless(value) if type(value) is str else value,  # before it is escaped
    )
    environment.globals["own"] = {
        name: Markup((folder / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js")
    }
    environment.filters["drawn"] = Markup  # figures.py escapes what it draws
    environment.tests["tabs"] = lambda value: isinstance(value, Tabs)
    return environment.get_template(name)
