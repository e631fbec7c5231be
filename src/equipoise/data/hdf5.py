"""HDF5 files read for what they hold themselves, never for what they point at.

HDF5 may keep a data set in any other file of the machine (external storage, external links, virtual data sets)
and decode it by a library found at run time (filters beside its own). A file from somebody else that does is
refused, and so is one that claims far more than it stores.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from equipoise.data.hdf5_text import heap_texts
from equipoise.errors import DataError, EquipoiseError, MissingExtraError
from equipoise.files import regular

__all__ = ["column", "data_sets", "opened"]

DEFLATE, SHUFFLE, CHECKSUM, LZF = 1, 2, 3, 32000
FILTERS = {DEFLATE: "deflate", SHUFFLE: "shuffle", CHECKSUM: "fletcher32", LZF: "lzf"}
SWELLS = {DEFLATE: 1032, LZF: 88}  # times at most; HDF5 unpacks all of it, whatever a chunk should hold
MOST_BYTES = 256 << 20  # of a chunk, packed or not, and of a column
MOST_SHRUNK, SMALL_BYTES = 100, 64 << 20  # no photographs shrink by more; small sets may be of one colour
LINKS = 8  # followed one after another


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
        if not isinstance(name, str):
            raise _refused(path, f"the name {name!r}, which is not UTF-8")
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
    import h5py

    kind, rows = item.dtype, item.shape[0]
    if rows * kind.itemsize > MOST_BYTES:
        raise _refused(path, f"{name!r} of {rows * kind.itemsize:,} bytes, more than {MOST_BYTES:,}")
    if kind.kind in "biu" or (kind.kind == "f" and kind.itemsize <= 8):
        return pa.array(np.asarray(item).reshape(rows).astype(kind.newbyteorder("=")))
    if kind.kind == "f":
        return pa.array(np.asarray(item).reshape(rows).astype(np.float64))
    text = h5py.check_string_dtype(kind)
    if text is None:
        return None
    try:
        values = heap_texts(item, MOST_BYTES) if text.length is None else np.asarray(item).ravel().tolist()
        return pa.array([value.decode() for value in values], pa.string())
    except UnicodeDecodeError:
        raise _refused(path, f"text in {name!r} that is not UTF-8") from None


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
    stored, claimed = item.id.get_storage_size(), math.prod(item.shape or (0,)) * item.dtype.itemsize
    if claimed > max(MOST_SHRUNK * stored, SMALL_BYTES) or stored > item.file.id.get_filesize():
        raise _refused(path, f"{name!r} that claims {claimed:,} bytes and stores {stored:,}")
    filters = [made.get_filter(index)[0] for index in range(made.get_nfilters())]
    unknown = next((found for found in filters if found not in FILTERS), None)
    if unknown is not None:
        raise _refused(path, f"{name!r}, which needs the filter {unknown}")
    packed = [found for found in filters if found != CHECKSUM]
    if any(found in SWELLS for found in packed[:-1]):
        raise _refused(path, f"{name!r}, packed more than once or shuffled after it")
    if item.chunks:
        _check_chunks(item, name, path, packed[-1] if packed else None)


def _check_chunks(item: Any, name: str, path: Path, packing: int | None) -> None:
    """Refuse chunks that lie outside the file, or that unpack to far more than they should hold."""
    whole = math.prod(item.chunks) * item.dtype.itemsize
    if whole > MOST_BYTES:
        raise _refused(path, f"{name!r} in chunks {item.chunks}, more than {MOST_BYTES:,} bytes each")
    end, large, outside = item.file.id.get_filesize(), [], []

    def look(chunk: Any) -> None:
        if chunk.byte_offset is None or chunk.byte_offset + chunk.size > end:
            outside.append(chunk)
        elif chunk.size * SWELLS.get(packing or 0, 1) > MOST_BYTES:
            large.append(chunk.chunk_offset)

    item.id.chunk_iter(look)
    if outside:
        raise _refused(path, f"{name!r} with chunks that lie outside the file")
    for place in large:
        if packing != DEFLATE:
            raise _refused(path, f"{name!r} in packed chunks of more than a few million bytes")
        with contextlib.suppress(zlib.error):  # which reading will tell
            unpacked = zlib.decompressobj().decompress(item.id.read_direct_chunk(place)[1], whole + 1)
            if len(unpacked) > whole:
                raise _refused(path, f"{name!r} with chunks that hold more than they should")


def _refused(path: Path, found: str) -> DataError:
    return DataError(
        f"Expected an HDF5 file that holds its data itself, as numbers and UTF-8 text, in {path}; got {found}. "
        "Copy the data into a plain file."
    )
