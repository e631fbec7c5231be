"""`RunRecord`: what a run leaves behind. Everything that people see is rendered from it.

The schema is documented key by key in docs/record.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.errors import DataError, InputError
from equipoise.files import read_json, write_json
from equipoise.rate import Rate
from equipoise.report.parts.typed_json import decode, encode
from equipoise.sharing import shareable

__all__ = [
    "SCHEMA_VERSION",
    "ComparisonRecord",
    "CountedDraws",
    "DataRecord",
    "GroupDifference",
    "GroupRecord",
    "MeantSampling",
    "ModelRecord",
    "ResamplingRecord",
    "RunRecord",
    "TimingRecord",
    "WorstGroup",
    "from_json",
    "read",
    "to_json",
    "write",
    "write_resampling",
]

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class GroupRecord:
    """Numbers of one group under one model. JSON: models.<model>.groups.<attribute>.<group>.*"""

    n: int  # positives of the group among the test images
    small: bool  # under 30 images: too few to say much
    tpr: Rate  # at threshold 0.5
    tpr_at_fpr: Rate  # at the matched false-positive rate
    auroc: Rate  # the group's positives against all negatives
    mean_probability: Rate


@dataclass(frozen=True)
class WorstGroup:
    """The group found least often; `group` is None when no group of the attribute has a rate."""

    group: str | None
    tpr: Rate


@dataclass(frozen=True)
class ModelRecord:
    """One model, or one control, on the test images.

    `variance`, `worst_group`, `gap` are by attribute and by operating point:
    {"race": {"at_0.5": ..., "at_fpr": ...}}.
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
    worst_group: dict[str, dict[str, WorstGroup]]
    gap: dict[str, dict[str, Rate]]  # max − min TPR
    history: dict[str, list[float]]  # loss curves: "step", "total", "classification", …
    seconds: float | None  # training wall-clock; None for a threshold-only control
    steps: int | None
    logit_at_fpr: float | None = (
        None  # `threshold_at_fpr` as a logit; None where only probabilities are known
    )
    saturated: int = 0  # scores tied at a probability of exactly 0 or 1; 0 where logits rank


@dataclass(frozen=True)
class GroupDifference:
    """Paired difference of one group's rates, this model − baseline; above 0 = found more often."""

    tpr: Rate
    tpr_at_fpr: Rate


@dataclass(frozen=True)
class ComparisonRecord:
    """Paired differences, this model − `baseline`, on the same test images and the same bootstrap draws.

    `variance`, `worst_group` and `gap` are by attribute and operating point, as in `ModelRecord`.
    `worst_group` is the TPR of this model's worst group minus the TPR of the baseline's worst group, which
    need not be the same group.
    """

    baseline: str
    fpr: Rate
    tpr: Rate
    tpr_at_fpr: Rate
    auroc: Rate
    accuracy: Rate
    groups: dict[str, dict[str, GroupDifference]]
    variance: dict[str, dict[str, Rate]]
    worst_group: dict[str, dict[str, Rate]]
    gap: dict[str, dict[str, Rate]]


@dataclass(frozen=True)
class MeantSampling:
    """What the weights ask for: what would be drawn one image at a time. Keys as in `ResamplingRecord`."""

    ess: float
    max_weight: float
    share: dict[str, dict[str, float]]
    enrichment: dict[str, dict[str, Rate]]


@dataclass(frozen=True)
class CountedDraws:
    """What was drawn in training, counted: all batches that were drawn by weights, by those of earlier epochs too."""

    batches: int
    draws: int
    share: dict[str, dict[str, float]]  # attribute → group → share of these draws


@dataclass(frozen=True)
class ResamplingRecord:
    """How one class was drawn. `None` in the record when nothing was resampled.

    A batch holds an image once at most, so it cannot follow weights that ask for more. `ess`, `max_weight`, `share`
    and `enrichment` are of what batches draw by the last weights; `meant` has what these ask for.
    """

    rule: str
    ess: float  # effective sample size over N, in (0, 1]
    max_weight: float  # how many times its natural share the image drawn most often is drawn
    natural_share: dict[str, dict[str, float]]  # attribute → group → share of the images of the class
    share: dict[str, dict[str, float]]  # attribute → group → share of the draws
    enrichment: dict[str, dict[str, Rate]]  # attribute → group → share / natural share
    verdict: str  # in words: did rarity find the rare?
    representation: str = ""  # in what rarity was measured, in words
    # The same weights tempered to effective sample size 0.5, none above 10 times its share: there runs compare.
    enrichment_at_half: dict[str, dict[str, Rate]] = field(default_factory=dict)
    verdict_at_half: str = ""
    negatives: ResamplingRecord | None = None  # of the negatives, if they were drawn by weights too
    images: int | None = None  # N, the images of the class
    batch: int | None = None  # of these, how many a batch holds; None: one image at a time
    meant: MeantSampling | None = None
    counted: CountedDraws | None = None  # None where nothing was trained


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
    comparisons: dict[str, ComparisonRecord]  # model → paired differences against its baseline
    resampling: ResamplingRecord | None
    timing: TimingRecord
    pictures: dict[str, str] = field(default_factory=dict)  # name → PNG file in the run's folder
    schema_version: int = SCHEMA_VERSION


def write_resampling(record: ResamplingRecord, folder: str | os.PathLike[str]) -> Path:
    """Write what a training without a test knows of its sampling to resampling.json of a folder. Returns the file.

    Raises:
        DataError: if the file cannot be written.
    """
    target = Path(folder) / "resampling.json"
    write_json(target, {"schema_version": SCHEMA_VERSION, **encode(record)})
    return target


def to_json(record: RunRecord) -> dict[str, Any]:
    """The record as plain JSON values, `schema_version` first.

    Raises:
        InputError: if a setting has no JSON form; the message names the place.
    """
    content: dict[str, Any] = encode(record)
    return {"schema_version": content.pop("schema_version"), **content}


def from_json(content: Any) -> RunRecord:
    """The record that `to_json` turned into `content`.

    Raises:
        InputError: if the schema version is another, a key is missing or unknown, or a value of another type.
    """
    if not isinstance(content, dict) or "schema_version" not in content:
        raise InputError(
            "Expected a run record, a JSON object with the key schema_version; "
            f"got {_shape(content)}. Choose the record.json of a run's folder."
        )
    version = content["schema_version"]
    if version != SCHEMA_VERSION or isinstance(version, bool):
        versions = content.get("versions")
        by = versions.get("equipoise") if isinstance(versions, dict) else None
        raise InputError(
            f"Expected a run record of schema version {SCHEMA_VERSION}; got version {version!r}"
            + (f", written by equipoise {by}" if by else "")
            + ". Read it with the equipoise that wrote it, or run it again with this one."
        )
    record: RunRecord = decode(RunRecord, content)
    return record


def write(record: RunRecord, path: str | os.PathLike[str]) -> Path:
    """Write a record atomically to a file, or to record.json of a folder, without places of this machine.

    Raises:
        InputError: if the record does not fit its own schema (it could not be read back).
        DataError: if the file cannot be written.
    """
    content = to_json(shareable(record))
    from_json(content)
    target = _file(path)
    write_json(target, content)
    return target


def read(path: str | os.PathLike[str]) -> RunRecord:
    """Read a record from a file, or from record.json of a folder.

    Raises:
        DataError: if there is no such file, it is not JSON, or not a record of this schema version.
    """
    target = _file(path)
    content = read_json(target, "a run record", "Give the folder of a finished run, or its record.json.")
    try:
        return shareable(from_json(content))  # an older one may hold places of a machine
    except InputError as error:
        raise DataError(f"{target} cannot be used. {error}") from error


def _file(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    return target if target.suffix == ".json" and not target.is_dir() else target / "record.json"


def _shape(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    return "an object without it" + (f" (its keys: {', '.join(list(content)[:5])})" if content else "")
