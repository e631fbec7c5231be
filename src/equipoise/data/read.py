"""`read`: one door for all sources. What the path is decides which reader opens it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from equipoise.data import (
    celeba,
    embedded,
    fairface,
    folder,
    lab_faces,
    lab_hdf5,
    manifest,
    ppb,
    utkface,
)
from equipoise.data.columns import without_dictionaries
from equipoise.data.listing import ENDINGS
from equipoise.data.pixels import Pixels, Progress, pixels_of
from equipoise.data.source import PICTURE_ENDINGS, Source, printable, without
from equipoise.data.table import PATH, ImageTable, Rejected
from equipoise.data.text_file import regular
from equipoise.errors import DataError, InputError

__all__ = ["FORMATS", "format_of", "read"]

FORMATS: dict[str, Callable[..., Source]] = {
    "folder": folder.image_folder,
    "manifest": manifest.manifest,
    "parquet": embedded.embedded,
    "lab-hdf5": lab_hdf5.lab_hdf5,
    "lab-faces": lab_faces.lab_faces,
    "celeba": celeba.celeba,
    "fairface": fairface.fairface,
    "utkface": utkface.utkface,
    "ppb": ppb.ppb,
}
"""Readers by the name that `format` takes."""

OPTIONS = {"path_column": "manifest", "channel_order": "lab-hdf5"}
NAMES_LOOKED_AT = 200
LINE = 10_000  # characters of a header that are looked at


def read(  # the one public door to all sources: each keyword may be left out by itself
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    label: int | None = None,
    label_column: str | None = None,
    positive: str | None = None,
    path_column: str | None = None,
    channel_order: str | None = None,
    image_size: int = 64,
    channels: int = 3,
    cache: str | os.PathLike[str] | None = None,
    max_rejected: float = 0.01,
    allow_outside: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ImageTable:
    """Pictures, labels and attributes of whatever lies at a path.

    Pictures are decoded once, in parallel, into a memory-mapped cache; a second start finds them there.
    Besides the attributes of the source, the column `path` says where a picture is from.

    A label of 1 is positive, 0 negative. Columns of −1 and 1 or of booleans count likewise, other whole
    numbers are class ids, and names are numbered in alphabetical order unless they say it themselves
    (positive, negative, face, nonface). `table.notes` tells what was taken. Columns of CSV, TSV and JSON lines
    are text, exactly as in the file; `docs/sources.md` says what is read how, and what is refused.

    Args:
        path: A folder of pictures (one folder a class, or flat), a CSV, TSV, JSON lines or Parquet manifest,
            Parquet with embedded pictures, the labs' HDF5 file or test faces, or CelebA, FairFace, UTKFace, PPB.
        format: One of `FORMATS`, to force a reader.
        label: The label of every picture: 1 for a source of positives, 0 for one of negatives.
        label_column: The attribute that is the label, where it is not what the source says by itself.
        positive: The class, by name, that is positive; all others are negative.
        path_column: Manifests: the column of paths.
        channel_order: HDF5: "rgb" or "bgr"; without it, the faces tell.
        image_size: Pixels a side. Pictures are cropped to their largest centred square and resized.
        channels: 3 for RGB, 1 for grey.
        cache: Folder of decoded pictures; by default $EQUIPOISE_CACHE, else the user's cache folder.
        max_rejected: Share of pictures in [0, 1] that may be unreadable; they are listed in `table.rejected`.
        allow_outside: Paths in tables and links may lead out of the folder that holds them.
        workers: Threads that decode; one a processor by default.
        progress: Called with the number of pictures decoded and of all.

    Raises:
        InputError: if an option does not fit.
        DataError: if there is nothing to read, labels are unknown, too many pictures cannot be read, or the
            cache cannot be written.
    """
    if not 0 <= max_rejected <= 1:
        raise InputError(f"max_rejected must be a share in [0, 1]; got {max_rejected}. 0.01 allows 1 %.")
    if not os.fspath(path).strip():
        raise InputError('Expected the path of a source; got an empty one. Give a path; "." is this folder.')
    source = source_at(
        Path(os.path.abspath(path)),
        format,
        allow_outside,
        path_column=path_column,
        channel_order=channel_order,
    )
    labels, classes = source.labels(label=label, label_column=label_column, positive=positive)
    pixels = pixels_of(
        source, image_size=image_size, channels=channels, cache=cache, workers=workers, progress=progress
    )
    columns = _attributes(source, pixels, used=label is not None or (label_column or source.label) == "label")
    return ImageTable(
        (pixels.images,),
        np.arange(len(pixels.kept), dtype=np.int64),
        labels[pixels.kept],
        columns,
        pixels.digests,
        _rejected(source, pixels, max_rejected, path),
        (*source.notes, *classes.notes, *pixels.notes),
        classes.ids,
    )


def format_of(path: Path) -> str:
    """Name of the format that a path seems to hold.

    Raises:
        DataError: if nothing lies there, or nothing that any reader opens.
    """
    if path.is_dir():
        return _format_of_folder(path)
    if not path.exists():
        raise DataError(f"Expected a folder or a file at {path}; got nothing. Check the path.")
    ending = regular(path).suffix.lower()
    if path.name == ppb.LISTING:
        return "ppb"
    if path.stem == celeba.ATTRIBUTES:
        return "celeba"
    if ending == ".csv" and _header(path) == list(fairface.COLUMNS):
        return "fairface"
    if ending == ".parquet":
        return "parquet" if embedded.holds_pictures(path) else "manifest"
    if ending in ENDINGS:
        return "manifest"
    if ending in (".h5", ".hdf5"):
        return "lab-hdf5"
    raise DataError(
        f"Expected a folder, or a file ending in {', '.join(ENDINGS)}, .h5 or .hdf5; got {path}. "
        f"Force a format: {', '.join(FORMATS)}."
    )


def _format_of_folder(path: Path) -> str:
    names = {entry.name for entry in path.iterdir()}
    if names & {f"{celeba.ATTRIBUTES}{ending}" for ending in (".txt", ".csv")} or (
        {"Anno", "img_align_celeba"} <= names
    ):
        return "celeba"
    if names & {f"fairface_label_{side}.csv" for side in fairface.SIDES}:
        return "fairface"
    if ppb.LISTING in names:
        return "ppb"
    if set(lab_faces.FOLDERS) <= names:
        return "lab-faces"
    if embedded.parquet_files(path):
        return "parquet"
    pictures = _pictures_in(path) or _pictures_in(next(filter(Path.is_dir, sorted(path.iterdir())), None))
    looked_at = pictures[:: max(1, len(pictures) // NAMES_LOOKED_AT)]
    if looked_at and sum(map(bool, map(utkface.NAME.fullmatch, looked_at))) > len(looked_at) / 2:
        return "utkface"
    return "folder"


def _pictures_in(folder: Path | None) -> list[str]:
    names = sorted(os.listdir(folder)) if folder else []
    return [name for name in names if os.path.splitext(name)[1].lower() in PICTURE_ENDINGS]


def _header(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return [cell.strip() for cell in file.readline(LINE).split(",")]


def source_at(path: Path, format: str | None, allow_outside: bool, **options: str | None) -> Source:
    """What a reader finds at a path; see `read`."""
    if path.exists() and not path.is_dir():
        regular(path)
    try:
        name = format_of(path) if format is None else format.lower().replace("_", "-")
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected to look into {path}; got: {error.strerror or error}. Check its permissions."
        ) from error
    if name not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}; got {format!r}. Choose one of these.")
    given = {option: value for option, value in options.items() if value is not None}
    wrong = next((option for option in given if OPTIONS[option] != name), None)
    if wrong is not None:
        raise InputError(
            f"{wrong} is for the format {OPTIONS[wrong]}; got {path}, which is read as {name}. "
            f'Leave the option out, or force format="{OPTIONS[wrong]}".'
        )
    if not path.exists():
        raise DataError(f"Expected a folder or a file at {path}; got nothing. Check the path.")
    links = {} if name == "lab-hdf5" else {"allow_outside": allow_outside}
    source = FORMATS[name](path, **given, **links)
    if not len(source.paths):
        raise DataError(
            f"Expected pictures in {path} (read as {name}); got none. Check the path or the format."
        )
    return source


def _attributes(source: Source, pixels: Pixels, *, used: bool) -> pa.Table:
    columns = without_dictionaries(without(source.attributes, *(["label"] if used else [])))
    if len(pixels.kept) < len(source.paths):
        columns = columns.take(pa.array(pixels.kept))
    paths = pa.array([printable(source.paths[row]) for row in pixels.kept], pa.string())
    return columns.append_column(PATH, paths) if columns.num_columns else pa.table({PATH: paths})


def _rejected(
    source: Source, pixels: Pixels, max_rejected: float, path: str | os.PathLike[str]
) -> tuple[Rejected, ...]:
    unreadable = (Rejected(printable(source.paths[row]), reason) for row, reason in pixels.rejected)
    rejected = (*source.rejected, *unreadable)
    count, total = len(rejected), len(source.paths) + len(source.rejected)
    if count > max_rejected * total or not len(pixels.kept):
        first = "; ".join(f"{item.path}: {item.reason}" for item in rejected[:3])
        raise DataError(
            f"Expected at most {max_rejected:.3g} of the pictures in {path} to be unreadable; got {count} of "
            f"{total} ({first}{'; …' if count > 3 else ''}). "
            + ("Repair or remove them, or raise max_rejected." if len(pixels.kept) else "Check the path.")
        )
    return rejected
