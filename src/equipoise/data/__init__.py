"""Data: every source of pictures becomes one `ImageTable`.

`read` opens whatever lies at a path or in memory, `planted` and `shortcut` draw the embedded sets, `split` shares a
table out without leaks, `aligned` numbers the classes of one table as in another. Each layout has a file of its own
here, which turns it into a `Source`; what is common to all of them (decoding, the cache, unreadable pictures) is in
`decode`, `pixels` and `read`.
"""

from __future__ import annotations

from equipoise.data.alignment import aligned, classes_of
from equipoise.data.contact_sheet import contact_sheet, thumbnails
from equipoise.data.planted import planted
from equipoise.data.read import FORMATS, read
from equipoise.data.rejected import write_rejected
from equipoise.data.shortcut import shortcut
from equipoise.data.split import Split, split
from equipoise.data.table import ImageTable

__all__ = [
    "FORMATS",
    "ImageTable",
    "Split",
    "aligned",
    "classes_of",
    "contact_sheet",
    "planted",
    "read",
    "shortcut",
    "split",
    "thumbnails",
    "write_rejected",
]
