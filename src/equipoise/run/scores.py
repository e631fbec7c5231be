"""A row an image, with what models made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.files import replacing
from equipoise.probabilities import Probabilities
from equipoise.sharing import shared_path

METADATA = "equipoise"

__all__ = ["shared_paths", "write_scores"]


def write_scores(
    path: Path,
    table: ImageTable,
    probabilities: Mapping[str, NDArray[Any]],
    log_density: NDArray[np.float64] | None,
    *,
    split: str | None = None,
    labelled: bool = True,
    class_names: Sequence[str] | None = None,
    made: Mapping[str, Any] | None = None,
) -> None:
    """Write a row an image: path, label, split, the probabilities, log-density, attributes.

    Paths are without places of this machine.

    Args:
        path: A Parquet file, replaced atomically.
        table: The images, for their labels and attributes.
        probabilities: Column name → probability of the positive class; any other column of scores will do. Where a
            probability knows its logit, a column with that stands beside it: "logit" in place of "probability".
        log_density: Nats, higher = more common; None leaves the column out.
        split: The side of the split that they belong to; None leaves the column out.
        labelled: False leaves the label column empty.
        class_names: Of the models, by id; None takes the table's. Of more than two classes probabilities are matrices,
            each written as a column a class and the class predicted; labels are names, and
            `run.evaluate_predictions` reads the file.
        made: Model → which it is and how pictures were made for it, written as JSON into the schema's metadata, key
            "equipoise".
    """
    n = len(table)
    names = np.array(table.class_names if class_names is None else class_names, dtype=object)
    attributes = {name: table.attributes.column(name) for name in table.attributes.column_names}
    many = len(names) > 2
    labels = pa.array(names[table.labels] if many and labelled else table.labels)
    labels = labels if labelled else pa.nulls(n, pa.string() if many else pa.int64())
    paths = attributes.pop("path", pa.nulls(n, pa.string()))
    columns = {"path": shared_paths(paths), "label": labels}
    if split is not None:
        columns["split"] = pa.repeat(split, n)
    for name, values in probabilities.items():
        if np.ndim(values) == 2:
            columns[name.replace("probability", "predicted", 1)] = pa.array(names[np.argmax(values, axis=1)])
            for number, class_name in enumerate(names):
                columns[f"{name}_{class_name}"] = pa.array(np.asarray(values)[:, number])
            continue
        columns[name] = pa.array(np.asarray(values))
        if isinstance(values, Probabilities) and values.logits is not None:
            columns[name.replace("probability", "logit", 1)] = pa.array(values.logits)
    if log_density is not None:
        columns["log_density"] = pa.array(log_density)
    for name, values in attributes.items():
        columns[name if name not in columns else f"attribute_{name}"] = values
    found = pa.table(columns)
    if made is not None:
        found = found.replace_schema_metadata({METADATA: json.dumps(made, ensure_ascii=False)})
    with replacing(path) as temporary:
        pq.write_table(found, temporary)


def shared_paths(column: Any, below: str | None = None) -> Any:
    """A column of paths as others may see them, see `shared_path`; any other column as it is."""
    if not pa.types.is_string(column.type) or not pc.any(pc.starts_with(column, "/")).as_py():
        return column
    known = {path: shared_path(path, below) for path in column.unique().to_pylist() if path is not None}
    return pa.array([None if path is None else known[path] for path in column.to_pylist()], pa.string())
