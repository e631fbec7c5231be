"""`read`: one door for all sources. What lies at the path, or what the object is, decides which reader opens it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from equipoise.data import (
    arrow_folder,
    celeba,
    embedded,
    fairface,
    folder,
    lab_faces,
    lab_hdf5,
    manifest,
    ppb,
    shards,
    utkface,
)
from equipoise.data.arrays import Layout
from equipoise.data.cache_limit import check_limit
from equipoise.data.columns import check_asked, without_dictionaries
from equipoise.data.in_memory import in_memory
from equipoise.data.listing import ENDINGS
from equipoise.data.pixels import Pixels, Progress, pixels_of
from equipoise.data.source import PICTURE_ENDINGS, Source, printable, without
from equipoise.data.table import PATH, ImageTable, Rejected
from equipoise.data.text_file import regular
from equipoise.errors import DataError, InputError
from equipoise.pictures.framing import Framing
from equipoise.pictures.own_framing import OwnFraming

__all__ = ["FORMATS", "format_of", "labels_of", "read"]

#: Name of a layout, as `format` takes it → what opens it.
FORMATS: dict[str, Callable[..., Source]] = {
    "folder": folder.image_folder,
    "manifest": manifest.manifest,
    "parquet": embedded.embedded,
    "arrow": arrow_folder.arrow_folder,
    "shards": shards.shards,
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
    source: Any,
    *,
    groups: Sequence[str] | None = None,
    format: str | None = None,
    label: int | None = None,
    label_column: str | None = None,
    positive: str | None = None,
    path_column: str | None = None,
    channel_order: str | None = None,
    layout: Layout | None = None,
    image_size: int | None = None,
    framing: Framing | None = None,
    transform: Callable[[Image.Image], Any] | None = None,
    channels: int = 3,
    cache: str | os.PathLike[str] | None = None,
    cache_limit: str | float | None = None,
    max_rejected: float = 0.01,
    allow_outside: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ImageTable:
    """Pictures, labels and attributes of whatever lies at a path or in memory.

    Pictures are decoded in parallel into a memory-mapped cache; a second start finds those of files there, those in
    memory are decoded each time. Where their pixels would take more of the disk than they may, they are decoded once to
    know which cannot be and which are equal, stay encoded, and are decoded again when they are asked for. Besides the
    attributes of the source, the column `path` says where a picture is from.

    A label of 1 is positive, 0 negative. Columns of −1 and 1 or of booleans count likewise; whole numbers 0…K−1 are
    class ids, others are numbered in their order, and names are numbered in alphabetical order unless they say it
    themselves (positive, negative, face, nonface). `table.notes` tells what was taken. Columns of CSV, TSV and JSON
    lines are text, exactly as in the file; `docs/sources.md` says what is read how, and what is refused.

    Args:
        source: A folder of pictures (one folder a class, or flat), a CSV, TSV, JSON lines or Parquet manifest,
            Parquet with embedded pictures, what Hugging Face's `save_to_disk` wrote, webdataset shards (a .tar, a
            folder of them, or a pattern such as `train-{000..009}.tar`), the labs' HDF5 file or test faces, or CelebA,
            FairFace, UTKFace, PPB. Or in memory: a Hugging Face Dataset or DatasetDict, a PyTorch Dataset or
            DataLoader, a list of samples (image, label), or arrays (images, labels); see `in_memory`.
        groups: The columns to take as attributes; None takes all. Where samples or arrays have no names for what
            comes after image and label, these are the names.
        format: One of `FORMATS`, to force a reader.
        label: The label of every picture: 1 for a source of positives, 0 for one of negatives.
        label_column: The attribute that is the label, where it is not what the source says by itself.
        positive: The class, by name, that is positive; all others are negative.
        path_column: Manifests: the column of paths.
        channel_order: HDF5: "rgb" or "bgr"; without it, the faces tell.
        layout: Sources in memory: "NHWC" or "NCHW", channels last or first, where shapes do not tell.
        image_size: Pixels a side, 64 without a framing. Pictures are cropped to their largest centred square and
            resized by Lanczos.
        framing: How pictures become squares, where it is not that.
        transform: A function of yours in place of a framing: a picture of Pillow's (RGB, upright) → a picture, or an
            array or tensor (channels, height, width) of one size; see `OwnFraming`.
        channels: 3 for RGB, 1 for grey; a transform says it itself.
        cache: Folder of decoded pictures; by default $EQUIPOISE_CACHE, else the user's cache folder.
        cache_limit: What the pictures may take of the disk: bytes as "10 GB", a share of what is free as 0.25 or
            "25 %", 0 for no pixels; None is a tenth of what is free. Pictures that are only in memory, and not as the
            bytes of files, are kept if no limit is given.
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
    check_limit(cache_limit)
    framing = _framing(image_size, framing, transform)
    channels = framing.channels if isinstance(framing, OwnFraming) else channels
    given = _given(source, format, allow_outside, groups, layout, label_column, (path_column, channel_order))
    how: dict[str, Any] = {"label": label, "label_column": label_column}
    check_asked(groups, given.attributes.column_names)
    # what can be wrong is told before anything long starts; of samples, only the first is known yet
    labels, classes = given.labels(**how, positive=positive if given.later is None else None)
    where: dict[str, Any] = {"cache": cache, "cache_limit": cache_limit}
    pixels = pixels_of(given, framing=framing, channels=channels, workers=workers, progress=progress, **where)
    if given.later is not None:
        given = given.later()
        labels, classes = given.labels(**how, positive=positive)
    used = label is not None or (label_column or given.label) == "label"
    return ImageTable(
        (pixels.images,),
        np.arange(len(pixels.kept), dtype=np.int64),
        labels[pixels.kept],
        _attributes(given, pixels, groups, used=used),
        pixels.digests,
        _rejected(given, pixels, max_rejected, source),
        (*given.notes, *classes.notes, *pixels.notes),
        classes.ids,
        framing,
    )


def labels_of(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    label_column: str | None = None,
    positive: str | None = None,
    path_column: str | None = None,
    channel_order: str | None = None,
    allow_outside: bool = False,
) -> tuple[NDArray[np.int64], Mapping[str, int]]:
    """Class ids and classes by name of what lies at a path, as `read` finds them: no picture is decoded.

    Raises: as `read` does.
    """
    given = _given(path, format, allow_outside, None, None, label_column, (path_column, channel_order))
    labels, classes = given.labels(label=None, label_column=label_column, positive=positive)
    return labels, classes.ids


def _framing(size: int | None, framing: Framing | None, transform: Callable[..., Any] | None) -> Framing:
    if transform is not None:
        if framing is not None:
            raise InputError("Expected a framing or a transform; got both. Leave one of them out.")
        framing = OwnFraming.of(transform)
    if framing is None:
        return Framing(64 if size is None else size)
    if size not in (None, framing.size):
        raise InputError(
            f"Expected image_size {framing.size}, as the framing has it; got {size}. Leave one of them out."
        )
    return framing


def _given(
    source: Any,
    format: str | None,
    allow_outside: bool,
    groups: Sequence[str] | None,
    layout: Layout | None,
    label_column: str | None,
    of_formats: tuple[str | None, str | None],
) -> Source:
    """What a reader makes of the source."""
    if isinstance(groups, str):
        raise InputError(f'groups must be a list of columns; got "{groups}". Write ["{groups}"].')
    options = dict(zip(OPTIONS, of_formats, strict=True))
    if isinstance(source, str | os.PathLike):
        place = os.fspath(source)
        if not place.strip():
            raise InputError(
                'Expected the path of a source; got an empty one. Give a path; "." is this folder.'
            )
        if layout is not None:
            raise InputError(
                f"layout={layout!r} is for sources in memory; got the path {place}. Leave it out."
            )
        return source_at(Path(os.path.abspath(place)), format, allow_outside, **options)
    options["format"] = format
    wrong = next((option for option, value in options.items() if value is not None), None)
    if wrong is not None:
        raise InputError(
            f"{wrong} is for files; got {type(source).__name__} in memory. Leave the option out, or give a path."
        )
    return in_memory(source, groups=groups, label_column=label_column, layout=layout)


def format_of(path: Path) -> str:
    """Name of the format that a path seems to hold.

    Raises:
        DataError: if nothing lies there, or nothing that any reader opens.
    """
    if path.is_dir():
        return _format_of_folder(path)
    if shards.is_pattern(path):
        return "shards"
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
    if ending in (".arrow", ".tar"):
        return "arrow" if ending == ".arrow" else "shards"
    raise DataError(
        f"Expected a folder, or a file ending in {', '.join(ENDINGS)}, .arrow, .tar, .h5 or .hdf5; got {path}. "
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
    if arrow_folder.is_arrow_folder(path):
        return "arrow"
    if embedded.parquet_files(path):
        return "parquet"
    if shards.is_shard_folder(path):
        return "shards"
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
    if not path.exists() and not (name == "shards" and shards.is_pattern(path)):
        raise DataError(f"Expected a folder or a file at {path}; got nothing. Check the path.")
    links = {} if name == "lab-hdf5" else {"allow_outside": allow_outside}
    source = FORMATS[name](path, **given, **links)
    if not len(source.paths):
        raise DataError(
            f"Expected pictures in {path} (read as {name}); got none. Check the path or the format."
        )
    return source


def _attributes(source: Source, pixels: Pixels, groups: Sequence[str] | None, *, used: bool) -> pa.Table:
    columns = without_dictionaries(without(source.attributes, *(["label"] if used else [])))
    if groups is not None:
        columns = columns.select([name for name in columns.column_names if name in groups])
    if len(pixels.kept) < len(source.paths):
        columns = columns.take(pa.array(pixels.kept))
    paths = pa.array([printable(source.paths[row]) for row in pixels.kept], pa.string())
    return columns.append_column(PATH, paths) if columns.num_columns else pa.table({PATH: paths})


def _rejected(source: Source, pixels: Pixels, max_rejected: float, given: Any) -> tuple[Rejected, ...]:
    unreadable = (Rejected(printable(source.paths[row]), reason) for row, reason in pixels.rejected)
    rejected = (*source.rejected, *unreadable)
    count, total = len(rejected), len(source.paths) + len(source.rejected)
    if count > max_rejected * total or not len(pixels.kept):
        path = os.fspath(given) if isinstance(given, str | os.PathLike) else source.format
        first = "; ".join(f"{item.path}: {item.reason}" for item in rejected[:3])
        raise DataError(
            f"Expected at most {max_rejected:.3g} of the pictures in {path} to be unreadable; got {count} of "
            f"{total} ({first}{'; …' if count > 3 else ''}). "
            + ("Repair or remove them, or raise max_rejected." if len(pixels.kept) else "Check the path.")
        )
    return rejected
