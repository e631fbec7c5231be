"""Arrays in memory: pictures and labels of any library, as a tuple or as a mapping with columns beside them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from equipoise.data.arrays import Layout
from equipoise.data.columns import array_of, check_asked, columns_of
from equipoise.data.picture_values import content_of
from equipoise.data.source import Source, without
from equipoise.errors import InputError
from equipoise.pictures.decode import Content

__all__ = ["IMAGE_NAMES", "LABEL_NAMES", "array_pairs", "named"]

IMAGE_NAMES = ("image", "images", "img", "picture", "pictures", "pixel_values", "x", "X")
LABEL_NAMES = ("label", "labels", "target", "targets", "y", "Y")


def named(keys: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of some names that is among the keys."""
    return next((name for name in names if name in keys), None)


def array_pairs(
    given: tuple[Any, ...] | Mapping[str, Any],
    *,
    groups: Sequence[str] | None = None,
    label_column: str | None = None,
    layout: Layout | None = None,
) -> Source:
    """Pictures with a label each, from (images, labels), (images, labels, columns…) or a mapping.

    Args:
        given: Images are (n, height, width), (n, height, width, channels) or (n, channels, height, width), or a
            sequence of pictures of any size. A mapping names them `image` or `images`, the labels `label` or `labels`;
            its other entries are columns. What follows labels in a tuple is a mapping of columns, or a column each,
            named by `groups`.
        groups: Columns to take, or the names of those in a tuple; None takes all of a mapping.
        label_column: A column of a mapping to take beside them.
        layout: "NHWC" or "NCHW": channels last or first. Needed only where shapes do not tell.

    Raises:
        InputError: if a part is missing, lengths differ, or a column does not hold values of one type.
    """
    columns = _parts(given, groups, label_column)
    images = columns.pop("", None)
    n = _length(images)
    table = columns_of({name: _plain(name, values) for name, values in columns.items()}, n)
    return Source(
        "arrays",
        [f"#{row}" for row in range(n)],
        functools.partial(_contents, images, layout),
        without(table) if table.num_columns else pa.table({}),
        None,
        label="label" if "label" in columns else None,
    )


def _parts(
    given: tuple[Any, ...] | Mapping[str, Any], groups: Sequence[str] | None, label_column: str | None
) -> dict[str, Any]:
    """Images by "", the labels by "label", and columns."""
    if isinstance(given, Mapping):
        keys = list(map(str, given))
        image, label = named(keys, IMAGE_NAMES), named(keys, LABEL_NAMES)
        if image is None:
            raise InputError(
                f"Expected images in a mapping, by one of the names {', '.join(IMAGE_NAMES)}; got {', '.join(keys)}. "
                "Rename the entry."
            )
        others = {key: given[key] for key in keys if key not in (image, label)}
        return (
            {"": given[image]}
            | ({} if label is None else {"label": given[label]})
            | _asked(others, groups, label_column)
        )
    images, *rest = given or (None,)
    parts = {"": images}
    if rest:
        parts["label"] = rest[0]
    if len(rest) == 2 and isinstance(rest[1], Mapping):
        return parts | _asked({str(key): value for key, value in rest[1].items()}, groups, label_column)
    if len(rest) - 1 > 0 and (groups is None or len(groups) != len(rest) - 1):
        raise InputError(
            f"Expected a name for each of the {len(rest) - 1} columns after images and labels; got groups={groups}. "
            'Name them in their order, for example groups=["site"].'
        )
    return parts | dict(zip(groups or (), rest[1:], strict=False))


def _asked(
    columns: Mapping[str, Any], groups: Sequence[str] | None, label_column: str | None
) -> dict[str, Any]:
    check_asked(groups, list(columns))
    return {name: columns[name] for name in columns if groups is None or name in (*groups, label_column)}


def _length(images: Any) -> int:
    shape = getattr(images, "shape", None)
    try:
        n = len(images)
    except TypeError:
        n = 0
    if not n or isinstance(images, str | bytes) or (shape is not None and len(shape) not in (1, 3, 4)):
        found = f"shape {tuple(shape)}" if shape is not None else type(images).__name__
        raise InputError(
            "Expected images (n, height, width), (n, height, width, channels), (n, channels, height, width), or a "
            f"sequence of pictures, n ≥ 1; got {found}. A tuple is read as (images, labels); give samples as a list."
        )
    return n


def _plain(name: str, values: Any) -> Any:
    if not hasattr(values, "shape"):
        return values
    plain = array_of(values)
    plain = plain[:, 0] if plain.ndim == 2 and plain.shape[1] == 1 else plain
    if plain.ndim != 1:
        raise InputError(
            f"Expected one value an image in {name!r}, shape (n,); got {plain.shape}. Of scores or one-hot rows, take "
            "the class, for example values.argmax(1)."
        )
    return plain


def _contents(images: Any, layout: Layout | None) -> Iterator[Content]:
    for row in range(len(images)):
        yield content_of(images[row], where=f"row {row}", layout=layout)
