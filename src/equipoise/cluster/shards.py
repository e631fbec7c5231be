"""Shards: columns of some rows as a Parquet file, written whole or not at all, and read as what it may be."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.files import read_bytes, write_bytes

__all__ = ["Columns", "Shard", "ShardFolder", "cut", "packed", "unpacked"]

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""Name → values of some rows, shape (n,) or (n, d)."""

NAME = re.compile(r"shard-(\d{12})-(\d{12})\.parquet")
KEY = b"equipoise-shard"
MOST_BYTES = 1 << 30  # of a file of ours


class Shard(NamedTuple):
    """Rows start…stop−1."""

    start: int
    stop: int

    @property
    def file(self) -> str:
        """What its file is called."""
        return f"shard-{self.start:012}-{self.stop:012}.parquet"


def cut(rows: int, most: int, done: Iterable[Shard] = (), first: int = 0) -> list[Shard]:
    """What is missing of rows first…rows−1, in shards of at most `most`, in order.

    Args:
        rows: Of the whole.
        most: Rows a shard, at least 1.
        done: Finished shards, of any sizes, none overlapping another.
        first: Rows before it are there.

    Example:
        >>> cut(10, 4, [Shard(3, 5)])
        [Shard(start=0, stop=3), Shard(start=5, stop=9), Shard(start=9, stop=10)]
    """
    found: list[Shard] = []
    for start, stop in (*sorted(done), Shard(rows, rows)):
        found += [Shard(one, min(one + most, start)) for one in range(first, start, most)]
        first = max(first, stop)
    return found


def packed(columns: Columns, key: str) -> bytes:
    """Columns as the bytes of a Parquet file, with the key of what they are of.

    Example:
        >>> unpacked(packed({"logit": np.ones((2, 3), np.float32)}, "of these"), 2, "of these")["logit"].shape
        (2, 3)
    """
    fields = {name: _array(np.asarray(values)) for name, values in columns.items()}
    table = pa.table(fields).replace_schema_metadata({KEY: key.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_page_checksum=True)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def unpacked(data: bytes, rows: int, key: str) -> dict[str, NDArray[Any]]:
    """The columns again.

    Raises:
        ValueError: if it is no such file, of other rows, or of something else.
    """
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet file: {error}") from error
    if (table.schema.metadata or {}).get(KEY) != key.encode() or table.num_rows != rows:
        raise ValueError(f"{table.num_rows} rows of something else")
    return {name: _values(table.column(name)) for name in table.column_names}


def _array(values: NDArray[Any]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.combine_chunks()
    listed = pa.types.is_fixed_size_list(array.type)
    flat = array.flatten() if listed else array
    if array.null_count or flat.null_count or not pa.types.is_floating(flat.type):
        raise ValueError(f"a column of {array.type} with {array.null_count} nulls")
    values: NDArray[Any] = flat.to_numpy(zero_copy_only=False)
    return values.reshape(len(array), -1) if listed else values


@dataclass(frozen=True)
class ShardFolder:
    """Where finished shards lie.

    Args:
        path: A folder, made when it is needed.
        key: Of what they are; shards of something else are not taken.
    """

    path: Path
    key: str

    def finished(self, rows: int, first: int = 0) -> Iterator[tuple[Shard, dict[str, NDArray[Any]]]]:
        """Shards that are there and sound, in order, none overlapping another; what is not goes."""
        end = first
        for file in sorted(self.path.glob("shard-*.parquet")):
            named = NAME.fullmatch(file.name)
            shard = Shard(int(named[1]), int(named[2])) if named else Shard(0, 0)
            try:
                if not end <= shard.start < shard.stop <= rows:
                    raise ValueError("other rows")
                columns = unpacked(read_bytes(file, most=MOST_BYTES), shard.stop - shard.start, self.key)
            except (OSError, ValueError):
                file.unlink(missing_ok=True)
                continue
            end = shard.stop
            yield shard, columns

    def write(self, shard: Shard, data: bytes) -> None:
        """Keep a finished one.

        Raises:
            DataError: if the folder cannot be written or the disk is full.
        """
        write_bytes(self.path / shard.file, data)

    def clear(self) -> None:
        """Remove all shards, and the folder if nothing else lies in it."""
        for file in self.path.glob("shard-*.parquet"):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()
