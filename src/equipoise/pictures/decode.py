"""One picture in, a square of uint8 out; what cannot be a picture says why.

Decided here, once (docs/pixels.md says it to users):

- *Formats*: those of `FORMATS` and no other, whatever a file is called: Pillow's readers of PostScript and
  the like start programs.
- *Colour*: `colour.ordinary_colours`: RGB or grey, sRGB, opaque, eight bits, upright.
- *Depth*: more than eight bits become eight by the range that the file declares (`depth`).
- *Shape*: by a `Framing`: of itself the largest centred square, resized by Lanczos. Nothing is stretched unless that
  is asked for: a face keeps its proportions. `whole` keeps the picture's own shape.
- *Animated*: the first frame (phones write two-frame JPEGs that are ordinary photographs).
- *Large*: more than 80 million pixels, or more memory than all workers have together, is refused by what the
  header says, before anything is decoded. Where no other framing is asked for, a JPEG at least six times as large as
  needed is first shrunk by its decoder to no less than three times, which no one can see.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from equipoise.errors import InputError
from equipoise.files import read_bytes
from equipoise.pictures.colour import ORIENTATION, ordinary_colours, upright
from equipoise.pictures.depth import declared_range, eight_bits
from equipoise.pictures.framing import Framing
from equipoise.pictures.jpeg import Frame, jpeg_frame
from equipoise.pictures.memory import Budget
from equipoise.pictures.unreadable import Note, Unreadable

try:
    import simplejpeg
except ImportError:  # the extra `jpeg`; Pillow gives the same pixels, slower
    simplejpeg = None

__all__ = ["MAX_PIXELS", "Content", "Unreadable", "decoded", "encoded", "whole"]

Content = Path | bytes | NDArray[np.uint8] | Image.Image
"""A picture before it is decoded: a file, an encoded file's bytes, pixels (height, width, channels), or Pillow's."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
JPEGS = ("JPEG", "MPO")
PLUGINS = ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff", "WebP", "Avif")
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
MAX_PIXELS = 80_000_000
MAX_BYTES = 256 << 20  # of a file
MAX_SCANS = 500  # of a JPEG: each goes over the whole picture
SHRUNK = 3  # a shrinking JPEG decoder leaves at least this many times the size that is wanted
DECODING = Budget(1_000_000_000)  # bytes of pixels, of all workers together
PIXEL_BYTES = {"WEBP": 18, "AVIF": 16, "HEIF": 16, "TIFF": 12}  # most a pixel, while decoded and converted
OTHER_PIXEL_BYTES = 8
DECLARED_PIXEL_BYTES = 24  # more, where sixteen bits are put together
COEFFICIENT_BYTES = 2  # a pixel and component of a progressive JPEG, which holds all of them
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TILE_WIDTH, TILE_HEIGHT = 322, 323  # tags of TIFF

Finish: TypeAlias = Callable[[Image.Image | NDArray[np.uint8]], NDArray[np.uint8]]


def _unsaid(_: str) -> None:
    pass


def encoded(content: Content) -> bytes | NDArray[np.uint8] | Image.Image:
    """The bytes of a picture, read from its file if it is one; pixels and pictures of Pillow's as they are.

    Raises:
        Unreadable: if the file is missing, cannot be read, is no ordinary file, is empty or too large.
    """
    if isinstance(content, Path):
        try:
            content = read_bytes(content, most=MAX_BYTES)
        except FileNotFoundError:
            raise Unreadable("the file is missing") from None
        except (OSError, ValueError) as error:
            raise Unreadable(
                f"the file cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from None
    if isinstance(content, Image.Image):
        return content
    if isinstance(content, bytes) and len(content) > MAX_BYTES:
        raise Unreadable(f"the file has {len(content):,} bytes, more than {MAX_BYTES:,}")
    if not len(content):
        raise Unreadable("the file is empty")
    return content


def decoded(
    content: bytes | NDArray[np.uint8] | Image.Image,
    *,
    channels: int,
    size: int | None = None,
    framing: Framing | None = None,
    note: Note = _unsaid,
) -> NDArray[np.uint8]:
    """Pixels of a picture with shape (size, size, channels).

    Args:
        content: A picture's file, its pixels (height, width) or (height, width, 1 or 3), or a picture of Pillow's,
            which is loaded and otherwise left as it is.
        channels: 3 for RGB, 1 for grey.
        size: Pixels a side of the usual framing, `Framing(size)`.
        framing: In its place, how the picture becomes a square.
        note: Called with what was done to it beyond shape and size, a phrase each.

    Raises:
        InputError: if not exactly one of size and framing is given.
        Unreadable: if it is not a picture, is truncated, too large, or of a kind that is not supported.
    """
    if (framing is None) == (size is None):
        raise InputError(f"Expected a size or a framing; got {size} and {framing}. Give one of the two.")
    how = framing if framing is not None else Framing(size or 0)
    finish = functools.partial(_squared, framing=how, channels=channels)
    return _decoded(content, how.size if how.usual else None, finish, note)


def whole(
    content: bytes | NDArray[np.uint8] | Image.Image, *, channels: int, least: int, note: Note = _unsaid
) -> NDArray[np.uint8]:
    """Pixels of a picture in its own shape (height, width, channels); all else is as in `decoded`.

    Args:
        content: As in `decoded`.
        channels: 3 for RGB, 1 for grey.
        least: A picture whose shorter side has twice as many pixels, or more, is shrunk by averages over whole blocks
            of pixels, its shorter side to no less than this.
        note: Called with what was done to it beyond that, a phrase each.

    Raises:
        Unreadable: as `decoded`.
    """
    shrunk = functools.partial(_shrunk, least=least, channels=channels, note=note)
    return _decoded(content, -(-least // SHRUNK), shrunk, note)


def _decoded(
    content: bytes | NDArray[np.uint8] | Image.Image,
    size: int | None,
    finish: Finish,
    note: Note,
) -> NDArray[np.uint8]:
    """What `finish` makes of a picture, which may be shrunk to no less than `SHRUNK` times the size before, if any."""
    try:
        if isinstance(content, bytes):
            return _from_file(content, size, finish, note)
        if isinstance(content, Image.Image):
            _check_size(*content.size)
            return _from_image(content, finish, note)
        pixels = _checked(content)
        with _memory(pixels.shape[0] * pixels.shape[1] * OTHER_PIXEL_BYTES):
            return finish(pixels)
    except (Unreadable, MemoryError):  # memory that is short says nothing about the picture
        raise
    except Image.DecompressionBombError:
        raise Unreadable(f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise Unreadable(_unknown(content)) from None
    except Exception as error:  # Pillow's plugins raise almost anything on broken input
        raise Unreadable(f"cannot be decoded: {error or type(error).__name__}") from None


def _unknown(content: object) -> str:
    if isinstance(content, bytes) and content.startswith(TIFFS):
        return (
            "a TIFF that is damaged, or of a depth or kind of colour that is not supported; save 8 or 16 bits"
        )
    return "not a picture of a known format"


def _from_file(data: bytes, size: int | None, finish: Finish, note: Note) -> NDArray[np.uint8]:
    frame = jpeg_frame(data)
    enough = MAX_PIXELS if size is None else 2 * SHRUNK * size  # pixels a side from which it is shrunk
    if frame is not None:
        _check_size(frame.width, frame.height)
        if frame.ordinary and min(frame.height, frame.width) < enough:
            with _memory(_coefficient_bytes(frame) + frame.width * frame.height * OTHER_PIXEL_BYTES):
                pixels = _fast_jpeg(data)
                if pixels is not None:
                    return finish(pixels)
    image = _opened(data)
    _check_size(*image.size)
    needed = 0
    if image.format in JPEGS:
        needed = _coefficient_bytes(frame or Frame.unknown(image.size, data))
        if size is not None and min(image.size) >= enough:
            image.draft(None, (SHRUNK * size, SHRUNK * size))
    pixels = _from_image(image, finish, note, data, needed)
    if image.format != "MPO":
        with contextlib.suppress(Exception):  # frames that are not looked at may be broken
            if getattr(image, "is_animated", False):
                note("only the first of several frames was taken")
    return pixels


def _from_image(
    image: Image.Image,
    finish: Finish,
    note: Note,
    data: bytes = b"",
    needed: int = 0,
) -> NDArray[np.uint8]:
    """Pixels of an opened picture; of one of the user's the file is not known, and nothing of it changes."""
    rawmode, most = _stored(image)
    declared = declared_range(image, data, rawmode)
    if declared is not None:
        needed += image.size[0] * image.size[1] * DECLARED_PIXEL_BYTES
    tags: Any = getattr(image, "tag_v2", {})
    turned = ORIENTATION in tags
    with _memory(needed + _pixel_bytes(image)):
        image.load()
        info, image.info = image.info, dict(image.info)  # which may change
        try:
            if 255 < most < 65535:
                note(f"16 bits a channel were scaled to 8, white at {most:,} as maxval says")
            shown = None if declared is None else eight_bits(image, data, rawmode, declared, note)
            upon = upright(image, shown=shown, turned=turned)
            ordinary = ordinary_colours(upon, "" if shown is not None else rawmode, note, said=most < 65535)
            return finish(ordinary)
        finally:
            image.info = info


def _fast_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """RGB pixels of an ordinary JPEG, shape (height, width, 3), equal to Pillow's; None where that is not sure."""
    if simplejpeg is None:
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:  # it is strict: also what libjpeg would only warn about
        return None
    return pixels


def _picture(found: Image.Image | NDArray[np.uint8]) -> Image.Image:
    if isinstance(found, Image.Image):
        return found
    return Image.fromarray(found[..., 0] if found.shape[-1] == 1 else found)


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or pixels.dtype != np.uint8:
        raise Unreadable(f"expected 1 or 3 channels of uint8, got shape {pixels.shape} of {pixels.dtype}")
    _check_size(pixels.shape[1], pixels.shape[0])
    return np.ascontiguousarray(pixels)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width} × {height} pixels, more than {MAX_PIXELS:,}")


def _opened(data: bytes) -> Image.Image:
    """A picture of which the header is read."""
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        brands = {data[place : place + 4] for place in range(8, min(int.from_bytes(data[:4], "big"), 256), 4)}
        if not brands & {b"avif", b"avis"}:
            return _opened_heif(data)
    return Image.open(io.BytesIO(data), formats=_formats())


def _opened_heif(data: bytes) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise Unreadable("HEIF, which needs pillow-heif: pip install 'equipoise[heif]'") from None
    image: Image.Image = HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call, unused-ignore]
    return image


@functools.lru_cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow has."""
    for plugin in PLUGINS:
        with contextlib.suppress(ImportError):
            importlib.import_module(f"PIL.{plugin}ImagePlugin")
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _stored(image: Image.Image) -> tuple[str, int]:
    """How the file stores a pixel, in Pillow's words, empty where that is not known; and which value is white."""
    tile = next(iter(getattr(image, "tile", ())), None)
    arguments = tile[3] if tile is not None else ""
    first = next(iter(arguments), "") if isinstance(arguments, tuple) else arguments
    most = (
        arguments[1]
        if image.format == "PPM" and isinstance(arguments, tuple) and len(arguments) == 2
        else None
    )
    return first if isinstance(first, str) else "", most if isinstance(most, int) else 65535


def _coefficient_bytes(frame: Frame) -> int:
    """What the decoder of a JPEG holds beside pixels, even if it shrinks.

    Raises:
        Unreadable: if it goes over the picture more often than any picture needs.
    """
    if frame.scans > MAX_SCANS:
        raise Unreadable(f"a JPEG of {frame.scans:,} scans, more than {MAX_SCANS}")
    held = COEFFICIENT_BYTES * frame.components if frame.progressive else 0
    return frame.width * frame.height * held


def _pixel_bytes(image: Image.Image) -> int:
    """The most pixels that decoding and converting a picture will hold at a time.

    Raises:
        Unreadable: if it is stored in larger parts than any picture is.
    """
    width, height = image.size
    needed = width * height * PIXEL_BYTES.get(image.format or "", OTHER_PIXEL_BYTES)
    tags: Any = getattr(image, "tag_v2", {})
    sides = [tags.get(tag) for tag in (TILE_WIDTH, TILE_HEIGHT)]
    if all(isinstance(side, int) for side in sides):
        _check_size(*sides)
        needed += sides[0] * sides[1] * OTHER_PIXEL_BYTES
    return needed


@contextlib.contextmanager
def _memory(needed: int) -> Iterator[None]:
    if needed > DECODING.total:
        raise Unreadable(
            f"it may take {needed >> 20:,} MiB to decode, more than {DECODING.total >> 20:,} MiB"
        )
    with DECODING.share(needed):
        yield


def _shrunk(
    found: Image.Image | NDArray[np.uint8], least: int, channels: int, note: Note
) -> NDArray[np.uint8]:
    image = _picture(found)
    factor = min(image.size) // least
    if factor > 1:
        note(f"shrunk by averages over blocks of pixels, the shorter side to no less than {least}")
    image = image.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(image if factor < 2 else image.reduce(factor))
    return pixels.reshape(*pixels.shape[:2], channels)


def _squared(found: Image.Image | NDArray[np.uint8], framing: Framing, channels: int) -> NDArray[np.uint8]:
    if isinstance(found, np.ndarray) and found.shape[2] == channels and framing.keeps(found.shape):
        return found
    square = framing.square(_picture(found)).convert("L" if channels == 1 else "RGB")
    return np.asarray(square).reshape(framing.size, framing.size, channels)
