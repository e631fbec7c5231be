"""An embedding that the user brings, as vectors of images: from a network, an array or a column."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from equipoise.data import ImageTable
from equipoise.data.vector_file import list_vectors
from equipoise.errors import InputError
from equipoise.nn import digest_of, embed
from equipoise.train.classes import weighted_rows
from equipoise.train.device import device_of
from equipoise.train.rarity import check_resampling
from equipoise.train.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Embedded",
    "Embedding",
    "column_vectors",
    "embedded",
    "embedding_identity",
    "embedding_vectors",
    "timed_vectors",
]

#: Where rarity is measured: a network, vectors of the rows, a column's name, or `Embedded`.
Embedding: TypeAlias = "nn.Module | ArrayLike | Tensor | str | Embedded"
"""A network from images (batch, channels, height, width) in [0, 1] to vectors (batch, d); or vectors, one row an image
of the table; or the name of a column of the table that holds them."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vectors of some images of a table, once they are computed.

    Args:
        vectors: One row an image, finite.
        rows: Which images of the table.
        identity: See `embedding_identity`.
        seconds: What it took.
    """

    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]
    identity: str
    seconds: float


def embedded(
    embedding: Embedding, table: ImageTable, rows: NDArray[np.int64], *, device: str = "auto"
) -> Embedded:
    """The embedding of some images: computed before anything is trained, and used by whatever is trained then.

    Raises:
        InputError: as `embedding_vectors` does.
    """
    began = time.perf_counter()
    vectors = embedding_vectors(embedding, table, rows, device=device)
    return Embedded(vectors, rows, embedding_identity(embedding), time.perf_counter() - began)


def embedding_vectors(
    embedding: Embedding, table: ImageTable, rows: NDArray[np.int64], *, device: str = "auto"
) -> NDArray[np.float32]:
    """Vectors of some images, shape (len(rows), d).

    A network works on `device`, and is put back where it was.

    Raises:
        InputError: if the network or the vectors are not as `Embedding` says, or a vector is not finite.
    """
    if isinstance(embedding, Embedded):
        if not np.array_equal(embedding.rows, rows):
            raise InputError(
                f"Expected vectors of {len(rows)} images that are weighted; got those of {len(embedding.rows)} others. "
                "Embed the images of this table."
            )
        return embedding.vectors
    if not isinstance(embedding, nn.Module):
        return _vectors(embedding, table, rows)
    return embed(embedding, table, rows=rows, device=device_of(device))


def embedding_identity(embedding: Embedding) -> str:
    """What tells this embedding from another: a name, and a digest of its weights or vectors."""
    if isinstance(embedding, Embedded):
        return embedding.identity
    if isinstance(embedding, str):
        return f"column {embedding}"
    if isinstance(embedding, nn.Module):
        return f"{type(embedding).__name__} {digest_of(embedding)}"
    return f"vectors {digest_of(np.ascontiguousarray(_array(embedding), np.float32))}"


def column_vectors(table: ImageTable, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors of some images in a column of lists of numbers, shape (len(rows), d); others may have none.

    Raises:
        InputError: if there is no such column, it holds something else, a row has none, or lengths differ.
    """
    return list_vectors(table.attributes, name, rows, of="every image that is weighted")


def timed_vectors(
    chosen: Recipe,
    weighted: tuple[int, ...],
    embedding: Embedding | None,
    table: ImageTable,
    device: str,
) -> tuple[NDArray[np.float32] | None, float]:
    """The vectors that rarity is measured in, None without an embedding, and the seconds that they took.

    Args:
        chosen: The recipe.
        weighted: Ids of the classes that it weighs.
        embedding: The embedding.
        table: What is trained on.
        device: Where a network runs.

    Raises: what `check_resampling` and `embedding_vectors` do.
    """
    if not weighted:
        return None, 0.0
    began = time.perf_counter()
    codes, classes = chosen.objective == "db-vae", len(table.class_names)
    check_resampling(chosen.resampling, embedded=embedding is not None, codes=codes, classes=classes)
    vectors = None
    if embedding is not None:
        vectors = embedding_vectors(embedding, table, weighted_rows(table, weighted), device=device)
    earlier = embedding.seconds if isinstance(embedding, Embedded) else 0.0
    return vectors, time.perf_counter() - began + earlier


def _vectors(embedding: Any, table: ImageTable, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    if isinstance(embedding, str):
        values, where = column_vectors(table, embedding, rows), f"column {embedding!r}"
    else:
        given, where = _array(embedding), "the embedding"
        if given.ndim != 2 or len(given) != len(table) or not given.shape[1]:
            raise InputError(
                f"Expected one vector for each of {len(table)} images, shape ({len(table)}, d); got shape "
                f"{given.shape}. Embed the images of this table, in its order."
            )
        with np.errstate(over="ignore"):
            values = given[rows].astype(np.float32, copy=False)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise InputError(
            f"Vectors must be finite; got NaN or infinity in {where} for image {rows[int((~finite).argmax())]}, "
            "as a 32-bit number. Look at that picture, or drop it."
        )
    return values


def _array(embedding: Any) -> NDArray[Any]:
    found = np.asarray(embedding.detach().cpu() if isinstance(embedding, Tensor) else embedding)
    if found.dtype.kind not in "fiu":
        raise InputError(
            f"An embedding must be a torch nn.Module, vectors of numbers, or a column's name; got "
            f"{type(embedding).__name__}. Put a function into a module's forward."
        )
    return found
