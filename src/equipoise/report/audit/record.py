"""What an audit leaves behind, and its JSON; docs/audit.md documents it, key for key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate
from equipoise.report.parts.typed_json import LATER
from equipoise.report.parts.versioned import Schema
from equipoise.report.parts.wrong import WrongPictures

__all__ = [
    "AUDIT",
    "AUDIT_SCHEMA_VERSION",
    "AskedWords",
    "AuditData",
    "AuditGroup",
    "AuditRecord",
    "AuditSlice",
    "AuditSlices",
    "AuditTiming",
    "AuditedModel",
    "KindRecord",
    "MoreOften",
    "NearWord",
    "RiskRecord",
    "SearchedClass",
    "read_audit",
    "write_audit",
]

AUDIT_SCHEMA_VERSION = 4


@dataclass(frozen=True)
class AuditedModel:
    """The model, and how often it is right."""

    title: str  # what people read
    source: str  # what the user gave
    task: str  # "binary" | "multiclass"
    layer: str  # where the features are
    features: int  # how many
    accuracy: Rate  # over all images
    balanced_accuracy: Rate  # mean of the classes' accuracies
    expected_accuracy: float | None  # what the user knew of it; measured within its interval
    preprocessing: str  # how pictures reached the network, in words


@dataclass(frozen=True)
class AuditData:
    """What was scored, and what the methods learned from."""

    fingerprint: dict[str, str]  # "audited" | "reference" → fingerprint
    labels: dict[str, dict[str, int]]  # part → label → images
    sources: dict[str, str]
    rejected: int


@dataclass(frozen=True)
class RiskRecord:
    """One score. All that follows from its order is over percentiles of the half that it was computed on."""

    title: str
    kind: str  # "representation" | "epistemic" | "aleatoric" | "label noise" | "picture quality"
    method: str  # its settings
    sees_label: bool  # whether it knows the given label, so that errors tell on themselves
    finds_errors: Rate  # AUROC for wrong predictions
    errors_in_top: Rate  # share of all wrong predictions that are among the tenth most at risk
    accuracy_by_decile: list[Rate]  # least at risk first
    rejection: dict[str, Rate]  # share put aside → accuracy of the rest
    coverage: list[float]  # of the curve, at most 201 points
    error: list[float]  # share of wrong predictions among those kept
    area: Rate  # AURC, of all points
    excess: Rate  # E-AURC
    gain: Rate  # 1 = ideal, 0 = like chance
    ideal: float
    random: float
    lowest: list[int]  # rows of scores.parquet
    highest: list[int]
    highest_of_label: dict[str, list[int]]  # label → rows; for two labels, else empty


@dataclass(frozen=True)
class AuditGroup:
    """One group, among the images that have a value of the attribute."""

    n: int
    small: bool  # under 30 images
    accuracy: Rate
    percentile: dict[str, Rate]  # risk → mean percentile among images of the same label
    difference: dict[str, Rate]  # risk → mean percentile − that of the other groups' images
    kinds: dict[str, Rate]  # kind → share of the group
    enrichment: dict[str, Rate] = field(
        default_factory=dict
    )  # representation risk → share of draws / natural share


@dataclass(frozen=True)
class KindRecord:
    """Images of one kind."""

    share: Rate
    accuracy: Rate
    examples: list[int]  # rows of scores.parquet, the clearest first


@dataclass(frozen=True)
class MoreOften:
    """A value of a column that images of a slice have more often than the rest of their class."""

    column: str  # "flag" of a kind of image that the audit names itself
    value: str
    share: Rate  # of the slice
    rest: Rate  # of the rest of the class
    p: float  # one-sided, exact, adjusted


@dataclass(frozen=True)
class NearWord:
    """A word of the user's that pictures of a slice are nearer to than those of the rest of its class."""

    word: str
    nearer: Rate  # chance that a picture of the slice is nearer to it than one of the rest; without interval
    cosine: float  # mean, of the word and pictures of the slice
    rest: float  # the same of the rest
    p: float  # one-sided Mann–Whitney, adjusted over slices × words


@dataclass(frozen=True)
class AskedWords:
    """The words that were tested."""

    words: list[str]
    by: str  # the model, or the files of vectors, by which pictures and words were compared


@dataclass(frozen=True)
class AuditSlice:
    """A hidden group that fails; but for `size` all numbers are of images that it was not found on."""

    name: str  # its class and a number: nobody named it
    class_name: str
    size: int  # images
    share: Rate  # of its class
    errors: Rate
    rest: Rate  # errors in the rest of the class
    excess: Rate  # errors − rest, with an interval that allows for the choice
    p: float  # one-sided, exact, adjusted over slices
    confused_with: dict[str, int]  # class → wrong images taken for it
    typical: list[int]  # rows of scores.parquet, the nearest to its centre first
    more_often: list[MoreOften]
    density: Rate  # mean rank within its class; 0.5 = as common as others
    kind: str  # "rare" | "hard" | "mislabelled" | "bad picture"
    told: str | None  # columns and values that define it; None: features do
    sources: list[str]  # generators of its candidates
    words: list[NearWord] = field(default_factory=list, metadata=LATER)  # nearest first


@dataclass(frozen=True)
class SearchedClass:
    """What there was to find in one class."""

    name: str
    size: int
    errors: Rate  # in the half that tests
    tried: int  # candidates
    tested: int  # slices
    smallest: dict[
        str, float | None
    ]  # share of the class → share wrong from which it is seen four times of five
    reason: str | None  # why it was not searched


@dataclass(frozen=True)
class AuditSlices:
    """The hidden groups that the model fails on, worst first, or why none could be sought."""

    found: list[AuditSlice]
    classes: list[SearchedClass]
    fdr: float  # share of false ones among them, at most, on the mean
    columns: list[str]  # that slices were sought in and are explained by
    notes: list[str]
    reason: str | None  # why none could be sought; None if they were
    seconds: float  # of the processor
    words: AskedWords | None = field(default=None, metadata=LATER)  # None if none were given


@dataclass(frozen=True)
class AuditTiming:
    """Cost of the audit."""

    methods: dict[str, float]  # method → seconds of learning and scoring
    wall_s: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class AuditRecord:
    """All numbers of an audit, with intervals."""

    command: str
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]
    model: AuditedModel
    data: AuditData
    risks: dict[str, RiskRecord]  # by column of scores.parquet
    correlations: dict[str, dict[str, Rate]]  # each pair once
    groups: dict[str, dict[str, AuditGroup]]
    unannotated: dict[str, int]  # attribute → images without a value
    kinds: dict[str, KindRecord]
    thresholds: dict[str, float]  # kind → percentile from which on
    suspected: Rate  # share of labels that confident learning takes for wrong
    slices: AuditSlices
    timing: AuditTiming
    pictures: dict[str, str] = field(default_factory=dict)  # name → PNG or JPEG file in the folder
    verdicts: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # attribute → representation risk → words
    beyond_confusion: float | None = field(
        default=None, metadata=LATER
    )  # of the mislabelled, how many are more than confusion of classes explains
    called: dict[str, dict[str, int]] | None = field(
        default=None, metadata=LATER
    )  # label → prediction → images, without zeros
    wrong: WrongPictures | None = field(default=None, metadata=LATER)
    schema_version: int = AUDIT_SCHEMA_VERSION

    def __repr__(self) -> str:
        found = f"{len(self.risks)} risks of {short(self.model.title)}"
        return f"AuditRecord({found}; seed {self.seed}, equipoise {self.versions.get('equipoise')})"

    def _repr_html_(self) -> str:
        heads = ["risk", "kind", "finds errors (AUROC)", "errors in top"]
        rows = [
            [one.title, one.kind, rate_text(one.finds_errors), rate_text(one.errors_in_top)]
            for one in self.risks.values()
        ]
        return table_html(self.command, heads, rows)


AUDIT = Schema(AuditRecord, "audit.json", AUDIT_SCHEMA_VERSION, "an audit")
write_audit, read_audit = AUDIT.write, AUDIT.read
