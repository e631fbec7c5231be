"""What `augment` leaves behind, and its JSON; docs/augment.md documents it, key for key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.rate import Rate
from equipoise.report.parts.versioned import read_versioned, write_versioned

__all__ = [
    "AUGMENT_SCHEMA_VERSION",
    "AttributeChange",
    "AttributeNumbers",
    "AugmentRecord",
    "AugmentedData",
    "AugmentedModel",
    "CellRecord",
    "GeneratorRecord",
    "PairsRecord",
    "PlaneRecord",
    "ProtectedRecord",
    "read_augment",
    "write_augment",
]

AUGMENT_SCHEMA_VERSION = 1
FILE = "augment.json"


@dataclass(frozen=True)
class CellRecord:
    """Test images with one target in one group."""

    target: int  # 1 = has the target attribute
    group: str
    n: int
    small: bool  # under 30 images
    accuracy: Rate  # in a change: points of it, as a share


@dataclass(frozen=True)
class AttributeNumbers:
    """One model and one attribute, on the test images; definitions in `equipoise.fairness.attribute_metrics`."""

    ap: Rate  # the cells counting equally
    deo: Rate  # |FNR(g) − FNR(h)|
    ba: Rate  # bias amplification, above 0 exaggerates what training correlated
    kl: Rate  # nats
    average_accuracy: Rate
    balanced_accuracy: Rate
    worst_cell_accuracy: Rate
    worst_cell: str | None  # in words
    cells: list[CellRecord]
    fnr: dict[str, Rate]  # group → share of its positives missed
    # "positives" | "negatives" → group → images a bin of the score
    histograms: dict[str, dict[str, list[int]]]


@dataclass(frozen=True)
class AttributeChange:
    """A model minus the plain one on the same images, paired intervals."""

    ap: Rate
    deo: Rate
    ba: Rate
    kl: Rate
    average_accuracy: Rate
    balanced_accuracy: Rate
    worst_cell_accuracy: Rate
    cells: list[CellRecord]


@dataclass(frozen=True)
class AugmentedModel:
    """One classifier of the target."""

    title: str  # what people read
    role: str  # "plain" | "augmented" | "control" | "comparison"
    sees: str  # "" | "in training" | "in use": when it needs the protected attribute
    threshold: float  # a probability, chosen on the validation part
    steps: int  # optimiser steps
    seconds: float
    numbers: dict[str, AttributeNumbers]  # by attribute
    changes: dict[str, AttributeChange]  # by attribute; empty for the plain model


@dataclass(frozen=True)
class PlaneRecord:
    """A hyperplane in the generator's latents, on latents that it was not fitted to."""

    accuracy: Rate
    auroc: Rate
    share: float  # of generated images that the classifier puts on its positive side


@dataclass(frozen=True)
class PairsRecord:
    """What the edits did, in the eyes of the classifiers."""

    count: int  # pairs in training
    keep: str  # "as-meant" | "all"
    variant: str  # "complement", "onto", …
    as_meant: Rate  # share of pairs tried, before any was left out, that do all that they should
    target_kept: Rate  # share of pairs tried whose target's side stayed
    changed: dict[str, Rate]  # attribute → share of pairs tried whose side changed as meant
    share: float  # generated among the images trained on
    cosines: dict[str, float]  # attribute → cosine of its hyperplane with the target's
    table: str  # folder of the pairs


@dataclass(frozen=True)
class GeneratorRecord:
    """Where the generated images are from."""

    source: str
    latent: int
    image_size: int
    trained_here: bool
    steps: int | None
    seconds: float | None


@dataclass(frozen=True)
class ProtectedRecord:
    """One attribute: the two sides, and how many images of each target."""

    sides: list[str]  # the negative side of the hyperplane, then the positive one
    found: str  # "annotated", or how it was discovered
    # attribute → Cramér's V within a class, where it was discovered
    agreement: dict[str, float]
    classifier_accuracy: Rate  # of f_g on the validation part, all four cells counting equally; n = images


@dataclass(frozen=True)
class AugmentedData:
    """What was trained and tested on."""

    fingerprint: dict[str, str]  # "train" | "validation" | "test" → fingerprint
    sources: dict[str, str]
    cells: dict[str, dict[str, dict[str, list[int]]]]  # part → attribute → group → [negatives, positives]
    rejected: int


@dataclass(frozen=True)
class AugmentRecord:
    """All numbers of a run of `augment`, with intervals."""

    command: str
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]
    target: str
    protected: dict[str, ProtectedRecord]  # what the pairs differ in
    measured: list[str]  # attributes that the numbers are about
    data: AugmentedData
    generator: GeneratorRecord
    planes: dict[str, PlaneRecord]  # the target's first
    pairs: PairsRecord
    edges: list[float]  # of the histograms' bins, probabilities; the outer bins hold what lies beyond
    models: dict[str, AugmentedModel]  # "plain" first
    notes: list[str]  # what was left out, and why
    wall_s: float
    peak_rss_bytes: int
    pictures: dict[str, str] = field(default_factory=dict)  # "samples" | "edits" → PNG file in the folder
    schema_version: int = AUGMENT_SCHEMA_VERSION


def write_augment(record: AugmentRecord, folder: str | os.PathLike[str]) -> Path:
    """Write folder/augment.json atomically, and give its path.

    Raises:
        InputError: if the record does not fit its own schema.
        DataError: if the file cannot be written.
    """
    return write_versioned(record, Path(folder) / FILE)


def read_augment(folder: str | os.PathLike[str]) -> AugmentRecord:
    """Read folder/augment.json.

    Raises:
        DataError: if there is none, it is not JSON, or not of this schema version.
    """
    return read_versioned(
        AugmentRecord, Path(folder) / FILE, AUGMENT_SCHEMA_VERSION, what="a record of augment"
    )
