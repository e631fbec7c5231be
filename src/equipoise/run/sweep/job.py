"""The same job over several settings and seeds, in parallel, and one account of what the setting changes.

Every point is an ordinary run of `debias` in a process and a folder of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError
from equipoise.files import write_text
from equipoise.report.debias.record import RunRecord, read
from equipoise.report.sweep.page import write_sweep_report
from equipoise.report.sweep.record import SweepRecord, read_sweep, write_sweep
from equipoise.run.account import versions
from equipoise.run.checks import Start, check_models, check_numbers, check_test
from equipoise.run.debias.job import methods_of
from equipoise.run.engine import Engine
from equipoise.run.folder import RECORD, RunFolder, holder, open_folder
from equipoise.run.identity import Identity, Setting, check_data, fingerprints
from equipoise.run.sources import NAMES, PLANTED_GROUPS, Reading, Sources, check_attributes, told
from equipoise.run.sweep.children import run_all
from equipoise.run.sweep.grid import SEED, Point, grid
from equipoise.run.sweep.numbers import rarest_groups, summary, sweep_csv, swept_run
from equipoise.run.tuning import tuning
from equipoise.train import Recipe
from equipoise.train import recipe as find_recipe

__all__ = ["sweep"]

Tell = Callable[[str], None]
POINTS = "points"
LAST = "sweep.json"


def sweep(
    vary: Mapping[str, Sequence[Any]],
    *,
    sources: Sources | None = None,
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    fpr: float = 0.01,
    replicates: int = 2000,
    controls: bool = False,
    recipe: str | Recipe = "equipoise",
    seed: int = 0,
    engine: Engine | None = None,
    jobs: int = 1,
    out: str | os.PathLike[str] = "runs/sweep",
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
    command: str = "equipoise.run.sweep(...)",
) -> SweepRecord:
    """Run `debias` for every combination of values, and put the numbers into one table and one plot.

    A run that has finished is never run again: the same call goes on where it was interrupted (`resume`) and
    tries again what failed. A run that an earlier start left behind, and that still works, is left to work; once it has
    finished, the same call takes its record.

    Args:
        vary: Setting → values, see `grid`; runs that differ in "seed" alone are repetitions, averaged.
        sources: Data, as paths; without any the embedded set is drawn, one a seed, with its groups "hidden".
        reading: How sources are read.
        groups: Columns of the test data whose values are compared. Training never sees them.
        fpr: False-positive rate at which models are compared.
        replicates: Bootstrap replicates of each run.
        controls: Train the controls of every run too.
        recipe: What all runs have in common: a recipe or its name.
        seed: Of all runs, where seeds are not varied.
        engine: Device, precision, processes of each run.
        jobs: Runs at a time; they share the processors.
        out: The sweep's folder.
        resume: Continue what was interrupted there.
        overwrite: Replace the sweep that lies there.
        tell: Takes a line on every stage; None is silent.
        command: What the record says made it.

    Returns:
        The record. Runs that failed are in it, each with its error.

    Raises:
        InputError: if a setting, a column or the data are not as expected.
        DataError: if a source cannot be read, or the folder cannot be used.
    """
    seed = check_numbers(fpr=fpr, replicates=replicates, seed=seed)
    base, reading, engine = find_recipe(recipe), reading or Reading(), engine or Engine()
    sources, say = sources or Sources(), tell or (lambda line: None)
    _check(sources, jobs)
    points = grid(base, vary, seed=seed)
    groups = tuple(groups) if groups or sources.given else PLANTED_GROUPS
    settings: dict[str, Setting] = {
        "command": "sweep",
        "vary": tuple(f"{key}={','.join(values)}" for key, values in _values(points).items()),
        **sources.settings(),
        **reading.settings(),
        "groups": groups,
        "fpr": fpr,
        "replicates": replicates,
        "controls": controls,
        "recipe": base.name,
        "tune": tuning(base),
        "seed": None if SEED in vary else seed,
        **engine.settings(),
    }
    for point in points:
        engine.resolved(point.recipe)
    with open_folder(out, Identity(settings), resume=resume, overwrite=overwrite, last=LAST) as folder:
        say("Reading the data.")
        check = partial(check_points, engine=engine, controls=controls, weights=not folder.resumed)
        data = _prepared(points, sources, reading, groups, engine, check=check, say=say)
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
        if len(done) == len(points) and folder.finished:
            shown = read_sweep(folder.path)
            if all(run.error is None for run in shown.runs):
                say(
                    f"{folder.path} holds this sweep already; it is shown as it is. --overwrite runs it again."
                )
                write_sweep_report(folder.path)
                return shown
        common = {
            "sources": {**sources.given, **_shares(sources)},
            "reading": reading.settings(),
            "engine": {**asdict(engine), "progress": False},
            "groups": groups,
            "fpr": fpr,
            "replicates": replicates,
            "controls": controls,
        }
        busy = {name: told for name, told in busy.items() if name not in done}
        for name, told_of in busy.items():
            say(f"{name}: {told_of}")
        failed = busy | _run(folder, points, common, done=set(done), busy=set(busy), jobs=jobs, say=say)
        runs = []
        for point in points:
            record = None if point.folder in failed else read(_place(folder, point))
            runs.append(swept_run(point, f"{POINTS}/{point.folder}", record, failed.get(point.folder)))
        found = SweepRecord(
            command=command,
            settings=dict(settings),
            versions=versions(),
            vary={key: list(values) for key, values in _values(points).items() if key != SEED},
            seeds=list(dict.fromkeys(point.seed for point in points)),
            fpr=fpr,
            attributes=list(
                dict.fromkeys(a for run in runs for m in run.models.values() for a in m.worst_miss)
            ),
            rarest=rarest_groups(runs),
            runs=runs,
            points=summary(runs),
        )
        write_text(folder.path / "sweep.csv", sweep_csv(found))
        write_sweep(found, folder.path)
        write_sweep_report(folder.path)
    return found


def _check(sources: Sources, jobs: int) -> None:
    if jobs < 1:
        raise InputError(f"--jobs must be 1 or more; got {jobs}. 1 runs one point after another.")
    tables = [name for name in NAMES if isinstance(getattr(sources, name), ImageTable)]
    if tables:
        raise InputError(
            f"Expected paths as sources of a sweep, whose runs are processes of their own; got a table as "
            f"{', '.join(tables)}. Write it to a file and give its path, or call `equipoise.run.debias.job` in a loop."
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
    points: Sequence[Point],
    sources: Sources,
    reading: Reading,
    groups: Sequence[str],
    engine: Engine,
    *,
    check: Callable[[Sequence[Point], ImageTable], None],
    say: Tell,
) -> dict[str, dict[str, str]]:
    """Decode everything into the cache, and check it, before any run begins; folder → fingerprints of its data."""
    found: dict[tuple[int, bool], dict[str, str]] = {}
    by_point: dict[str, dict[str, str]] = {}
    for key in dict.fromkeys((point.seed, _first(point)) for point in points):
        tables = sources.split(reading, seed=key[0], first=key[1], stratify=groups, progress=engine.progress)
        if not found:
            told(tables._asdict(), say)
        check_attributes(tables.test, groups)
        check_test(tables.test, groups)
        found[key] = fingerprints(tables._asdict())
        mine = [point for point in points if (point.seed, _first(point)) == key]
        check(mine, tables.train)
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
        start = Start(point.recipe, engine.resolved(point.recipe), seed=point.seed)
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


def _run(
    folder: RunFolder,
    points: Sequence[Point],
    common: Mapping[str, Any],
    *,
    done: set[str],
    busy: set[str],
    jobs: int,
    say: Tell,
) -> dict[str, str]:
    """Run what is neither done nor under way; folder → why it failed."""
    todo = {point.folder: point for point in points if point.folder not in done | busy}
    if done:
        say(f"{len(done)} of {len(points)} runs are finished already.")
    if todo:
        say(f"Running {len(todo)}, {min(jobs, len(todo))} at a time; each writes log.txt in its folder.")
    work = {
        name: {
            **common,
            "recipe": point.recipe.to_dict(),
            "seed": point.seed,
            "out": str(_place(folder, point)),
            "command": f"equipoise debias --config={_place(folder, point) / 'settings.toml'}",
        }
        for name, point in todo.items()
    }
    ended = set(done)

    def tell_of(name: str, error: str | None) -> None:
        ended.add(name)
        what = "done" if error is None else f"failed: {error}"
        say(f"{len(ended)} of {len(points)}: {todo[name].title}: {what}")

    try:
        return run_all(work, at_once=min(jobs, max(len(todo), 1)), ended=tell_of)
    except BaseException as error:
        whole = sum((_place(folder, point) / RECORD).exists() for point in points)
        error.add_note(
            f"{whole} of {len(points)} runs are finished in {folder.path}; "
            "the same command with --resume goes on from there."
        )
        raise


def _place(folder: RunFolder, point: Point) -> Path:
    return folder.path / POINTS / point.folder
