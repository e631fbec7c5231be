"""What `augment` leaves behind, and its JSON; docs/augment.md documents it, key for key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from equipoise.fairness import AttributeDifference, AttributeMetrics
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate
from equipoise.report.parts.versioned import Schema

__all__ = [
    "AUGMENT",
    "AUGMENT_SCHEMA_VERSION",
    "AttributeNumbers",
    "AugmentRecord",
    "AugmentedData",
    "AugmentedModel",
    "GeneratorRecord",
    "PairsRecord",
    "PlaneRecord",
    "ProtectedRecord",
    "read_augment",
    "write_augment",
]

AUGMENT_SCHEMA_VERSION = 2


@dataclass(frozen=True)
class AttributeNumbers:
    """One model and one attribute, on the test images."""

    metrics: AttributeMetrics  # its threshold and its edges are logits
    # "positives" | "negatives" → group → images a bin of the score
    histograms: dict[str, dict[str, list[int]]]


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
    changes: dict[str, AttributeDifference]  # by attribute; empty for the plain model


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

    def __repr__(self) -> str:
        titles = ", ".join(short(model.title) for model in self.models.values())
        return f"AugmentRecord({titles}; target {short(self.target)}, {self.pairs.count:,} pairs, seed {self.seed})"

    def _repr_html_(self) -> str:
        rows = [
            [
                one.title,
                attribute,
                *map(rate_text, (of.metrics.ap, of.metrics.deo, of.metrics.ba, of.metrics.kl)),
            ]
            for one in self.models.values()
            for attribute, of in one.numbers.items()
        ]
        return table_html(self.command, ["model", "attribute", "AP", "DEO", "BA", "KL"], rows)


AUGMENT = Schema(AugmentRecord, "augment.json", AUGMENT_SCHEMA_VERSION, "a record of augment")
write_augment, read_augment = AUGMENT.write, AUGMENT.read
