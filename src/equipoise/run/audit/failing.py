"""The hidden groups that a model fails on, sought with what an audit knows of its images anyway."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.report.audit.record import AuditSlices
from equipoise.run.audit.view import Looked
from equipoise.run.found_slices import known_columns, slices_record
from equipoise.run.naming import Named
from equipoise.seeds import child_seed
from equipoise.slices import Found, Options, find

__all__ = ["FILE", "FLAGS", "class_names_of", "slices_of"]

FILE = "slices.parquet"
FLAGS = "mislabelled", "bad picture"  # kinds of image that may be what is wrong with a slice


def slices_of(
    table: ImageTable,
    seen: Looked,
    kinds: Sequence[str],
    groups: Sequence[str],
    *,
    seed: int,
    folder: Path,
    words: Named | None = None,
    pictures: Callable[[], Any] = tuple,
) -> tuple[AuditSlices, Found | None]:
    """Slices of the audited images, also written as slices.parquet; or why none can be sought.

    Args:
        table: The images.
        seen: What the model says and sees of them.
        kinds: What kind the audit calls each image.
        groups: Columns that were asked for; others are taken if they have few values.
        seed: Of the audit.
        folder: Where slices.parquet goes; none is written where none can be sought.
        words: Words that slices are compared with; None without.
        pictures: Gives vectors of the images in the space of the words; asked where slices were found.
    """
    began, names = time.process_time(), known_columns(table.attributes, groups)
    flags: Mapping[str, Bool[ndarray, " n"]] = {flag: np.asarray(kinds) == flag for flag in FLAGS}
    options = Options(seed=child_seed(seed, "slices"))
    try:
        found = find(
            seen.features,
            table.labels,
            seen.probabilities,
            columns={name: table.column(name) for name in names},
            together=[table.digests.tolist()],
            class_names=class_names_of(table, seen.probabilities.shape[1]),
            flags=flags,
            options=options,
        )
    except (
        InputError
    ) as error:  # too few images, or features that are all the same: the rest of the audit stands
        return AuditSlices([], [], options.fdr, names, [], str(error), time.process_time() - began), None
    paths = table.column("path") if "path" in table.attributes.column_names else None
    found.write(folder / FILE, paths)
    seconds = time.process_time() - began
    near = None if words is None else words.of(found, table.labels, pictures)
    return slices_record(found, names, seconds, near), found


def class_names_of(table: ImageTable, classes: int) -> tuple[str, ...]:
    """Of every class that the model knows; those that the images do not name are told by number."""
    names = table.class_names[:classes]
    return (*names, *(f"class {number}" for number in range(len(names), classes)))
