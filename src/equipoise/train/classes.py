"""What a table's classes mean for training: how many logits, which carry the VAE, which are weighted, what a batch
holds of each."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.train.appearance import FEWEST
from equipoise.train.error_cells import FEWEST_ERRORS
from equipoise.train.recipe import Recipe, Resampling

__all__ = [
    "check_trainable",
    "fewest_images",
    "is_coded",
    "notes_of_shares",
    "notes_of_uniform",
    "outputs_of",
    "rule_of",
    "told_classes",
    "vae_ids",
    "weighted_classes",
    "weighted_rows",
]

SHOWN = 3  # classes that a line names
NEIGHBOURS = 20  # of the rule of that name


def outputs_of(class_names: Sequence[str]) -> int:
    """Logits that a model of these classes has: one for two of them, else one a class."""
    return 1 if len(class_names) == 2 else len(class_names)


def rule_of(settings: Resampling, *, embedded: bool) -> str:
    """The rule that is used: with an embedding, "neighbours" in place of "appearance"."""
    return "neighbours" if embedded and settings.rule == "appearance" else settings.rule


def is_coded(settings: Resampling, *, embedded: bool) -> bool:
    """Whether the rule weighs latent codes of the model that is trained."""
    return not embedded and settings.rule not in ("appearance", "errors")


def vae_ids(chosen: Recipe, class_names: Sequence[str]) -> tuple[int, ...] | None:
    """Ids of the classes that the recipe names for the VAE; None if it names none: the positives, or all of K > 2.

    Raises:
        InputError: if one is no class of these.
    """
    if chosen.vae_classes is None:
        return None
    if unknown := [name for name in chosen.vae_classes if name not in class_names]:
        raise InputError(
            f"Expected `vae_classes` among the classes of the training data, {told_classes(class_names)}; got "
            f"{told_classes(unknown)}. Name classes as the data do."
        )
    return tuple(sorted(class_names.index(name) for name in chosen.vae_classes))


def weighted_classes(chosen: Recipe, class_names: Sequence[str], *, embedded: bool) -> tuple[int, ...]:
    """Ids of the classes whose images are drawn by weights, descending.

    Of two classes the positives, or both as `Resampling.classes` says; of more, all. Rules on latent codes weigh no
    class but those that carry the VAE: of others the codes say nothing.

    Raises:
        InputError: if the VAE's classes are none of these, or the positives are to be weighted and do not carry it.
    """
    settings, carrying = chosen.resampling, vae_ids(chosen, class_names)
    if not is_coded(settings, embedded=embedded):
        carrying = None
    if len(class_names) > 2:
        wanted = tuple(range(len(class_names))) if carrying is None else carrying
        return wanted[::-1]
    wanted = (1, 0) if settings.classes == "both" or settings.rule == "errors" else (1,)
    if carrying is not None and not set(wanted) <= set(carrying):
        raise InputError(
            f"Rule {settings.rule!r} weighs latent codes of the positives, class {class_names[1]!r}, which must carry "
            f"the VAE; got vae_classes {told_classes(chosen.vae_classes or ())}. Name it too, or use rule 'appearance'."
        )
    return wanted


def weighted_rows(table: ImageTable, classes: Sequence[int]) -> NDArray[np.int64]:
    """Rows of the images of these classes, class after class, in row order within each."""
    order = np.argsort(table.labels, kind="stable").astype(np.int64)
    ends = np.searchsorted(table.labels[order], np.arange(max(classes, default=-1) + 2))
    return np.concatenate([order[ends[c] : ends[c + 1]] for c in classes] or [order[:0]])


def fewest_images(settings: Resampling, *, embedded: bool) -> int:
    """Images that a class must have for its images to be weighted."""
    rule = rule_of(settings, embedded=embedded)
    clusters = settings.clusters + 1
    of_rule = {
        "appearance": FEWEST,
        "errors": 2 * FEWEST_ERRORS,
        "neighbours": NEIGHBOURS + 1,
        "mixture": clusters,
        "clusters": clusters,
    }
    return max(of_rule.get(rule, 2), 1 if settings.ess is None else math.ceil(1 / settings.ess))


def told_classes(names: Collection[str]) -> str:
    """Some names, and how many more there are."""
    return _some([f"{name!r:.60}" for name in names])


def _some(told: Sequence[str]) -> str:
    shown = ", ".join(told[:SHOWN])
    return f"{shown} and {len(told) - SHOWN} more" if len(told) > SHOWN else shown or "none"


def check_trainable(table: ImageTable, batch_size: int, processes: int = 1) -> None:
    """Whether a table can fill balanced batches.

    Raises:
        InputError: if it cannot; says what is missing.
    """
    if len(table) and table.labels.min() < 0:
        raise InputError(f"Labels must be class ids 0…K−1; got {table.labels.min()} too. Number the classes.")
    if table.two_classes:
        _check_two(table, batch_size, processes)
        return
    names = table.class_names
    counts = np.bincount(table.labels, minlength=len(names))
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    if absent:
        raise InputError(
            f"Training needs images of every class; got none of {told_classes(absent)} among {len(table)} images of "
            f"{len(names)} classes. Add images of it, or leave the class out."
        )
    if batch_size % processes:
        raise InputError(
            f"A batch of {batch_size} images cannot be shared by {processes} processes. "
            f"Choose a batch size that is a multiple of {processes}."
        )
    if len(table) < batch_size:
        least = int(counts.argmin())
        raise InputError(
            f"A batch of {batch_size} needs as many images; got {len(table)} of {len(names)} classes, fewest of class "
            f"{names[least]!r:.60}: {counts[least]}. Add images or choose a smaller batch size."
        )


def _check_two(table: ImageTable, batch_size: int, processes: int) -> None:
    positives, negatives = len(table.positives), len(table.negatives)
    for name, count in (("positives (label 1)", positives), ("negatives (label 0)", negatives)):
        if count == 0:
            raise InputError(
                f"Training needs positives and negatives; got no {name} among {len(table)} images. "
                "Add images of that class."
            )
    if batch_size % (2 * processes):
        raise InputError(
            f"A batch of {batch_size} images cannot be shared by {processes} process(es), half positives each. "
            f"Choose a batch size that is a multiple of {2 * processes}."
        )
    if len(table) < batch_size or min(positives, negatives) < batch_size // 2:
        raise InputError(
            f"A batch of {batch_size} needs {batch_size // 2} positives and as many negatives; got {positives} and "
            f"{negatives}. Add images or choose a smaller batch size."
        )


def notes_of_shares(table: ImageTable, batch_size: int) -> list[str]:
    """Which of more than two classes have fewer images than their share of a batch, in words."""
    names = table.class_names
    share = -(-batch_size // len(names))
    counts = np.bincount(table.labels, minlength=len(names))
    few = [f"{name!r:.60} ({count})" for name, count in zip(names, counts, strict=True) if 0 < count < share]
    if len(names) == 2 or not few:
        return []
    return [
        f"Fewer images of a class than its share of a batch, {share} of {batch_size}: {_some(few)}. Each of these "
        "images is in a batch more than once."
    ]


def notes_of_uniform(class_names: Sequence[str], uniform: Collection[int], settings: Resampling) -> list[str]:
    """Which classes are drawn uniformly though they were to be weighted, in words."""
    if not uniform:
        return []
    told = told_classes([class_names[class_id] for class_id in sorted(uniform)])
    return [
        f"Drawn uniformly, not by rarity: {told}. They have too few images, or images too much alike, for weights by "
        f"rule {settings.rule!r}."
    ]
