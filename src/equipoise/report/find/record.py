"""What `find` leaves behind, and its JSON; docs/find.md documents it, key for key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from equipoise.notebook import rate_text, table_html
from equipoise.rate import Rate
from equipoise.report.audit.record import AuditSlices
from equipoise.report.parts.versioned import Schema

__all__ = ["FIND", "FIND_SCHEMA_VERSION", "FindData", "FindRecord", "read_find", "write_find"]

FIND_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FindData:
    """What slices were sought in."""

    fingerprint: dict[str, str]  # "predictions" | "vectors" → digest of its content
    sources: dict[str, str]
    labels: dict[str, int]  # class → images
    dimensions: int  # of a vector
    notes: list[str]  # what the tables were taken to say


@dataclass(frozen=True)
class FindRecord:
    """Hidden groups found in a table of predictions and vectors of its images."""

    command: str
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]
    data: FindData
    accuracy: Rate  # over all images
    slices: AuditSlices
    wall_s: float
    peak_rss_bytes: int
    pictures: dict[str, str] = field(default_factory=dict)  # name → PNG or JPEG file in the folder
    schema_version: int = FIND_SCHEMA_VERSION

    def __repr__(self) -> str:
        many = len(self.slices.found)
        found = f"{many} slice{'' if many == 1 else 's'} of {self.accuracy.n:,} images"
        return f"FindRecord({found}; seed {self.seed}, equipoise {self.versions.get('equipoise')})"

    def _repr_html_(self) -> str:
        rows = [
            [one.name, f"{one.size:,}", rate_text(one.errors), rate_text(one.rest)]
            for one in self.slices.found
        ]
        return table_html(self.command, ["slice", "images", "wrong", "rest of its class"], rows)


FIND = Schema(FindRecord, "find.json", FIND_SCHEMA_VERSION, "a search for hidden groups")
write_find, read_find = FIND.write, FIND.read
