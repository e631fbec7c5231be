"""HDF5 files read for what they hold themselves, never for what they point at.

HDF5 may keep a data set in any other file of the machine (external storage, external links, virtual data sets)
and decode it by a library found at run time (filters beside its own). A file from somebody else that does is
refused, and so is one that claims far more than it stores.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from equipoise.errors import DataError, EquipoiseError, MissingExtraError
from equipoise.files import regular

__all__ = ["column", "data_sets", "opened"]

FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # those of HDF5 itself (deflate, shuffle, …), and LZF, which is h5py's
MOST_BYTES = 256 << 20  # of a chunk, and of a column
MOST_SHRUNK, SMALL_BYTES = 100, 64 << 20  # no photographs shrink by more; small sets may be of one colour
LINKS = 8  # followed one after another
TEXTS = 16  # of any length read at a time: a small file may hold one long text many times


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file, open for reading; whatever goes wrong in the block is told with the file's name.

    Raises:
        MissingExtraError: if h5py is not installed.
        DataError: if it is no HDF5 file, or damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {path} needs h5py; it is not installed. Run: pip install 'equipoise[hdf5]'"
        ) from error
    try:
        file = h5py.File(regular(path), "r")
    except EquipoiseError:
        raise
    except Exception as error:  # of a damaged file, h5py raises almost anything
        raise DataError(f"Expected an HDF5 file at {path}; got: {error}. Check the file.") from error
    with file:
        try:
            yield file
        except EquipoiseError:
            raise
        except Exception as error:
            raise DataError(
                f"Expected to read the HDF5 file {path} to the end; got: {error}. Is the file whole?"
            ) from error


def data_sets(file: Any, path: Path) -> dict[str, Any]:
    """The data sets at the top of an open file, by name.

    Raises:
        DataError: if one lies in another file, needs a filter that is not HDF5's own, or claims more than the
            file can hold.
    """
    import h5py

    found = {}
    for name in file:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise _refused(path, f"the name {name.encode(errors='replace')!r}, which is not UTF-8") from None
        item = _inside(file, name, path, LINKS)
        if isinstance(item, h5py.Dataset):
            _check_own(item, name, path)
            found[name] = item
    return found


def column(item: Any, name: str, path: Path) -> pa.Array | None:
    """The values of a data set, one a row, numbers or text; None if they are something else.

    Raises:
        DataError: if they are too many bytes, or text that is not UTF-8.
    """
    kind, rows = item.dtype, item.shape[0]
    if rows * kind.itemsize > MOST_BYTES:
        raise _refused(path, f"{name!r} of {rows * kind.itemsize:,} bytes, more than {MOST_BYTES:,}")
    if kind.kind in "biu" or (kind.kind == "f" and kind.itemsize <= 8):
        return pa.array(np.asarray(item).reshape(rows).astype(kind.newbyteorder("=")))
    if kind.kind == "f":
        return pa.array(np.asarray(item).reshape(rows).astype(np.float64))
    if kind.kind not in "OS":
        return None
    texts: list[str] = []
    held = 0
    for start in range(0, rows, TEXTS if kind.kind == "O" else max(1, rows)):
        values = np.asarray(item[start : start + (TEXTS if kind.kind == "O" else rows)]).ravel()
        if not all(isinstance(value, bytes | str) for value in values):
            return None
        held += sum(map(len, values))
        if held > MOST_BYTES:
            raise _refused(path, f"texts of more than {MOST_BYTES:,} bytes in {name!r}")
        try:
            texts += [value.decode() if isinstance(value, bytes) else value for value in values]
            pa.array(texts[-1:])
        except UnicodeError:
            raise _refused(path, f"text in {name!r} that is not UTF-8") from None
    return pa.array(texts, pa.string())


def _inside(group: Any, place: str, path: Path, follow: int) -> Any:
    """What lies at a place of a file, by links that stay in it."""
    import h5py

    here = group.file if place.startswith("/") else group
    for part in filter(lambda part: part not in ("", "."), place.split("/")):
        link = here.get(part, getlink=True)
        if isinstance(link, h5py.SoftLink) and follow:
            here = _inside(here, link.path, path, follow - 1)
        elif isinstance(link, h5py.HardLink):
            here = here[part]
        else:
            other = getattr(link, "filename", None)
            raise _refused(path, f"{place!r}, a link {f'to {other}' if other else 'without end'}")
    return here


def _check_own(item: Any, name: str, path: Path) -> None:
    made = item.id.get_create_plist()
    if made.get_external_count():
        raise _refused(path, f"{name!r}, which is stored in {made.get_external(0)[0]!r}")
    if item.is_virtual:
        raise _refused(path, f"{name!r}, which is put together from other files")
    for index in range(made.get_nfilters()):
        filter_id, _, _, title = made.get_filter(index)
        if filter_id not in FILTERS:
            raise _refused(path, f"{name!r}, which needs the filter {filter_id} ({title!r})")
    claimed = math.prod(item.shape or (0,)) * item.dtype.itemsize
    stored = item.id.get_storage_size()
    if claimed > max(MOST_SHRUNK * stored, SMALL_BYTES):
        raise _refused(path, f"{name!r} that claims {claimed:,} bytes and stores {stored:,}")
    if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > MOST_BYTES:
        raise _refused(path, f"{name!r} in chunks {item.chunks}, more than {MOST_BYTES:,} bytes each")


def _refused(path: Path, found: str) -> DataError:
    return DataError(
        f"Expected an HDF5 file that holds its data itself, as numbers and UTF-8 text, in {path}; got {found}. "
        "Copy the data into a plain file."
    )
