"""Colours as everybody means them: eight bits, sRGB, opaque, the right way up. What is done is said.

docs/pixels.md lists it for users.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from equipoise.pictures.depth import BITS, FORMAT, PHOTOMETRIC, UNSIGNED, numbers, scaled_note
from equipoise.pictures.unreadable import Note, Unreadable

__all__ = ["ordinary_colours", "upright"]

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
XMP = "xmp", "XML:com.adobe.xmp"
XMP_ORIENTATION = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])""")
HOW = ", or say it by SMinSampleValue and SMaxSampleValue"
STRIP = 1 << 20  # pixels converted at a time
MOST_PROFILE = 4 << 20  # bytes of a colour profile
SAME = 3  # levels of 255: a profile that moves no colour further is sRGB
MODELS = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


def upright(image: Image.Image, *, shown: Image.Image | None = None, turned: bool = False) -> Image.Image:
    """A loaded picture turned as its EXIF says or, where that says nothing, its XMP.

    Args:
        image: A picture just loaded.
        shown: What is turned in its place, if its pixels were converted.
        turned: Whether its decoder has followed EXIF already, as that of TIFF does.
    """
    value = image.getexif().get(ORIENTATION)
    if value is None and not turned:
        for key in XMP:
            packet = image.info.get(key, b"")
            packet = packet.encode(errors="replace") if isinstance(packet, str) else packet
            if isinstance(packet, bytes) and (said := XMP_ORIENTATION.search(packet)):
                value = int(said[1])
    turn = TURNS.get(value) if isinstance(value, int) else None
    result = image if shown is None else shown
    return result if turn is None else result.transpose(turn)


def ordinary_colours(image: Image.Image, rawmode: str, note: Note, *, said: bool = False) -> Image.Image:
    """L or RGB: eight bits, sRGB, transparent parts white.

    Args:
        image: A loaded picture.
        rawmode: How its file stores a pixel, in Pillow's words, where known: depths below 8 and of 16 bits.
        note: Told what was done.
        said: Its depth, and what became of it, was said before.

    Raises:
        Unreadable: if its numbers do not say which of them is white.
    """
    deep = _deep(image)
    transparent = image.has_transparency_data
    transform = _to_srgb(image, note)
    if transparent and "transparency" in image.info:
        image.info["transparency"] = _key(image, rawmode)
    if not said and (deep is not None or ";16" in rawmode):
        white, inverted = deep or (65535, False)
        note(scaled_note(image, rawmode, white=white, inverted=inverted))
    if image.mode in ("L", "RGB") and not transparent and transform is None:
        return image
    seen_through = [False]

    def converted(strip: Image.Image) -> Image.Image:
        alpha = None
        if deep is not None:
            values = np.asarray(strip).astype(np.int64)
            if transparent:
                alpha = Image.fromarray(
                    np.where(values == strip.info["transparency"], 0, 255).astype(np.uint8)
                )
            strip = Image.fromarray(_scaled(values, *deep))
        elif transparent:
            strip = strip.convert("RGBA")
            alpha = strip.getchannel("A")
        if transform is not None:
            strip = transform.apply(strip.convert(transform.input_mode))
        if alpha is None:
            return strip.convert(kept)
        seen_through[0] = seen_through[0] or alpha.getextrema()[0] < 255  # type: ignore[operator]
        rgba = strip.convert("RGBA")
        rgba.putalpha(alpha)
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")

    grey = image.mode in ("1", "L") or deep is not None
    kept = "L" if grey and not transparent and transform is None else "RGB"
    result = _by_strips(image, kept, converted)
    if seen_through[0]:
        note("transparent parts became white")
    return result


def _deep(image: Image.Image) -> tuple[int, bool] | None:
    """White, and whether it is rather black, of grey with 9 to 16 bits; None for other pictures."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "F":
        raise Unreadable(f"floating-point pixels: which value is white is not said; save 8 or 16 bits{HOW}")
    if any(kind not in UNSIGNED for kind in numbers(tags.get(FORMAT))):
        raise Unreadable(
            f"signed pixels: which value is black is not said; save 8 or 16 bits without a sign{HOW}"
        )
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # which mean 16 bits by it
        raise Unreadable(
            f"more than 16 bits a channel: which value is white is not said; save 8 or 16 bits{HOW}"
        )
    if not image.mode.startswith("I"):
        return None
    bits = next(iter(numbers(tags.get(BITS))), 16)
    return (1 << bits) - 1, tags.get(PHOTOMETRIC) == 0


def _scaled(values: np.ndarray[Any, Any], white: int, inverted: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    grey = np.rint(values * 255 / white).clip(0, 255).astype(np.uint8)
    return 255 - grey if inverted else grey


def _key(image: Image.Image, rawmode: str) -> Any:
    """The transparent value in the numbers that Pillow has made of the stored ones, of PNG.

    Pillow widens 2 and 4 bits to 8 and narrows 16 bits of colour to 8, and leaves the value as it was.
    """
    key = image.info["transparency"]
    if image.format != "PNG" or image.mode not in ("L", "RGB"):
        return key
    _, _, depth = rawmode.partition(";")
    if image.mode == "L":
        most = (1 << int(depth)) - 1 if depth.isdigit() else 255
        return (key & most) * 255 // most
    return tuple(value >> 8 if depth.startswith("16") else value & 255 for value in key)


def _by_strips(image: Image.Image, mode: str, converted: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """What a function of single pixels makes of a picture, in little memory."""
    width, height = image.size
    rows = max(1, STRIP // max(1, width))
    if height <= rows:
        return converted(image)
    result = Image.new(mode, image.size)
    for top in range(0, height, rows):
        result.paste(converted(image.crop((0, top, width, min(height, top + rows)))), (0, top))
    return result


def _to_srgb(image: Image.Image, note: Note) -> Any:
    """The transform of a picture's colour profile into sRGB; None if it has none, or means sRGB by it."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    model = "CMYK" if image.mode == "CMYK" else "RGB"
    if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I"):
        model = "L"
    transform, cause = _transform(bytes(profile), model)
    if cause is not None:
        note(f"a colour profile was left out, colours taken as sRGB: {cause}")
    elif transform is not None:
        note("a colour profile was turned into sRGB")
    return transform


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, model: str) -> tuple[Any, str | None]:
    """A transform, or None if there is nothing to do or the profile is of no use, then with the cause."""
    if len(profile) > MOST_PROFILE:
        return None, f"it has more than {MOST_PROFILE:,} bytes"
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = MODELS.get(opened.profile.xcolor_space.strip(), "")
        if space != model and (model, space) != ("L", "RGB"):
            return None, "it is for other colours than the picture's"
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), space, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None, "it cannot be read"
    return (None if _changes_nothing(transform, space) else transform), None


def _changes_nothing(transform: Any, mode: str) -> bool:
    if mode == "CMYK":
        return False
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    if mode == "L":
        colours = np.arange(256, dtype=np.uint8)[None]
    else:
        colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(17, -1, 3)
    before = np.asarray(Image.fromarray(colours).convert("RGB")).astype(int)
    after = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform)).astype(int)
    return bool(np.abs(after - before).max() <= SAME)
