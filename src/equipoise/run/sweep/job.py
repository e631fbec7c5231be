"""The same job over several settings and seeds, in parallel, and one account of what the setting changes.

Every point is an ordinary run of `debias` in a process and a folder of its own.
"""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError
from equipoise.files import write_text
from equipoise.report.debias.record import RunRecord, read
from equipoise.report.sweep.page import write_sweep_report
from equipoise.report.sweep.record import SweepRecord, read_sweep, write_sweep
from equipoise.run.account import versions
from equipoise.run.checks import check_models, check_test
from equipoise.run.debias.job import methods_of
from equipoise.run.folder import RECORD, RunFolder, holder
from equipoise.run.identity import Identity, Setting, check_data, fingerprints
from equipoise.run.measuring import Measuring
from equipoise.run.output import Output
from equipoise.run.sources import NAMES, Reading, Sources, check_attributes, told
from equipoise.run.sweep.children import run_all
from equipoise.run.sweep.grid import SEED, Point, grid
from equipoise.run.sweep.numbers import rarest_groups, summary, sweep_csv, swept_run
from equipoise.run.training import Start, Training
from equipoise.run.tuning import tuning
from equipoise.run.unused import check_unused
from equipoise.seeds import checked_seed
from equipoise.train import Engine

__all__ = ["sweep"]

Tell = Callable[[str], None]
POINTS = "points"
LAST = "sweep.json"


@dataclass(frozen=True, eq=False)
class Asked:
    """What all runs of a sweep have in common."""

    sources: Sources
    reading: Reading
    training: Training
    measuring: Measuring
    engine: Engine

    def settings(self, points: Sequence[Point], *, seeded: bool) -> dict[str, Setting]:
        """What the sweep's settings say."""
        recipe = self.training.chosen
        return {
            "command": "sweep",
            "vary": tuple(f"{key}={','.join(values)}" for key, values in _values(points).items()),
            **self.sources.settings(),
            **self.reading.settings(),
            **self.measuring.settings(),
            "recipe": recipe.name,
            "tune": tuning(recipe),
            "seed": None if seeded else self.training.seed,
            **self.engine.settings(),
        }

    def of_points(self) -> dict[str, Any]:
        """The same as JSON for a run of its own."""
        return {
            "sources": {**self.sources.given, **_shares(self.sources)},
            "reading": self.reading.settings(),
            "engine": {**asdict(self.engine), "progress": False},
            "measuring": self.measuring.settings(),
        }


def sweep(
    vary: Mapping[str, Sequence[Any]],
    *,
    sources: Sources = Sources(),
    reading: Reading = Reading(),
    training: Training = Training(),
    measuring: Measuring = Measuring(controls=False),
    engine: Engine = Engine(),
    jobs: int = 1,
    output: Output = Output("runs/sweep"),
) -> SweepRecord:
    """Run `debias` for every combination of values, and put the numbers into one table and one plot.

    A run that has finished is never run again: the same call goes on where it was interrupted (`resume`) and
    tries again what failed. A run that an earlier start left behind, and that still works, is left to work; once it has
    finished, the same call takes its record.

    Args:
        vary: Setting → values, see `grid`; runs that differ in "seed" alone are repetitions, averaged.
        sources: Data, as paths; without any the embedded set is drawn, one a seed, with its groups "hidden".
        reading: How sources are read.
        training: What all runs have in common: the recipe, and the seed where seeds are not varied.
        measuring: Groups, false-positive rate, replicates, and whether to train the controls of every run too.
        engine: Device, precision, processes of each run.
        jobs: Runs at a time; they share the processors.
        output: The sweep's folder, and who is told.

    Returns:
        The record. Runs that failed are in it, each with its error.

    Raises:
        InputError: if a setting, a column or the data are not as expected.
        DataError: if a source cannot be read, or the folder cannot be used.
    """
    _check(sources, training, jobs)
    say, training = output.say, replace(training, seed=checked_seed(training.seed))
    asked = Asked(sources, reading, training, measuring.of(sources), engine)
    points = grid(training.chosen, vary, seed=training.seed)
    settings = asked.settings(points, seeded=SEED in vary)
    for point in points:
        engine.resolved(point.recipe)
    with output.open(Identity(settings), last=LAST) as folder:
        say("Reading the data.")
        data = _prepared(points, asked, weights=not folder.resumed, say=say)
        folder = folder.settled(_all_data(points, data))
        # First who works, then what is finished: what finishes in between is only run again, and finds itself whole.
        busy = _busy(folder, points)
        if folder.replaces and busy:
            raise DataError(
                f"Expected nobody to work in {folder.path}; got: {next(iter(busy.values()))} To replace it, wait until "
                "it ends."
            )
        done = {} if folder.replaces else _finished(folder, points, data)
        folder.begin()
        whole = _shown(folder, say) if len(done) == len(points) and folder.finished else None
        if whole is not None:
            return whole
        busy = {name: told for name, told in busy.items() if name not in done}
        for name, told_of in busy.items():
            say(f"{name}: {told_of}")
        work = _work(folder, points, asked, without=done.keys() | busy.keys())
        failed = busy | _run(folder, points, work, done=len(done), jobs=jobs, say=say)
        runs = []
        for point in points:
            record = None if point.folder in failed else read(_place(folder, point))
            runs.append(swept_run(point, f"{POINTS}/{point.folder}", record, failed.get(point.folder)))
        found = SweepRecord(
            command=output.command or "equipoise.run.sweep(...)",
            settings=dict(settings),
            versions=versions(),
            vary={key: list(values) for key, values in _values(points).items() if key != SEED},
            seeds=list(dict.fromkeys(point.seed for point in points)),
            fpr=measuring.fpr,
            attributes=list(dict.fromkeys(a for r in runs for m in r.models.values() for a in m.worst_miss)),
            rarest=rarest_groups(runs),
            runs=runs,
            points=summary(runs),
        )
        write_text(folder.path / "sweep.csv", sweep_csv(found))
        write_sweep(found, folder.path)
        write_sweep_report(folder.path)
    return found


def _shown(folder: RunFolder, say: Tell) -> SweepRecord | None:
    """The record of a sweep that is already there, if no run of it failed."""
    record = read_sweep(folder.path)
    if any(run.error is not None for run in record.runs):
        return None
    say(f"{folder.path} holds this sweep already; it is shown as it is. `overwrite` runs it again.")
    write_sweep_report(folder.path)
    return record


def _check(sources: Sources, training: Training, jobs: int) -> None:
    brought = ("encoder", "embedding", "embedding_column")
    check_unused("sweep", training, *brought, why="has runs that are processes of their own")
    if jobs < 1:
        raise InputError(f"`jobs` must be 1 or more; got {jobs}. 1 runs one point after another.")
    tables = [name for name in NAMES if isinstance(getattr(sources, name), ImageTable)]
    if tables:
        raise InputError(
            f"Expected paths as sources of a sweep, whose runs are processes of their own; got a table as "
            f"{', '.join(tables)}. Write it to a file and give its path, or call `equipoise.debias` in a loop."
        )


def _values(points: Sequence[Point]) -> dict[str, list[str]]:
    """Setting → its values, as text and in order; the seeds last."""
    found: dict[str, dict[str, None]] = {}
    for point in points:
        for key, value in {**point.values, SEED: str(point.seed)}.items():
            found.setdefault(key, {})[value] = None
    return {key: list(values) for key, values in found.items()}


def _shares(sources: Sources) -> dict[str, Any]:
    return {name: getattr(sources, name) for name in ("test_share", "validation_share", "images")}


def _prepared(
    points: Sequence[Point], asked: Asked, *, weights: bool, say: Tell
) -> dict[str, dict[str, str]]:
    """Decode everything into the cache, and check it, before any run begins; folder → fingerprints of its data."""
    groups, engine = asked.measuring.groups, asked.engine
    found: dict[tuple[int, bool], dict[str, str]] = {}
    by_point: dict[str, dict[str, str]] = {}
    for key in dict.fromkeys((point.seed, _first(point)) for point in points):
        tables = asked.sources.split(
            asked.reading, seed=key[0], first=key[1], stratify=groups, many=True, progress=engine.progress
        )
        if not tables.train.two_classes and asked.reading.positive_class is None:
            raise InputError(
                f"A sweep compares how a class is found among others; got {len(tables.train.class_names)} classes and "
                "none of them named. Name it with `positive_class`."
            )
        if not found:
            told(tables._asdict(), say)
        check_attributes(tables.test, groups)
        check_test(tables.test, groups)
        found[key] = fingerprints(tables._asdict())
        mine = [point for point in points if (point.seed, _first(point)) == key]
        check_points(mine, tables.train, engine=engine, controls=asked.measuring.controls, weights=weights)
        by_point |= {point.folder: found[key] for point in mine}
    return by_point


def check_points(
    points: Sequence[Point], train: ImageTable, *, engine: Engine, controls: bool, weights: bool
) -> None:
    """Whether all runs of a sweep on these images can be trained.

    Raises:
        InputError: with the run that cannot.
    """
    for point in points:
        methods = methods_of(point.recipe, controls=controls)
        start = Start(point.recipe, engine.resolved(point.recipe), point.seed)
        try:
            check_models(methods, train, start, weights=weights)
        except InputError as error:
            raise InputError(f"The run {point.title} cannot be trained: {error}") from error


def _finished(
    folder: RunFolder, points: Sequence[Point], data: Mapping[str, Mapping[str, str]]
) -> dict[str, RunRecord]:
    """Folder → record of what an earlier start finished.

    Raises:
        InputError: if the data have changed since.
    """
    done = {
        point.folder: read(_place(folder, point))
        for point in points
        if (_place(folder, point) / RECORD).exists()
    }
    for name, record in done.items():
        check_data(record.data.fingerprint, data[name], folder.path, finished=True)
    return done


def _busy(folder: RunFolder, points: Sequence[Point]) -> dict[str, str]:
    """Folder → what to say of the process that an earlier start left behind there; locks of dead ones go."""
    working = {point.folder: holder(_place(folder, point)) for point in points}
    return {
        name: f"A process that an earlier start left behind ({process}) still works on it. The same command takes its "
        "result once it has finished."
        for name, process in working.items()
        if process is not None
    }


def _all_data(points: Sequence[Point], data: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Seed and part → fingerprint, over all points."""
    return {
        f"{part} of seed {point.seed}{', first 80' if _first(point) else ''}": value
        for point in points
        for part, value in data[point.folder].items()
    }


def _first(point: Point) -> bool:
    return point.recipe.split == "first-80"


def _work(
    folder: RunFolder, points: Sequence[Point], asked: Asked, *, without: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Folder → settings of each run that is neither done nor under way, as JSON."""
    shared = asked.of_points()
    return {
        point.folder: {
            **shared,
            "recipe": point.recipe.to_dict(),
            "seed": point.seed,
            "out": str(_place(folder, point)),
            "command": f"equipoise debias --config={_place(folder, point) / 'settings.toml'}",
        }
        for point in points
        if point.folder not in without
    }


def _run(
    folder: RunFolder,
    points: Sequence[Point],
    work: Mapping[str, Mapping[str, Any]],
    *,
    done: int,
    jobs: int,
    say: Tell,
) -> dict[str, str]:
    """Run what is to be done; folder → why it failed."""
    if done:
        say(f"{done} of {len(points)} runs are finished already.")
    if work:
        say(f"Running {len(work)}, {min(jobs, len(work))} at a time; each writes log.txt in its folder.")
    titles, ended = {point.folder: point.title for point in points}, itertools.count(done + 1)

    def tell_of(name: str, error: str | None) -> None:
        what = "done" if error is None else f"failed: {error}"
        say(f"{next(ended)} of {len(points)}: {titles[name]}: {what}")

    try:
        return run_all(work, at_once=min(jobs, max(len(work), 1)), ended=tell_of)
    except BaseException as error:
        whole = sum((_place(folder, point) / RECORD).exists() for point in points)
        error.add_note(
            f"{whole} of {len(points)} runs are finished in {folder.path}; "
            "the same command with `resume` goes on from there."
        )
        raise


def _place(folder: RunFolder, point: Point) -> Path:
    return folder.path / POINTS / point.folder
