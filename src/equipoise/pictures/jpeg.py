"""What a JPEG's markers say before anything is decoded.

An ordinary JPEG is one of which nothing but the pixels matters: eight bits, grey or YCbCr, and no segment that
could turn the picture or say what its colours mean (EXIF, XMP, a colour profile, Adobe's).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Frame", "jpeg_frame"]

START, SCAN = b"\xff\xd8\xff", b"\xff\xda"
COMMENT, TABLES, RESTARTS = 0xFE, (0xC4, 0xDB), 0xDD
APP0 = 0xE0
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
GIVEN_IDS = bytes((1, 2, 3))  # of Y, Cb and Cr


@dataclass(frozen=True)
class Frame:
    """A JPEG before it is decoded.

    Args:
        height: Pixels.
        width: Pixels.
        components: Of colour: 1, 3 or 4 in what is known.
        progressive: Its decoder holds all coefficients at once.
        scans: Passes over the picture; never fewer than there are.
        ordinary: Nothing beside its pixels says how it is to be shown.
    """

    height: int
    width: int
    components: int
    progressive: bool
    scans: int
    ordinary: bool

    @classmethod
    def unknown(cls, size: tuple[int, int], data: bytes) -> Frame:
        """The most that a JPEG of this width and height may be, where its markers do not tell."""
        return cls(size[1], size[0], 4, True, data.count(SCAN), False)


def jpeg_frame(data: bytes) -> Frame | None:
    """What the markers before the first scan say; None if they do not hold together or it is no JPEG."""
    if not data.startswith(START):
        return None
    place, found, ordinary, jfif = 2, b"", True, False
    kind = 0
    while data[place : place + 1] == b"\xff" and place + 4 <= len(data):
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : place + 2 + length]
        if length < 2 or len(body) != length - 2:
            return None
        if data[place : place + 2] == SCAN:
            return _frame(data, kind, found, ordinary, jfif)
        if marker in FRAMES:
            ordinary = ordinary and not found
            kind, found = marker, body
        elif marker == APP0:
            jfif = jfif or body.startswith(b"JFIF\0")
        elif marker not in (*TABLES, COMMENT, RESTARTS):
            ordinary = False
        place += 2 + length
    return None


def _frame(data: bytes, kind: int, body: bytes, ordinary: bool, jfif: bool) -> Frame | None:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        return None
    components = body[5]
    known = kind in (BASELINE, EXTENDED, PROGRESSIVE) and body[0] == 8
    colours = components == 1 or (components == 3 and (jfif or body[6::3] == GIVEN_IDS))
    return Frame(
        int.from_bytes(body[1:3], "big"),
        int.from_bytes(body[3:5], "big"),
        components,
        kind not in (BASELINE, EXTENDED),
        data.count(SCAN),
        ordinary and known and colours,
    )
