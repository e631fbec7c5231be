"""What is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from equipoise.errors import InputError
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
        threshold: The other operating point: what scores at or above it is called positive, a probability.
        windows: Score pictures by the windows protocol (`fairness.windows`), where saved models are evaluated.
        controls: Train the job's controls too, where it trains: what tells the causes of a change apart.
    """

    groups: Sequence[str] = ()
    fpr: float = 0.01
    replicates: int = 2000
    threshold: float = 0.5
    windows: bool = False
    controls: bool = True

    def checked(self) -> Measuring:
        """The same once its numbers can be used.

        Raises:
            InputError: if one is out of range.
        """
        fraction(self.fpr, "The false-positive rate")
        replicate_count(self.replicates)
        if not 0 < self.threshold <= 1:  # at 0 everything is positive
            raise InputError(
                f"`threshold` must be a probability above 0; got {self.threshold}. 0.5 is the usual one."
            )
        return replace(self, groups=tuple(self.groups))

    def check_whole(self, job: str) -> None:
        """Make sure that a job that scores whole pictures was not asked for windows of them.

        Raises:
            InputError: if it was.
        """
        if self.windows:
            raise InputError(
                f"Expected no `windows` for {job}, which scores whole pictures; got it. Evaluate a saved model."
            )

    def of(self, sources: Sources) -> Measuring:
        """The same; the embedded set, which is drawn without sources, has groups of its own.

        Raises:
            InputError: if a number is out of range, or windows are asked for.
        """
        self.check_whole("a job that trains")
        groups = self.groups if self.groups or sources.given else PLANTED_GROUPS
        return replace(self.checked(), groups=tuple(groups))

    def options(self) -> dict[str, Any]:
        """What `fairness.evaluate` takes of it."""
        return {"fpr": self.fpr, "threshold": self.threshold, "replicates": self.replicates}

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        usual = {"threshold": 0.5, "windows": False}  # not named where it is as it was before it was named
        return {k: v for k, v in vars(self).items() if k not in usual or v != usual[k]}
