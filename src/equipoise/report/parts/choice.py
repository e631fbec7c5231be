"""How a last layer was chosen: what was tried, on images that it was not fitted on, and what won."""

from __future__ import annotations

from dataclasses import dataclass, field

from equipoise.report.parts.typed_json import LATER

__all__ = ["LEFT", "ChoiceRecord", "TriedFix"]

LEFT = "leave it"
"""The method where nothing is changed."""


@dataclass(frozen=True)
class TriedFix:
    """A candidate, on images that it was not fitted on. Shares in [0, 1]; higher is better."""

    title: str  # method and settings
    method: str
    merit: float  # what the choice goes by
    accuracy: float
    balanced: float  # mean recall of classes
    worst_class: float
    worst_group: (
        float | None
    )  # worst cell of class × group, where groups of these images are known: it only measures
    may_win: bool  # False: it needs groups that only measure, or costs more than was allowed


@dataclass(frozen=True)
class ChoiceRecord:
    """What was chosen, and by what."""

    chosen: str  # title of the candidate, or "mean of 2 fixes"
    method: str  # of the best one; "leave it" where nothing is changed
    rule: str  # in words
    gain: float  # of merit over leaving it
    doubt: float  # its standard error
    stability: float  # share of seeds that choose the same method
    notes: list[str]
    tried: list[TriedFix]  # best merit first
    groups: list[str]  # columns that it was chosen by; none is the usual case
    alike: list[str] = field(
        default_factory=list, metadata=LATER
    )  # titles of those that a mean is of, best first

    @property
    def told(self) -> str:
        """What was chosen, a mean with what it is of."""
        return (
            f"{self.chosen} that are not told apart: {'; '.join(self.alike)}" if self.alike else self.chosen
        )
