"""One picture in, a square of uint8 out; what cannot be a picture says why.

Decided here, once:

- *Colour*: RGB. Grey is repeated; CMYK, palettes and other modes are converted by Pillow; 16 bits a channel
  are scaled to 8; transparent parts become white; the EXIF orientation is applied.
- *Shape*: the largest centred square, resized by Lanczos. Nothing is stretched: a face keeps its proportions.
- *Animated*: the first frame (phones write two-frame JPEGs that are ordinary photographs).
- *Large*: more than 80 million pixels are refused by the header, before anything is decoded. A JPEG at least
  six times as large as needed is first shrunk by its decoder to no less than three times, which no one can
  see.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from equipoise.data.source import Content

try:
    import simplejpeg
except ImportError:  # the extra `jpeg`; Pillow gives the same pixels, slower
    simplejpeg = None

__all__ = ["MAX_PIXELS", "Unreadable", "decoded", "encoded"]

MAX_PIXELS = 80_000_000
MAX_BYTES = 1 << 30
SHRUNK = 3  # a shrinking JPEG decoder leaves at least this many times the size that is wanted
ORIENTATION = 0x0112


class Unreadable(Exception):
    """A picture cannot be used; the text is the reason. Never leaves the data room."""


def encoded(content: Content) -> bytes | NDArray[np.uint8]:
    """The bytes of a picture, read from its file if it is one.

    Raises:
        Unreadable: if the file is missing, cannot be read, is empty or too large.
    """
    if isinstance(content, Path):
        try:
            if (size := content.stat().st_size) > MAX_BYTES:
                raise Unreadable(f"the file has {size:,} bytes, more than {MAX_BYTES:,}")
            content = content.read_bytes()
        except FileNotFoundError:
            raise Unreadable("the file is missing") from None
        except (OSError, ValueError) as error:
            raise Unreadable(
                f"the file cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from None
    if not len(content):
        raise Unreadable("the file is empty")
    return content


def decoded(content: bytes | NDArray[np.uint8], *, size: int, channels: int) -> NDArray[np.uint8]:
    """Pixels of a picture with shape (size, size, channels).

    Raises:
        Unreadable: if it is not a picture, is truncated, too large, or of a kind that is not supported.
    """
    pixels = _fast_jpeg(content, size) if isinstance(content, bytes) else _checked(content)
    if pixels is not None and pixels.shape == (size, size, channels):
        return pixels
    try:
        if pixels is not None:
            image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        else:
            image = _opened(bytes(content), size)
        return _squared(image, size, channels)
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        raise Unreadable(f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise Unreadable("not a picture of a known format") from None
    except Exception as error:  # Pillow's plugins raise almost anything on broken input
        raise Unreadable(f"cannot be decoded: {error or type(error).__name__}") from None


def _fast_jpeg(data: bytes, size: int) -> NDArray[np.uint8] | None:
    """Pixels of an ordinary JPEG, equal to Pillow's; None for whatever is better left to Pillow."""
    if simplejpeg is None or not data.startswith(b"\xff\xd8\xff") or b"Exif\0\0" in data:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or min(height, width) >= 2 * SHRUNK * size:
            return None
        if height * width > MAX_PIXELS:
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return None
    return pixels


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or pixels.dtype != np.uint8:
        raise Unreadable(f"expected 1 or 3 channels of uint8, got shape {pixels.shape} of {pixels.dtype}")
    return np.ascontiguousarray(pixels)


def _opened(data: bytes, size: int) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(data))
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width} × {height} pixels, more than {MAX_PIXELS:,}")
    if min(width, height) >= 2 * SHRUNK * size:
        image.draft(None, (SHRUNK * size, SHRUNK * size))
    image.load()
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    return _eight_bit(image)


def _eight_bit(image: Image.Image) -> Image.Image:
    """L or RGB."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise Unreadable("more than 16 bits a channel")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode == "F":
        raise Unreadable("floating-point pixels")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("L") if image.mode in ("1", "L") else image.convert("RGB")


def _squared(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    if (width, height) != (size, size):
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.LANCZOS, box=box)
    return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(size, size, channels)
