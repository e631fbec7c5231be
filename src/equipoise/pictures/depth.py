"""More than eight bits a channel: eight by the range that a file declares.

- *sBIT* of PNG: bits that count. Samples are to be scaled up to 16 bits all the same; a picture with none above
  2^bits − 1, and one that no such scaling gives, was not, and its white is 2^bits − 1.
- *MaxSampleValue* of TIFF: the largest value used, which by TIFF 6.0 must not change how a picture looks: as many bits
  as hold it are taken, never the value itself.
- *SMinSampleValue* and *SMaxSampleValue* of TIFF: black and white, of signed, 32-bit and floating-point samples too.
- *maxval* of PGM and PPM, and 12 *BitsPerSample* of TIFF: Pillow and `colour` scale by these themselves.

Source: W3C, Portable Network Graphics (third edition), 11.3.2.4 and 13.12; Adobe, TIFF revision 6.0, section 8 and 19.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equipoise.pictures.unreadable import Note, Unreadable

__all__ = ["DARK", "SCALED", "Range", "declared_range", "eight_bits", "numbers", "scaled_note"]

SCALED = "16 bits a channel were scaled to 8"
DARKEST = 14  # bits: with less than a quarter of white, a set is taken as dark
DARK = {f"{SCALED}, none of their values above {(1 << bits) - 1:,}": bits for bits in range(1, DARKEST + 1)}
"""What is said of a picture whose values stay far below white → bits that hold them."""

BITS, PHOTOMETRIC, MOST, FORMAT, LOW, HIGH = 258, 262, 281, 339, 340, 341  # tags of TIFF
UNSIGNED = (1, 4)  # 4: not said
FLOAT = 3
COLOURS = ("RGB", "RGBA", "RGBX", "CMYK", "LA")
STRIP = 1 << 20  # pixels at a time


class Range(NamedTuple):
    """Black and white as a file declares them, a number a channel or one for all.

    `exact` is a range to be followed as it is, values beyond it cut off; else it is a depth in bits, which pixels may
    contradict. `said` names what declares it.
    """

    black: tuple[float, ...]
    white: tuple[float, ...]
    exact: bool
    said: str


def declared_range(image: Image.Image, data: bytes, rawmode: str) -> Range | None:
    """What a picture of more than eight bits a channel declares; None if it declares nothing, or has eight bits.

    Args:
        image: Opened, perhaps not loaded.
        data: Its file.
        rawmode: How its file stores a pixel, in Pillow's words.
    """
    deep = image.mode[0] in "IF" or ";16" in rawmode
    if not deep or image.format not in ("PNG", "TIFF"):
        return None
    if image.format == "PNG":
        significant = _significant_bits(data)
        if not significant or not all(0 < bits < 16 for bits in significant):
            return None
        return Range((0.0,), tuple(float((1 << bits) - 1) for bits in significant), False, "sBIT")
    tags: Any = getattr(image, "tag_v2", {})
    kind = next(iter(numbers(tags.get(FORMAT))), 1)
    low, high = _reals(tags.get(LOW)), _reals(tags.get(HIGH))
    if high and (low or kind in UNSIGNED):
        low = low or (0.0,)
        channels = max(len(low), len(high))
        low, high = (ends * channels if len(ends) == 1 else ends for ends in (low, high))
        if len(low) == len(high) and all(a < b for a, b in zip(low, high, strict=True)):
            said = "SMinSampleValue and SMaxSampleValue" if LOW in tags else "SMaxSampleValue"
            return Range(low, high, True, said)
    depth = next(iter(numbers(tags.get(BITS))), 16)
    used = [value for value in numbers(tags.get(MOST)) if isinstance(value, int) and value > 0]
    if kind == FLOAT or not used or max(used).bit_length() >= depth:
        return None
    return Range((0.0,), (float((1 << max(used).bit_length()) - 1),), False, "MaxSampleValue")


def eight_bits(
    image: Image.Image, data: bytes, rawmode: str, declared: Range, note: Note
) -> Image.Image | None:
    """A picture in eight bits by its declared range: L, LA, RGB, RGBA or CMYK; None if that cannot be followed.

    Args:
        image: Loaded; its colour profile stays with the result.
        data: Its file, which is decoded once more where Pillow keeps eight bits of sixteen.
        rawmode: As for `declared_range`.
        declared: What that found.
        note: Told what was taken.

    Raises:
        Unreadable: if pixels are no numbers.
    """
    values = _values(image, data, rawmode)
    if values is None:
        note(f"{declared.said} was not followed: the file keeps its colours in a way that is not known")
        return None
    channels = values.shape[-1]
    black, white = (
        np.resize(np.asarray(ends), channels) if len(ends) != channels else np.asarray(ends)
        for ends in (declared.black, declared.white)
    )
    if not declared.exact and not _is_depth(
        values, black, white, scaled_up=declared.said == "sBIT", note=note
    ):
        return None
    inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0
    levels = np.empty(values.shape, np.uint8)
    for part, place in _strips(values):
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise Unreadable("floating-point pixels that are no numbers")
        grey = (
            np.rint((part.astype(np.float64) - black) * 255 / (white - black)).clip(0, 255).astype(np.uint8)
        )
        levels[place] = 255 - grey if inverted else grey
    depth = next(iter(numbers(getattr(image, "tag_v2", {}).get(BITS))), 16)
    note(_words(depth, declared, black, white))
    return _picture(levels, values, image)


def scaled_note(image: Image.Image, rawmode: str, *, white: int, inverted: bool) -> str:
    """What is said of a picture of more than eight bits that declares no range beside its depth.

    Args:
        image: Loaded; of colours Pillow has kept the upper eight bits.
        rawmode: How its file stores a pixel.
        white: The value that was taken as white.
        inverted: It was rather taken as black.
    """
    if white != 65535:
        return f"{white.bit_length()} bits a channel were scaled to 8"
    if inverted or image.mode == "CMYK":
        return SCALED
    if image.mode.startswith("I"):
        bits = int(np.asarray(image).max()).bit_length()
    else:
        ends: Any = image.getextrema()
        ends = ends if isinstance(ends[0], tuple) else (ends,)
        top = max(int(high) for _, high in ends[:3])
        bits = 8 + top.bit_length()
    return next((text for text, held in DARK.items() if held == bits), SCALED)


def numbers(value: Any) -> tuple[Any, ...]:
    """The values of a tag: none, one or several."""
    return () if value is None else tuple(value) if isinstance(value, tuple | list) else (value,)


def _reals(value: Any) -> tuple[float, ...]:
    try:
        found = tuple(float(one) for one in numbers(value))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _significant_bits(data: bytes) -> tuple[int, ...]:
    """sBIT of a PNG, a number a channel; none if it has none before its pixels."""
    place = 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"sBIT" and length <= 4:
            return tuple(data[place + 8 : place + 8 + length])
        if name in (b"IDAT", b"IEND"):
            break
        place += length + 12
    return ()


def _values(image: Image.Image, data: bytes, rawmode: str) -> NDArray[Any] | None:
    """The numbers of the file, shape (height, width, channels); None where they cannot be had."""
    if image.mode[0] in "IF":
        values = np.asarray(image)[..., None]
        kind = next(iter(numbers(getattr(image, "tag_v2", {}).get(FORMAT))), 1)
        return values.view(np.uint32) if image.mode == "I" and kind in UNSIGNED else values
    base, _, stored = rawmode.partition(";")
    if base not in COLOURS or stored not in ("16B", "16L", "16N"):
        return None
    if base == "LA":
        both = np.asarray(_as_bytes(data))
        return _joined(both[..., ::2], both[..., 1::2])
    native = "16L" if sys.byteorder == "little" else "16B"
    other = {"16B": "16L", "16L": "16B"}[native if stored == "16N" else stored]
    again = Image.open(io.BytesIO(data), formats=(image.format or "",))
    again.tile = [tile._replace(args=_with_rawmode(tile.args, f"{base};{other}")) for tile in again.tile]
    again.load()
    return _joined(np.asarray(image), np.asarray(again))


def _joined(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint16]:
    joined: NDArray[np.uint16] = np.bitwise_or(
        np.left_shift(upper.astype(np.uint16), 8), lower, dtype=np.uint16
    )
    return joined


def _with_rawmode(arguments: Any, rawmode: str) -> Any:
    """The lower eight bits of sixteen are the upper ones of the other byte order."""
    return (rawmode, *arguments[1:]) if isinstance(arguments, tuple) else rawmode


def _as_bytes(data: bytes) -> Image.Image:
    """A PNG of grey and alpha in 16 bits as one of four channels in 8: all its bytes, as they are filtered alike."""
    head = data[12:24] + bytes([8, 6]) + data[26:29]
    again = Image.open(
        io.BytesIO(data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]), formats=("PNG",)
    )
    again.load()
    return again


def _strips(values: NDArray[Any]) -> Iterator[tuple[NDArray[Any], slice]]:
    rows = max(1, STRIP // max(1, values.shape[1]))
    for top in range(0, len(values), rows):
        yield values[top : top + rows], slice(top, top + rows)


def _is_depth(
    values: NDArray[Any], black: NDArray[Any], white: NDArray[Any], *, scaled_up: bool, note: Note
) -> bool:
    """Whether values are numbers of so many bits, not such numbers scaled up to all bits."""
    if any((part < black).any() or (part > white).any() for part, _ in _strips(values)):
        if not scaled_up:
            note("MaxSampleValue was not followed: there are values beyond it")
        return False
    if not scaled_up:
        return True
    shift = 65536 // (white.astype(np.int64) + 1)
    for part, _ in _strips(values):
        level = part // shift
        if ((part != level * shift) & (part != np.rint(level * (65535 / white)))).any():
            return True
    return False


def _words(depth: int, declared: Range, black: NDArray[Any], white: NDArray[Any]) -> str:
    ends = [" and ".join(f"{end:,.9g}" for end in dict.fromkeys(both.tolist())) for both in (black, white)]
    where = f"white at {ends[1]}" if not black.any() else f"black at {ends[0]} and white at {ends[1]}"
    verb = "say" if " and " in declared.said else "says"
    return f"{depth} bits a channel were scaled to 8, {where} as {declared.said} {verb}"


def _picture(levels: NDArray[np.uint8], values: NDArray[Any], image: Image.Image) -> Image.Image:
    """Levels as a picture, transparent where the values are those that the file calls transparent."""
    key = image.info.get("transparency") if image.format == "PNG" else None
    if key is not None and levels.shape[-1] in (1, 3):
        seen = np.where((values == np.asarray(key)).all(axis=-1, keepdims=True), 0, 255).astype(np.uint8)
        levels = np.concatenate([levels, seen], axis=-1)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "CMYK" if image.mode == "CMYK" else "RGBA"}[levels.shape[-1]]
    bands = [Image.fromarray(np.ascontiguousarray(levels[..., i])) for i in range(levels.shape[-1])]
    result = bands[0] if mode == "L" else Image.merge(mode, bands)
    if "icc_profile" in image.info:
        result.info["icc_profile"] = image.info["icc_profile"]
    return result
