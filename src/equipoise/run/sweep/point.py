"""One run of a sweep in a process of its own: settings as JSON on standard input, one line on why it failed as output.

`python -m equipoise.run.sweep.point` is for `sweep` to start, and for nobody else.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.failures import ADVICE, refused
from equipoise.interruption import Terminated, stopped_by_signals
from equipoise.run.debias.job import debias
from equipoise.run.measuring import Measuring
from equipoise.run.output import Output
from equipoise.run.sources import Reading, Sources
from equipoise.run.training import Training
from equipoise.shown import harmless, one_line
from equipoise.train import Engine, Recipe

__all__ = ["main", "run_point"]


def run_point(settings: dict[str, Any]) -> None:
    """Run `debias` as the JSON says; goes on from what an earlier start left in the folder."""
    debias(
        Sources(**settings["sources"]),
        reading=Reading(**settings["reading"]),
        training=Training(Recipe.from_dict(settings["recipe"]), seed=settings["seed"]),
        measuring=Measuring(**settings["measuring"]),
        engine=Engine(**settings["engine"]),
        output=Output(
            settings["out"],
            resume=True,
            tell=lambda line: print(harmless(line), file=sys.stderr, flush=True),
            command=settings["command"],
        ),
    )


def main() -> int:
    """Exit code 0, 1 for a failure, 130 for Ctrl-C, 143 for SIGTERM."""
    try:
        with stopped_by_signals():
            run_point(json.load(sys.stdin))
    except KeyboardInterrupt as error:
        return 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)
    except Exception as error:  # whatever it is, the sweep goes on and tells
        lines = "".join(traceback.format_exception(error)).splitlines()
        print(*map(harmless, lines), sep="\n", file=sys.stderr)
        what = refused(error)
        if what is not None:
            print(ADVICE[what])
            return 1
        known = isinstance(error, EquipoiseError)
        print(one_line(f"{error if known else traceback.format_exception_only(error)[-1]}"))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
