"""One sample of a dataset, told apart: the picture, its label, and the columns beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from equipoise.data.array_pairs import IMAGE_NAMES, LABEL_NAMES, named
from equipoise.data.picture_values import is_picture_like
from equipoise.errors import InputError

__all__ = ["Sample", "sample_of"]


@dataclass(frozen=True)
class Sample:
    """Parts of a sample.

    Args:
        image: The picture as it came.
        columns: Values by column, the label by "label".
        left_out: Names of what is no single value, and was not asked for.
    """

    image: Any
    columns: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def sample_of(given: Any, where: str, groups: Sequence[str] | None) -> Sample:
    """Tell the parts of a sample: a picture, (image, label), (image, label, …) or a mapping.

    Args:
        given: The sample. What follows the label in a tuple is a mapping of columns, or a value each, named by
            `groups`; a mapping names its parts.
        where: Its place, for messages, for example "sample 3".
        groups: Names of values in a tuple, and columns that must be one value a sample; others are left out if not.

    Raises:
        InputError: if it has no picture, a label is more than one value, or names and values do not fit.
    """
    if isinstance(given, Mapping) and not isinstance(given.get("bytes"), bytes):
        keys = list(map(str, given))
        image = named(keys, IMAGE_NAMES) or next((key for key in keys if is_picture_like(given[key])), None)
        if image is None:
            raise _no_sample(given, where)
        label = named(keys, LABEL_NAMES)
        columns = {key: given[key] for key in keys if key not in (image, label)}
        return _told(given[image], columns, {} if label is None else {"label": given[label]}, where, groups)
    if is_picture_like(given):
        return Sample(given)
    if not isinstance(given, tuple | list) or not given or not is_picture_like(given[0]):
        raise _no_sample(given, where)
    image, *rest = given
    labels = {"label": rest[0]} if rest else {}
    if len(rest) == 2 and isinstance(rest[1], Mapping):
        return _told(image, {str(key): value for key, value in rest[1].items()}, labels, where, groups)
    if len(rest) > 1 and (groups is None or len(groups) != len(rest) - 1):
        raise InputError(
            f"Expected a name for each of the {len(rest) - 1} values after image and label in {where}; got "
            f'groups={groups}. Name them in their order, for example groups=["site"], or give them as a mapping.'
        )
    return _told(image, dict(zip(groups or (), rest[1:], strict=False)), labels, where, groups)


def _told(
    image: Any, columns: Mapping[str, Any], labels: dict[str, Any], where: str, groups: Sequence[str] | None
) -> Sample:
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    for name, value in {**columns, **labels}.items():
        single, plain = _single(value)
        if single:
            kept[name] = plain
        elif name in labels or name in (groups or ()):
            shape = getattr(value, "shape", None)
            raise InputError(
                f"Expected one value for {name!r} in {where}; got {type(value).__name__}"
                f"{f' of shape {tuple(shape)}' if shape is not None else ''}. Of scores or one-hot values, give the "
                "class: its position or its name."
            )
        else:
            left_out.append(name)
    return Sample(image, kept, tuple(left_out))


def _single(value: Any) -> tuple[bool, Any]:
    """Whether something is one value, and that as Python has it: of one-element arrays and tensors their element."""
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return True, value
    if hasattr(value, "item") and getattr(value, "shape", None) is not None:
        size = 1
        for side in value.shape:
            size *= int(side)
        return (True, value.item()) if size == 1 else (False, None)
    return hasattr(value, "isoformat"), value  # dates


def _no_sample(given: Any, where: str) -> InputError:
    parts = (
        f" of {', '.join(type(part).__name__ for part in given[:5])}"
        if isinstance(given, tuple | list) and given
        else ""
    )
    parts = f" with {', '.join(map(str, given))}" if isinstance(given, Mapping) else parts
    return InputError(
        f"Expected samples (image, label), (image, label, {{column: value}}), or mappings with an image; got a "
        f"{type(given).__name__}{parts} as {where}. An image is Pillow's, or an array or tensor (height, width, "
        "channels) or (channels, height, width); wrap the dataset in one that gives this."
    )
