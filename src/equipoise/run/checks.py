"""What can be known to be wrong before anything is trained, and before an earlier run is replaced."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from equipoise.cluster import cluster_of
from equipoise.data import ImageTable
from equipoise.errors import EquipoiseError, InputError, MissingExtraError
from equipoise.failures import refused
from equipoise.nn import Backbone, pixels, with_last_layer
from equipoise.pictures.own_framing import OwnFraming
from equipoise.run.remote import ONNX
from equipoise.run.training import Start
from equipoise.run.unused import check_unused
from equipoise.train import Engine, Recipe, check_trainable
from equipoise.train.build import build
from equipoise.train.classes import outputs_of
from equipoise.train.embedding import Embedded
from equipoise.train.first_weights import check_first_weights
from equipoise.train.fit import first_two, optimisation_of
from equipoise.train.probe import trainable
from equipoise.train.rarity import check_resampling

__all__ = ["check_groups", "check_models", "check_test", "need", "scoring_engine"]

ELSEWHERE = ("score", "audit", "fix")  # jobs whose pass may be on a cluster


def scoring_engine(engine: Engine, job: str) -> Engine:
    """The engine of a job that trains nothing: the device counts, and for a pass over one set where it is made.

    Raises:
        InputError: if this machine does not have it, more was asked for, or a cluster does not answer.
        MissingExtraError: if a cluster needs a package that is not installed.
    """
    if job not in ELSEWHERE:
        check_unused(job, engine, "on", why="runs its networks on this machine")
    if engine.on == ONNX:
        _check_onnx(engine, job)
    elif engine.on is not None:
        cluster_of(engine.on).check()
    check_unused(job, engine, "precision", "processes", "compile", "tensorboard", why="trains no classifier")
    return engine.resolved()


def _check_onnx(engine: Engine, job: str) -> None:
    if job == "score":
        raise InputError(
            "Expected ray, ray://auto or ray://HOST:PORT as the `on` of score; got 'onnx', which audit and fix take. "
            "Export the network, and score by onnx:FILE."
        )
    for package in ("onnx", "onnxruntime", "onnxscript"):
        need(package, "onnx", "A pass by onnxruntime (`on` onnx)")
    if engine.device not in ("auto", "cpu"):
        raise InputError(f"`on` onnx runs on the CPU; got `device` {engine.device}. Leave one of them out.")


def need(package: str, extra: str, what: str) -> None:
    """Whether an optional package is there.

    Raises:
        MissingExtraError: if it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"{what} needs the package {package}, which is not installed. Run: pip install 'equipoise[{extra}]'"
        )


def check_groups(table: ImageTable, groups: Sequence[str]) -> None:
    """Whether columns hold values that images can be grouped by.

    Raises:
        InputError: if one holds something else, such as vectors.
    """
    for name in set(groups) & set(table.attributes.column_names):
        kind = table.attributes.column(name).type
        if pa.types.is_nested(kind):
            raise InputError(
                f"Expected a column of names or numbers for `groups`; {name!r} holds {kind}. Choose another column."
            )


def check_test(table: ImageTable, groups: Sequence[str]) -> None:
    """Whether models can be measured on these images.

    Raises:
        InputError: if one of two classes is missing, or a column cannot be grouped by.
    """
    if table.two_classes and not (len(table.positives) and len(table.negatives)):
        raise InputError(
            f"Expected positives and negatives among the test images; got {len(table.positives)} and "
            f"{len(table.negatives)}. Give more images, or a larger `test_share`."
        )
    check_groups(table, groups)


def check_models(methods: Sequence[str], table: ImageTable, start: Start, *, weights: bool = True) -> None:
    """Whether every model can be built for these images, its batches filled, and its images be weighed.

    Args:
        methods: Of `METHODS`, those that are to be trained.
        table: What they are trained on.
        start: With what.
        weights: Weigh the images too; False where an earlier start has.

    Raises:
        InputError: if one cannot.
        MissingExtraError: if something needs a package that is not installed.
    """
    if isinstance(table.framing, OwnFraming):
        raise InputError(
            f"Expected pictures that whoever reads the model can make again; these were made by the {table.framing}, "
            "which no config.json can hold. Say how by `resize`, `crop` and `squash`."
        )
    chosen, engine, encoder = start.recipe, start.engine, start.encoder.network
    given = start.embedding.embedding
    engine.fabric()
    if engine.tensorboard:
        need("tensorboard", "tensorboard", "`tensorboard`")
    if "debiased" in methods:  # the cheapest first: what settings alone say
        check_resampling(
            chosen.resampling,
            embedded=given is not None,
            codes=chosen.objective == "db-vae",
            classes=len(table.class_names),
        )
    if chosen.backbone != "frozen":
        for method in methods:
            check_trainable(table, optimisation_of(chosen, method).batch_size, engine.processes)
    if start.backbone.featured is not None:
        _check_backbone(start.backbone.featured.backbone, table, chosen)
        return
    shape = table.image_size, table.channels
    for method in methods:
        names = table.class_names
        model = build(chosen, method, *shape, encoder=encoder, seed=start.seed, class_names=names)
        if encoder is not None:
            _check_step(build(chosen, method, *shape, encoder=encoder, class_names=names), table)
        if method == "debiased" and weights:
            vectors = given.vectors if isinstance(given, Embedded) else None
            check_first_weights(chosen, table, model, vectors=vectors, seed=start.seed, device=engine.device)


def _check_backbone(backbone: Backbone, table: ImageTable, chosen: Recipe) -> None:
    """Whether these are pictures as it takes them, and whether it can be trained if it shall."""
    backbone.check_pictures(table)
    if chosen.backbone == "trained":
        layer = nn.Linear(backbone.dimensions, outputs_of(table.class_names))
        _check_step(trainable(with_last_layer(backbone, layer, table.class_names)), table, "backbone")


def _check_step(model: Any, table: ImageTable, what: str = "encoder") -> None:
    """Whether a user's network can be trained: one image of two classes there and back."""
    images = pixels(torch.from_numpy(table.batch(first_two(table))))
    try:
        with torch.random.fork_rng(devices=[]):
            model.train().losses(images, torch.tensor([0, 1]), generator=torch.Generator()).total.backward()
    except EquipoiseError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        if refused(error):
            raise
        raise InputError(
            f"The {what} must be trained on images of shape (batch, {', '.join(map(str, images.shape[1:]))}) in "
            f"[0, 1]; got this error from it: {error}. Adapt it."
        ) from error
