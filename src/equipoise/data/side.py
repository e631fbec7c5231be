"""What data sets call the sides of their official split."""

from __future__ import annotations

import re

__all__ = ["SIDES", "VALUES", "side_folder", "side_named"]

SIDES = ("train", "validation", "test")
VALUES = {
    "train": ("train", "training", "0"),
    "validation": ("validation", "valid", "val", "dev", "1"),
    "test": ("test", "testing", "eval", "evaluation", "2"),
}
"""Side → values of a split column that mean it, in any case; numbers as CelebA has them."""

_SIDES = {value: side for side, values in VALUES.items() for value in values}
_FOLDER = re.compile(
    rf"({'|'.join(sorted((v for v in _SIDES if v.isalpha()), key=len, reverse=True))})"
    r"([-_. ]?(set|data|dataset|split|images?|imgs?|pictures?))?([-_. ]?\d+([-_.]of[-_.]\d+)?)?",
    re.IGNORECASE,
)


def side_named(value: str) -> str | None:
    """The side that a value of a split column means; None if it means none.

    Example:
        >>> [side_named(value) for value in ("Train", "dev", "2", "3")]
        ['train', 'validation', 'test', None]
    """
    return _SIDES.get(value.strip().lower())


def side_folder(name: str) -> str | None:
    """The side that a folder's or a file's name means, as in `train`, `test_set`, `val2017`, `train-00000-of-00002`."""
    found = _FOLDER.fullmatch(name)
    return _SIDES[found[1].lower()] if found else None
