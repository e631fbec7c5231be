"""What a fix leaves behind, and its JSON; docs/fix.md documents it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from equipoise.fairness import ClassComparison, ClassEvaluation
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate
from equipoise.report.debias.record import DataRecord
from equipoise.report.parts.choice import ChoiceRecord, TriedFix
from equipoise.report.parts.typed_json import LATER
from equipoise.report.parts.versioned import Schema
from equipoise.report.parts.wrong import WrongPictures

__all__ = [
    "FIX",
    "FIX_SCHEMA_VERSION",
    "ChoiceRecord",
    "FixRecord",
    "FixTiming",
    "FixedModel",
    "MendedSlice",
    "SliceTrait",
    "TriedFix",
    "picture_name",
    "read_fix",
    "write_fix",
]

FIX_SCHEMA_VERSION = 2
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class FixedModel:
    """A last layer, or a control, on the test images."""

    title: str
    role: str  # "before" | "after" | "control" | "oracle": one that was told the groups of training images
    numbers: ClassEvaluation


@dataclass(frozen=True)
class SliceTrait:
    """What images of a slice are more often than the rest of their class, by a column that finding did not see."""

    column: str
    value: str
    share: Rate  # of the slice's images
    rest: Rate  # of the other images of its class


@dataclass(frozen=True)
class MendedSlice:
    """A hidden group that the network failed on, before and after; shares of wrong test images.

    It was found in the data; test images are in it by its rule, whatever a model says of them.
    """

    name: str
    label: str  # class of its images
    images: int  # of the test
    before: Rate
    after: Rate
    change: Rate  # after − before, paired; below 0 is better
    traits: list[SliceTrait]  # one a column of groups
    shown: list[int] = field(
        default_factory=list, metadata=LATER
    )  # test rows of its picture: wrong before, those right now first
    right_now: int = field(default=0, metadata=LATER)  # of these, how many are right now


@dataclass(frozen=True)
class FixTiming:
    """Cost of the run, in seconds."""

    features_s: float  # the passes of the network
    choosing_s: float
    wall_s: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class FixRecord:
    """All numbers of a fix, with intervals over the test images."""

    command: str
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]
    network: dict[
        str, Any
    ]  # name, features, layer, preprocessing, and whether its own last layer is of these classes
    data: DataRecord
    choice: ChoiceRecord
    models: dict[str, FixedModel]  # "before", "after", controls
    comparisons: ClassComparison  # against "before"
    timing: FixTiming
    slices: list[MendedSlice] = field(default_factory=list)
    slices_note: str = ""  # why there are none
    pictures: dict[str, str] = field(default_factory=dict, metadata=LATER)  # name → file in the folder
    wrong: WrongPictures | None = field(default=None, metadata=LATER)  # of the new last layer, on test images
    schema_version: int = FIX_SCHEMA_VERSION

    def __repr__(self) -> str:
        return (
            f"FixRecord({self.choice.chosen}; seed {self.seed}, equipoise {self.versions.get('equipoise')})"
        )

    def _repr_html_(self) -> str:
        heads = ["last layer", "accuracy", "balanced accuracy", "worst class"]
        rows = [
            [
                short(one.title),
                *map(rate_text, (one.numbers.accuracy, one.numbers.balanced_accuracy)),
                rate_text(one.numbers.worst_class["recall"]),
            ]
            for one in self.models.values()
        ]
        return table_html(self.command, heads, rows)


def picture_name(number: int) -> str:
    """Of the contact sheet of a slice, counted from 1."""
    return f"slice_{number}"


FIX = Schema(FixRecord, "fix.json", FIX_SCHEMA_VERSION, "a fix")
write_fix, read_fix = FIX.write, FIX.read
