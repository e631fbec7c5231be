"""Scores of any number of samples, to a Parquet file, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from equipoise.errors import InputError
from equipoise.files import replacing
from equipoise.nn import evaluating
from equipoise.risk.risk import KINDS
from equipoise.risk.seen import Batches, taken
from equipoise.risk.wrapped import Wrapped

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_risks"]


def write_risks(
    wrapped: Wrapped,
    batches: Batches,
    path: str | os.PathLike[str],
    *,
    percentiles: bool = False,
    ids: Iterable[Any] | None = None,
    rows_per_group: int = 65_536,
) -> int:
    """Score batches and write a row a sample; memory holds one row group and one batch.

    Columns: `id`; `prediction`, or `prediction_0`, `prediction_1`, … of several outputs; the risks that the methods
    tell; `raw.method.score` for every raw score.

    Args:
        wrapped: Scored in evaluation mode, on the device where it is.
        batches: Tensors of inputs, or tuples that begin with them.
        path: The file, replaced atomically.
        percentiles: Also `representation_percentile`, `epistemic_percentile`, `aleatoric_percentile`: shares of the
            held-out data given to `calibrate` that are less at risk.
        ids: What names each sample, in order; read as it is needed.
        rows_per_group: Rows of a Parquet row group.

    Returns:
        Rows written.

    Raises:
        InputError: if there are no batches, more or fewer ids than samples, or predictions are not vectors.
        NotFittedError: if a method has seen too little, or percentiles are asked for before `calibrate`.
        DataError: if the file cannot be written.
    """
    if rows_per_group < 1:
        raise InputError(f"rows_per_group must be at least 1; got {rows_per_group}. Use 65536.")
    from pyarrow import parquet

    names = None if ids is None else iter(ids)
    rows = 0
    with replacing(path) as temporary:
        writer = None
        try:
            for block in _groups(_scored(wrapped, batches, names, percentiles=percentiles), rows_per_group):
                writer = writer or parquet.ParquetWriter(temporary, block.schema)
                writer.write_table(block, row_group_size=rows_per_group)
                rows += block.num_rows
        finally:
            if writer is not None:
                writer.close()
        if not rows:
            raise InputError("Expected batches to score; got none. Give a list or a data loader.")
        if names is not None and next(names, names) is not names:
            raise InputError(
                f"Expected one id for each of {rows} samples; got more. Give the ids of these samples."
            )
    return rows


def _scored(
    wrapped: Wrapped, batches: Batches, names: Iterator[Any] | None, *, percentiles: bool
) -> Iterator[pa.Table]:
    """A table a batch."""
    import pyarrow as pa

    home = next((tensor.device for tensor in wrapped.model.parameters()), None)
    with evaluating(wrapped):
        for batch in batches:
            inputs, _ = taken(batch)
            with torch.no_grad():
                returned, risk = wrapped(inputs if home is None else inputs.to(home), return_risk=True)
            columns: dict[str, Any] = {}
            if names is not None:
                found = list(islice(names, len(inputs)))
                if len(found) != len(inputs):
                    raise InputError(
                        "Expected one id for each sample; got fewer. Give the ids of these samples."
                    )
                columns["id"] = found
            columns |= _predictions(wrapped.prediction_of(returned))
            ranked = wrapped.percentile(risk) if percentiles else None
            for kind in KINDS:
                values = getattr(risk, kind)
                if values is not None:
                    columns[kind] = _values(values)
                    if ranked is not None:
                        columns[f"{kind}_percentile"] = _values(getattr(ranked, kind))
            columns |= {f"raw.{name}": _values(values) for name, values in risk.raw.items()}
            yield pa.table(columns)


def _groups(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows`, the last one perhaps smaller."""
    import pyarrow as pa

    kept: list[pa.Table] = []
    held = 0
    for table in tables:
        kept.append(table if not kept else table.cast(kept[0].schema))
        held += table.num_rows
        if held >= rows:
            whole = pa.concat_tables(kept)
            full = held - held % rows
            yield whole.slice(0, full)
            rest = whole.slice(full)
            # Copied: a slice would keep all of the group in memory.
            kept = [rest.take(pa.array(range(rest.num_rows), pa.int64()))] if rest.num_rows else []
            held -= full
    if held:
        yield pa.concat_tables(kept)


def _predictions(prediction: Tensor) -> dict[str, Any]:
    if prediction.ndim == 1 or (prediction.ndim == 2 and prediction.shape[1] == 1):
        return {"prediction": _values(prediction.reshape(len(prediction)))}
    if prediction.ndim != 2:
        raise InputError(
            f"Expected a value or a vector for each sample; got predictions of shape {tuple(prediction.shape)}. "
            "Say which part is the prediction, output=...."
        )
    return {f"prediction_{place}": _values(column) for place, column in enumerate(prediction.T)}


def _values(values: Tensor) -> Any:
    kept = values if values.dtype == torch.float64 else values.float()
    return kept.detach().cpu().contiguous().numpy()
