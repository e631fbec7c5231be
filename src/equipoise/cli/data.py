"""`equipoise data`: look at a source before training on it."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.flags import with_flags
from equipoise.cli.saying import say
from equipoise.cli.settings import EVALUATION, FOLDER, TRAINING, Data, General, Looking, Names, Planted

__all__ = ["data"]


# As many parameters as there are groups of flags.
def data(
    source: str | None = None,
    /,
    *,
    data: Data = Data(),
    planted: Planted = Planted(),
    groups: Annotated[Names, Parameter(group=EVALUATION)] = (),
    seed: Annotated[int, Parameter(group=TRAINING)] = 0,
    reading: Looking = Looking(),
    sheet: Annotated[Path | None, Parameter(group=FOLDER, metavar="FILE.png")] = None,
    shown: Annotated[int, Parameter(group=FOLDER)] = 64,
    rejected: Annotated[Path | None, Parameter(group=FOLDER, metavar="FILE.csv")] = None,
    clear_cache: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    general: General = General(),
) -> int:
    """Count images, classes and groups, show what cannot be read, draw a contact sheet. Without one: the embedded set.

    Args:
        source: One source with labels, as --data; pictures without labels come by --positives or --negatives.
        groups: Columns to count; all with at most 20 values if not given.
        seed: Of the embedded set, and of which images are shown.
        sheet: Write a contact sheet of some images there.
        shown: Images on it, as many of each class as there are.
        rejected: Write path and reason of every unreadable picture there.
        clear_cache: Remove the decoded images that are kept (--cache, $EQUIPOISE_CACHE or the user's cache folder), and
            nothing else; without a source that is all.
    """
    if clear_cache:
        from equipoise.data.cache import clear

        cleared = clear(reading.cache)
        say(f"Removed {cleared.files:,} files of {cleared.bytes:,} bytes from the cache {cleared.folder}.")
        if cleared.left:
            say(f"{cleared.left:,} files there are not the cache's, or a build goes on in them; they stay.")
        if source is None and data == Data():
            return 0
    from equipoise import run
    from equipoise.cli.conversion import groups_of, reading_of, sources_of

    table = run.look(
        sources_of(data, planted, source=source),
        reading=reading_of(reading, groups),
        groups=groups_of(groups),
        seed=seed,
        sheet=sheet,
        shown=shown,
        rejected=rejected,
        progress=not general.quiet,
    )
    say(*map(with_flags, run.described(table, groups_of(groups))))
    for label, path in (("Contact sheet", sheet), ("Rejected pictures", rejected)):
        if path is not None:
            say(f"{label}: {path}")
    return 0
