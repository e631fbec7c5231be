"""Data: every source of pictures becomes one `ImageTable`.

`read` opens whatever lies at a path, `planted` draws the embedded set, `split` shares a table out without
leaks. Each published layout has a file of its own here, which turns it into a `Source`; what is common to all
of them (decoding, the cache, unreadable pictures) is in `decode`, `pixels` and `read`.
"""

from __future__ import annotations

from equipoise.data.contact_sheet import contact_sheet
from equipoise.data.planted import planted
from equipoise.data.read import FORMATS, read
from equipoise.data.rejected import write_rejected
from equipoise.data.split import Split, split
from equipoise.data.table import ImageTable

__all__ = [
    "FORMATS",
    "ImageTable",
    "Split",
    "contact_sheet",
    "planted",
    "read",
    "split",
    "write_rejected",
]
