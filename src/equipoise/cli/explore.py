"""`equipoise explore`: a local page over a run."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from equipoise.cli.saying import say, say_aside
from equipoise.cli.settings import General

__all__ = ["explore"]

PAGE = Group.create_ordered("Page")
TABLE = Group.create_ordered("Table")


@Parameter(name="*", group=TABLE)
@dataclass(frozen=True)
class Table:
    """Which column of a table of predictions says what; without, it is looked for."""

    label_column: str | None = None
    """The true class."""
    score_column: str | None = None
    """Probability of the positive class."""
    predicted_column: str | None = None
    """The predicted class."""
    positive_class: str | None = None
    """The class that a score is about."""


def explore(
    run: Path,
    /,
    *,
    against: Annotated[Path | None, Parameter(group=PAGE)] = None,
    pictures: Annotated[tuple[str, ...], Parameter(group=PAGE, negative=(), consume_multiple=True)] = (),
    allow_outside: Annotated[bool, Parameter(group=PAGE, negative=(), show_default=False)] = False,
    port: Annotated[int, Parameter(group=PAGE)] = 0,
    table: Table = Table(),
    general: General = General(),
) -> int:
    """Look around in a run: a page on this machine with its pictures, scores, risks and groups, until Ctrl-C.

    Nobody else reaches it: it answers on 127.0.0.1 alone, at an address that holds a token. It needs the extra
    `explore`. Selections are saved in `explored/` of the run's folder, as files that --groups of other commands takes.

    Args:
        run: The folder of a run, evaluation, audit or fix, or a table of predictions with paths of pictures.
        against: Another run or table of the same pictures, told by their paths: its models stand beside those of the
            first.
        pictures: Where the pictures lie now, if they have moved; a source, as --data of other commands takes.
        allow_outside: Paths in tables may lead out of the table's folder.
        port: Where to listen; 0 takes a free one.
    """
    from equipoise.explore import Exploration, PredictedColumns, beside, listening, opened, serve
    from equipoise.explore.pictures import Wanted

    with listening(port) as place:
        found = opened(run, PredictedColumns(**asdict(table)))
        if against is not None:
            found = beside(found, opened(against))
        itself = os.fspath(run) if found.kind == "table" and found.path_column is not None else None
        for note in found.notes if not general.quiet else ():
            say_aside(note)
        exploration = Exploration(found, Wanted(found.settings, pictures, itself, allow_outside))
        serve(
            exploration,
            place,
            lambda address: say(f"Explore {found.title}: {address}", "Ctrl-C ends it."),
        )
    return 0
