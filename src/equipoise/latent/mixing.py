"""Real and generated images in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.seeds import child_seed

__all__ = ["mixed"]


def mixed(real: ImageTable, generated: ImageTable, share: float, *, seed: int = 0) -> ImageTable:
    """All real images and so many generated ones, in whole pairs, that these are a share of the result.

    The attribute `generated` is False for the real images, where they do not have it.

    Args:
        real: Images of the world.
        generated: What `pairs` gave.
        share: Of the result, in [0, 1); the nearest that whole pairs allow.
        seed: Decides which pairs.

    Raises:
        InputError: if there are too few pairs, or `generated` has none.
    """
    if not 0 <= share < 1:
        raise InputError(f"A share must be in [0, 1); got {share}. 0.5 is as many generated as real.")
    if "generated" not in real.attributes.column_names:
        real = _with_column(real, "generated", [False] * len(real))
    ids = np.asarray(generated.column("pair"))
    names, sizes = np.unique(ids, return_counts=True)
    wanted = share / (1 - share) * len(real)
    order = np.random.default_rng(child_seed(seed, "mixed")).permutation(len(names))
    totals = np.cumsum(sizes[order])
    take = int(np.argmin(np.abs(np.concatenate([[0], totals]) - wanted)))
    if wanted > totals[-1] + sizes.max() / 2:
        raise InputError(
            f"A share of {share:g} beside {len(real)} real images needs {round(wanted)} generated ones; got "
            f"{totals[-1]} in {len(names)} pairs. Make {-(-round(wanted) // int(sizes.max()))} pairs, or lower it."
        )
    if not take:
        return real
    rows = np.isin(ids, names[np.sort(order[:take])])
    return ImageTable.concat([real, generated.take(rows)])


def _with_column(table: ImageTable, name: str, values: Sequence[Any]) -> ImageTable:
    columns = table.attributes if table.attributes.num_columns else pa.table({name: pa.array(values)})
    if name not in columns.column_names:
        columns = columns.append_column(name, pa.array(values))
    return ImageTable(
        table.parts,
        table.rows,
        table.labels,
        columns,
        table.digests,
        table.rejected,
        table.notes,
        framing=table.framing,
    )
