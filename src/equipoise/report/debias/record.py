"""`RunRecord`: what a run leaves behind. Everything that people see is rendered from it.

The schema is documented key by key in docs/record.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.fairness import ClassComparison, ClassDifference, ClassEvaluation, Comparison, Evaluation
from equipoise.files import write_json
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate
from equipoise.report.parts.choice import ChoiceRecord
from equipoise.report.parts.typed_json import LATER, encode
from equipoise.report.parts.versioned import Schema
from equipoise.report.parts.wrong import WrongPictures

__all__ = [
    "RUN",
    "SCHEMA_VERSION",
    "CountedDraws",
    "DataRecord",
    "MeantSampling",
    "ModelRecord",
    "ResamplingRecord",
    "RunRecord",
    "SecondStageRecord",
    "TimingRecord",
    "from_json",
    "read",
    "to_json",
    "write",
    "write_resampling",
]

SCHEMA_VERSION = 4


@dataclass(frozen=True)
class ModelRecord:
    """One model, or one control, on the test images."""

    title: str  # what people read, e.g. "plain"
    role: str  # "plain" | "debiased" | "control"
    numbers: (
        Evaluation | None
    )  # of positives against negatives; None of many classes where none is named positive
    history: dict[str, list[float]]  # loss curves: "step", "total", "classification", …
    seconds: float | None  # training wall-clock; None for a threshold-only control
    steps: int | None
    classes: ClassEvaluation | None = None  # class by class; None where nothing was measured so

    @property
    def detection(self) -> Evaluation:
        """`numbers`, where they must be.

        Raises:
            ValueError: if nothing was measured as positive against negative.
        """
        if self.numbers is None:
            raise ValueError(f"the model {self.title!r} has no numbers of positives and negatives")
        return self.numbers


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
class SecondStageRecord:
    """Another last layer for a trained model, chosen as a fix is, without labels of groups and without test images."""

    model: str  # whose last layer it is
    images: int  # that it was chosen and fitted on
    held_out: (
        bool  # kept from training; else they were trained on, and its features had not seen their labels
    )
    left_out: int  # images that were held out but are trained on too, and take no part
    choice: ChoiceRecord
    change: ClassDifference | None  # on test images, against `model`; None where it was left as it was
    seconds: float


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
    comparisons: Comparison | None  # paired differences against the baseline; None if nothing was compared
    resampling: ResamplingRecord | None
    timing: TimingRecord
    pictures: dict[str, str] = field(default_factory=dict)  # name → PNG file in the run's folder
    class_comparisons: ClassComparison | None = None  # the same class by class
    positive: str | None = None  # of many classes, the one that `numbers` are about
    class_resampling: dict[str, ResamplingRecord] = field(
        default_factory=dict
    )  # of many classes, those with weights
    wrong: WrongPictures | None = field(
        default=None, metadata=LATER
    )  # None of tables of predictions, which have no pictures
    second_stage: dict[str, SecondStageRecord] = field(
        default_factory=dict, metadata=LATER
    )  # name of the refitted model → how it came about; there is none in `models` where it was left as it was
    schema_version: int = SCHEMA_VERSION

    def __repr__(self) -> str:
        titles = ", ".join(short(model.title) for model in self.models.values())
        return (
            f"RunRecord({titles or 'no model'}; seed {self.seed}, equipoise {self.versions.get('equipoise')})"
        )

    def _repr_html_(self) -> str:
        heads = ["model", "accuracy", "balanced accuracy", "worst class"]
        of_classes = [(m.title, m.classes) for m in self.models.values() if m.classes is not None]
        rows = [
            [title, *map(rate_text, (n.accuracy, n.balanced_accuracy, n.worst_class["recall"]))]
            for title, n in of_classes
        ]
        detected = [(m.title, m.numbers) for m in self.models.values() if m.numbers is not None]
        if detected:
            heads = ["model", "TPR", f"TPR at {100 * self.fpr:g} % FPR", "mean probability", "AUROC"]
            rows = [
                [title, *map(rate_text, (n.tpr, n.tpr_at_fpr, n.mean_probability, n.auroc))]
                for title, n in detected
            ]
        return table_html(self.command, heads, rows)


def write_resampling(
    record: ResamplingRecord | Mapping[str, ResamplingRecord], folder: str | os.PathLike[str]
) -> Path:
    """Write what a training without a test knows of its sampling to resampling.json of a folder. Returns the file.

    Args:
        record: Of positives, with negatives in it; or of each of more than two classes, by name, which stand under
            "classes".
        folder: Where.

    Raises:
        DataError: if the file cannot be written.
    """
    target = Path(folder) / "resampling.json"
    told = (
        encode(record)
        if isinstance(record, ResamplingRecord)
        else {"classes": {name: encode(one) for name, one in record.items()}}
    )
    write_json(target, {"schema_version": SCHEMA_VERSION, **told})
    return target


RUN = Schema(RunRecord, "record.json", SCHEMA_VERSION, "a run record")
to_json, from_json, write, read = RUN.to_json, RUN.from_json, RUN.write, RUN.read
