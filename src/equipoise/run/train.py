"""One model, trained on everything that was given: no test, no comparison."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from equipoise.data import write_rejected
from equipoise.report.debias.record import ResamplingRecord, write_resampling
from equipoise.run.checks import Start, check_models, check_numbers, embedded_once
from equipoise.run.embedding_source import embedding_source
from equipoise.run.encoder_source import encoder_source
from equipoise.run.engine import Engine
from equipoise.run.enrichment import resampling_record, told_beforehand
from equipoise.run.folder import open_folder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.representation import represent, save_representation
from equipoise.run.sources import (
    PLANTED_GROUPS,
    Reading,
    Source,
    check_attributes,
    describe,
    embedded,
    read_source,
    told,
)
from equipoise.run.tuning import tuning
from equipoise.train import Fit, Recipe, fit, save_model
from equipoise.train import recipe as find_recipe
from equipoise.train.fit import Method

__all__ = ["Trained", "train"]


@dataclass(frozen=True, eq=False)
class Trained:
    """What `train` gives back.

    Args:
        fit: The model and how it came about.
        resampling: How the sampling weights came out, by group; None if nothing was resampled.
        folder: Where the model lies.
    """

    fit: Fit
    resampling: ResamplingRecord | None
    folder: Path


def train(
    positives: Source = None,
    negatives: Source = None,
    *,
    data: Source = None,
    images: int = 20000,
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    method: Method = "debiased",
    recipe: str | Recipe = "equipoise",
    encoder: nn.Module | str | None = None,
    embedding: nn.Module | str | None = None,
    embedding_column: str | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    out: str | os.PathLike[str] = "runs/train",
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Trained:
    """Train one model on all images given, and save it with its density of the training positives.

    Args:
        method: "debiased", "plain", "plain-same-steps" or "uniform".
        groups: Columns of the training data whose share of the draws is reported. Training never sees them.

    The other arguments are those of `debias`.

    Raises:
        InputError: if a setting, a column or the data are not as expected.
        DataError: if a source cannot be read, or the folder cannot be used.
        TrainingError: if training had to stop.
    """
    seed = check_numbers(seed=seed)
    chosen, reading = find_recipe(recipe), reading or Reading()
    engine = (engine or Engine()).resolved(chosen)
    own, brought = (
        encoder_source(encoder, seed=seed),
        embedding_source(embedding, embedding_column, seed=seed),
    )
    say: Callable[[str], None] = tell or (lambda line: None)
    given = {"positives": positives, "negatives": negatives, "data": data}
    sources = {name: describe(source) for name, source in given.items() if source is not None}
    groups = tuple(groups) if groups or sources else PLANTED_GROUPS
    settings: dict[str, Setting] = {
        "command": "train",
        **sources,
        "images": None if sources else images,
        **reading.settings(),
        "groups": groups,
        "method": method,
        "recipe": chosen.name,
        "tune": tuning(chosen),
        **own.settings(),
        **brought.settings(),
        "seed": seed,
        **engine.settings(),
    }
    identity = Identity(settings, {**own.brought(), **brought.brought()})
    with open_folder(out, identity, resume=resume, overwrite=overwrite, last="config.json") as folder:
        say("Reading the data.")
        table = read_source(positives, negatives, data, reading, progress=engine.progress)
        table = embedded(images, reading, seed) if table is None else table
        table = reading.side(table, "train")
        check_attributes(table, groups, what="training data")
        told({"train": table}, say)
        folder = folder.settled(fingerprints({"train": table}))
        wanted = brought.embedding if method == "debiased" else None
        rows = embedded_once(wanted, table, chosen, engine.device)
        check_models(
            [method], table, Start(chosen, engine, own.network, rows, seed), weights=not folder.resumed
        )
        folder.begin()
        if method == "debiased":
            for note in told_beforehand(chosen.resampling, table, chosen.debiased.batch_size):
                say(note)
        write_rejected(table, folder.path / "rejected.csv")
        with naming_what_is_kept(folder):
            fitted = fit(
                table,
                chosen,
                method=method,
                encoder=own.network,
                embedding=rows,
                seed=seed,
                folder=folder.checkpoints(method),
                resume=folder.resumed,
                **asdict(engine),
            )
            seen = represent(fitted.model, table, bins=chosen.resampling.bins, device=engine.device)
            if seen:
                save_representation(seen[0], folder.path)
            resampling = None
            if fitted.weights is not None:
                resampling = resampling_record(
                    fitted.weights,
                    table,
                    groups,
                    rule=brought.rule(chosen.resampling),
                    representation=brought.representation(chosen.resampling),
                    negative_weights=fitted.negative_weights,
                    draws=fitted.draws,
                    negative_draws=fitted.negative_draws,
                )
                write_resampling(resampling, folder.path)
            save_model(fitted, folder.path, image_size=table.image_size, channels=table.channels)
    return Trained(fitted, resampling, folder.path)
