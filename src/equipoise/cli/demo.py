"""`equipoise demo`: find, fix and prove, without any data of your own."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import ENGINE, EVALUATION, FOLDER, Continuing, General

__all__ = ["demo"]


def demo(
    *,
    images: Annotated[int, Parameter(group=EVALUATION)] = 15000,
    seed: Annotated[int, Parameter(group=EVALUATION)] = 0,
    device: Annotated[str, Parameter(group=ENGINE)] = "auto",
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/demo"),
    continuing: Continuing = Continuing(),
    general: General = General(),
) -> int:
    """Train a network that learns a shortcut, find whom it fails, fix it without group labels, and measure.

    The task is drawn: faces with and without glasses, most of those with glasses lit from behind.

    Args:
        images: Pictures to draw: 40 % to train the network, 30 % to fix it, 30 % to test.
        seed: Decides everything that is left to chance.
        device: auto, cpu, cuda or mps.
        out: Folder for the network, and for the fixed one with report.html.
    """
    from dataclasses import replace

    from equipoise import report, run
    from equipoise.cli.conversion import engine_of, output_of

    record = run.demo(
        images,
        training=run.Training(seed=seed),
        engine=replace(engine_of(device, general), precision="32-true"),
        output=output_of(out, general, continuing),
    )
    say(*report.demo_text(record).split("\n"))
    say("", f"Report: {out / 'fix' / 'report.html'}")
    return 0
