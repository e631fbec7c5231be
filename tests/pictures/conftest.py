import struct
import zlib

import pytest


@pytest.fixture
def raw_png():
    """A PNG written by hand, in the depths and kinds of colour that Pillow does not write."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def make(width, rows, *, depth, kind, transparent=b"", significant=b"", interlaced=0):
        """Rows of bytes; `kind` of colour is 0 grey, 2 RGB, 4 grey with alpha, 6 RGBA."""
        header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, interlaced)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + (chunk(b"sBIT", significant) if significant else b"")
            + (chunk(b"tRNS", transparent) if transparent else b"")
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
            + chunk(b"IEND", b"")
        )

    return make


@pytest.fixture(scope="session")
def profile():
    """A colour profile written by hand: of RGB with given primaries (XYZ at D50) or of grey, with a gamma."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def make(primaries=None, gamma=2.2):
        curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
        white = (0.9642, 1.0, 0.8249)
        tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + bytes(79)}
        tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(*white)
        for letter, primary in zip(b"rgb", primaries or (), strict=False):
            tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*primary)
            tags[bytes([letter]) + b"TRC"] = curve
        if primaries is None:
            tags[b"kTRC"] = curve
        listed, body = b"", b""
        for name, content in tags.items():
            listed += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
            body += content + bytes(-len(content) % 4)
        space = b"GRAY" if primaries is None else b"RGB "
        head = (
            b"lcms\x02\x40\0\0mntr"
            + space
            + b"XYZ "
            + bytes(12)
            + b"acsp"
            + bytes(28)
            + fixed(*white)
            + bytes(48)
        )
        size = 132 + len(listed) + len(body)
        return struct.pack(">I", size) + head + struct.pack(">I", len(tags)) + listed + body

    return make
