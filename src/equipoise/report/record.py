"""`RunRecord`: what a run leaves behind. Everything that people see is rendered from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from equipoise.rate import Rate

__all__ = ["DataRecord", "GroupRecord", "ModelRecord", "ResamplingRecord", "RunRecord", "TimingRecord"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class GroupRecord:
    """Numbers of one group under one model. JSON: models.<model>.groups.<attribute>.<group>.*"""

    n: int
    small: bool  # under 30 images: too few to say much
    tpr: Rate  # at threshold 0.5
    tpr_at_fpr: Rate  # at the matched false-positive rate
    auroc: Rate
    mean_probability: Rate


@dataclass(frozen=True)
class ModelRecord:
    """One model, or one control, on the test images.

    `variance`, `worst_group`, `gap` are by attribute and by operating point:
    {"race": {"at_0.5": {...}, "at_fpr": {...}}}.
    """

    title: str  # what people read, e.g. "plain CNN"
    role: str  # "plain" | "debiased" | "control"
    fpr: Rate  # at 0.5
    tpr: Rate  # at 0.5, all positives
    tpr_at_fpr: Rate
    threshold_at_fpr: float
    auroc: Rate
    accuracy: Rate
    groups: dict[str, dict[str, GroupRecord]]
    variance: dict[str, dict[str, Rate]]  # percent²; keys attribute → "at_0.5" | "at_fpr"
    worst_group: dict[str, dict[str, dict[str, Any]]]  # {"group": name | None, "tpr": Rate}
    gap: dict[str, dict[str, Rate]]  # max − min TPR
    history: dict[str, list[float]]  # loss curves: "step", "total", "classification", …
    seconds: float | None  # training wall-clock; None for a threshold-only control
    steps: int | None


@dataclass(frozen=True)
class ResamplingRecord:
    """How the sampling weights came out. `None` in the record when nothing was resampled."""

    rule: str
    ess: float  # effective sample size over N, in (0, 1]
    max_weight: float  # largest weight times N: how many times its natural share an image is drawn
    natural_share: dict[str, dict[str, float]]  # attribute → group → share of the positives
    share: dict[str, dict[str, float]]  # attribute → group → share of the draws
    enrichment: dict[str, dict[str, Rate]]  # attribute → group → share / natural share
    verdict: str  # in words: did rarity find the rare?


@dataclass(frozen=True)
class DataRecord:
    """What was trained and tested on."""

    fingerprint: dict[str, str]  # "train" | "validation" | "test" → fingerprint
    counts: dict[str, dict[str, int]]  # split → {"positives": …, "negatives": …}
    sources: dict[str, str]  # "positives" → what the user gave, …
    group_counts: dict[str, dict[str, dict[str, int]]]  # split → attribute → group → positives
    rejected: int


@dataclass(frozen=True)
class TimingRecord:
    """Cost of the run."""

    steps_per_s: float
    wall_s: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class RunRecord:
    """All numbers of a run, with intervals."""

    command: str  # the command that made it
    recipe: dict[str, Any]
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]
    data: DataRecord
    fpr: float  # the matched false-positive rate asked for
    models: dict[str, ModelRecord]
    comparisons: dict[str, Any]  # paired differences against "plain", see docs/record.md
    resampling: ResamplingRecord | None
    timing: TimingRecord
    pictures: dict[str, str] = field(default_factory=dict)  # name → PNG file in the run's folder
    schema_version: int = SCHEMA_VERSION
