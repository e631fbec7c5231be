"""What a sweep leaves behind, and its JSON; docs/sweep.md documents it, key for key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from equipoise.notebook import table_html
from equipoise.rate import Rate
from equipoise.report.parts.versioned import Schema

__all__ = [
    "SWEEP",
    "SWEEP_SCHEMA_VERSION",
    "SweepRecord",
    "SweptModel",
    "SweptPoint",
    "SweptRun",
    "SweptSampling",
    "SweptWeights",
    "read_sweep",
    "write_sweep",
]

SWEEP_SCHEMA_VERSION = 2


@dataclass(frozen=True)
class SweptModel:
    """One model: of a run, with intervals over test images; of a point, means with intervals over its runs."""

    title: str
    miss: Rate  # positives missed at the matched false-positive rate
    accuracy: Rate  # at threshold 0.5
    worst_group: dict[str, str | None]  # attribute → group; of a point, the group that is worst in most runs
    worst_miss: dict[str, Rate]  # attribute → its share missed at the matched false-positive rate
    variance: dict[str, Rate]  # attribute → variance over groups at that rate, percent²


@dataclass(frozen=True)
class SweptWeights:
    """What the weights ask for: what would be drawn one image at a time. Keys as in `SweptSampling`."""

    ess: Rate
    max_weight: Rate
    enrichment: dict[str, dict[str, Rate]]


@dataclass(frozen=True)
class SweptSampling:
    """How positives were drawn for the debiased model: what batches draw by the weights that training ended with."""

    ess: Rate  # effective sample size over N, in (0, 1]
    max_weight: Rate  # how many times its natural share the image drawn most often is drawn
    natural_share: dict[str, dict[str, float]]  # attribute → group → share of the training positives
    enrichment: dict[str, dict[str, Rate]]  # attribute → group → share of the draws / natural share
    meant: SweptWeights | None = None


@dataclass(frozen=True)
class SweptRun:
    """One run."""

    number: int  # place in the grid, from 1
    values: dict[str, str]  # setting → value, as text
    seed: int
    folder: str  # of the whole run, relative to the sweep's
    error: str | None  # why it failed
    seconds: float | None  # wall-clock
    models: dict[str, SweptModel]  # "plain", "debiased" and the controls; empty if it failed
    sampling: SweptSampling | None


@dataclass(frozen=True)
class SweptPoint:
    """Runs that differ in nothing but the seed; `n` of a rate counts runs."""

    values: dict[str, str]
    seeds: list[int]  # of the runs that finished
    failed: int
    models: dict[str, SweptModel]
    sampling: SweptSampling | None


@dataclass(frozen=True)
class SweepRecord:
    """All numbers of a sweep."""

    command: str
    settings: dict[str, Any]
    versions: dict[str, str]
    vary: dict[str, list[str]]  # setting → values, as text; without the seed
    seeds: list[int]
    fpr: float
    attributes: list[str]  # whose groups are compared
    rarest: dict[str, str]  # attribute → group with the fewest training positives
    runs: list[SweptRun]
    points: list[SweptPoint]
    schema_version: int = SWEEP_SCHEMA_VERSION

    def __repr__(self) -> str:
        return f"SweepRecord({len(self.runs)} runs at {len(self.points)} points, seeds {self.seeds})"

    def _repr_html_(self) -> str:
        rows = [[name, ", ".join(values)] for name, values in self.vary.items()]
        rows.append(["seed", ", ".join(map(str, self.seeds))])
        return table_html(self.command, ["setting", "values"], rows)


SWEEP = Schema(SweepRecord, "sweep.json", SWEEP_SCHEMA_VERSION, "a record of a sweep")
write_sweep, read_sweep = SWEEP.write, SWEEP.read
