"""Dataclasses ⇄ strict JSON, checked against their annotations: no key too many, none too few, no NaN.

A NaN is written as null, an infinity as "Infinity" or "-Infinity"; a `Rate` is {value, low, high, n}, plus
`reason` when it is undefined. Annotations may be str, bool, int, float, Any, dataclasses, typed dicts, and
dict, list, tuple of one type and `| None` of those. A field whose metadata are `LATER` is younger than records that
must stay readable: it is written where there is something in it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import sys
import types
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np

from equipoise.errors import InputError
from equipoise.rate import Rate

__all__ = ["LATER", "decode", "encode"]

LATER = {"later": True}


def encode(value: Any, where: str = "record") -> Any:
    """Plain JSON values (dict, list, str, int, float, bool, None) for a dataclass or what it holds.

    Raises:
        InputError: if something in it has no JSON form; the message names the place.
    """
    if isinstance(value, Rate):
        numbers: dict[str, Any] = {
            "value": _number(value.value),
            "low": _number(value.low),
            "high": _number(value.high),
            "n": int(value.n),
        }
        return numbers if value.defined else {**numbers, "reason": value.reason}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: encode(getattr(value, f.name), f"{where}.{f.name}")
            for f in dataclasses.fields(value)
            if getattr(value, f.name) or "later" not in f.metadata
        }
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f"Expected text as keys in {where}; got {key!r}. Turn the key into text.")
        return {key: encode(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return encode(value.tolist(), where)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise InputError(
        f"Expected text, a number, a list or a mapping at {where}; got {type(value).__name__}. "
        "Convert it before it goes into the record."
    )


def decode(annotation: Any, value: Any, where: str = "record") -> Any:
    """The object of type `annotation` that `encode` turned into `value`.

    Raises:
        InputError: if a key is missing or unknown, or a value of another type; the message names the place.
    """
    if annotation is Any:
        return value
    if annotation is Rate:
        return _rate(value, where)
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or is_typeddict(annotation)):
        hints = _hints(annotation)
        declared = getattr(annotation, "__dataclass_fields__", {}).values()
        later = {one.name for one in declared if "later" in one.metadata}
        keys = _keys(value, hints.keys(), where, later)
        return annotation(**{key: decode(hints[key], keys[key], f"{where}.{key}") for key in keys})
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return decode(next(a for a in arguments if a is not types.NoneType), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong("an object", value, where)
        return {key: decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise _wrong("a list", value, where)
        return origin(decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if annotation is float:
        return _float(value, where)
    if annotation is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong("a whole number", value, where)
        if abs(value) >= 2**63:
            raise _wrong("a whole number below 2^63", value, where)
        return value
    if not isinstance(value, annotation):
        raise _wrong({str: "text", bool: "true or false"}[annotation], value, where)
    return value


@functools.cache
def _hints(annotation: type) -> dict[str, Any]:
    return get_type_hints(annotation)


def _rate(value: Any, where: str) -> Rate:
    numbers = ("value", "low", "high", "n")
    undefined = isinstance(value, dict) and "reason" in value
    keys = _keys(value, (*numbers, "reason") if undefined else numbers, where)
    value, low, high = (_float(keys[key], f"{where}.{key}") for key in numbers[:3])
    n = decode(int, keys["n"], f"{where}.n")
    try:
        return Rate(
            value, low, high, n, decode(str, keys["reason"], f"{where}.reason") if undefined else None
        )
    except InputError as error:
        raise InputError(f"At {where}: {error}") from None


def _float(value: Any, where: str) -> float:
    if value is None:
        return math.nan
    if value in ("Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise _wrong("a number or null", value, where)
    return float(value)


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _keys(value: Any, expected: Any, where: str, later: Collection[str] = ()) -> dict[str, Any]:
    names = list(expected)
    if not isinstance(value, dict):
        raise _wrong(f"an object with the keys {', '.join(names)}", value, where)
    missing = [name for name in names if name not in value and name not in later]
    unknown = [name for name in value if name not in names]
    if not missing and not unknown:
        return value
    found = []
    if missing:
        found.append(f"no {', '.join(missing)}")
    for name in unknown:
        near = difflib.get_close_matches(name, names, n=1)
        found.append(f"the unknown key {name!r}" + (f" (is {near[0]!r} meant?)" if near else ""))
    raise InputError(
        f"Expected the keys {', '.join(names)} at {where}; got {' and '.join(found)}. "
        "Compare with docs/record.md, or write the record again."
    )


def _wrong(expected: str, value: Any, where: str) -> InputError:
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "…"
    return InputError(
        f"Expected {expected} at {where}; got {text}. Compare with docs/record.md, or write the record again."
    )
