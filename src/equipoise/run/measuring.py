"""What is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from equipoise.fairness.scored import fraction, replicate_count
from equipoise.run.identity import Setting
from equipoise.run.sources import PLANTED_GROUPS, Sources

__all__ = ["Measuring"]


@dataclass(frozen=True)
class Measuring:
    """What is measured, and what it is compared with.

    Args:
        groups: Columns of the test data whose values are compared. Training never sees them.
        fpr: False-positive rate at which models are compared.
        replicates: Bootstrap replicates behind the intervals.
        controls: Train the job's controls too, where it trains: what tells the causes of a change apart.
    """

    groups: Sequence[str] = ()
    fpr: float = 0.01
    replicates: int = 2000
    controls: bool = True

    def checked(self) -> Measuring:
        """The same once its numbers can be used.

        Raises:
            InputError: if one is out of range.
        """
        fraction(self.fpr, "The false-positive rate")
        replicate_count(self.replicates)
        return replace(self, groups=tuple(self.groups))

    def of(self, sources: Sources) -> Measuring:
        """The same; the embedded set, which is drawn without sources, has groups of its own.

        Raises:
            InputError: if a number is out of range.
        """
        groups = self.groups if self.groups or sources.given else PLANTED_GROUPS
        return replace(self.checked(), groups=tuple(groups))

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        return dict(vars(self))
