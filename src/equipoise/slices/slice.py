"""`Slice`: a hidden group that fails, as measured on images that it was not found on; and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.rate import Rate

__all__ = ["ClassSummary", "ColumnValue", "Slice"]


@dataclass(frozen=True)
class ColumnValue:
    """A value of a column, or a flag, that images of a slice have more often than the rest of their class.

    Args:
        column: Of which column; "flag" of a flag.
        value: Which value.
        share: Of the slice's images.
        rest: Share of the other images of the class.
        p: Fisher's one-sided p, adjusted over slices × columns × values.
    """

    column: str
    value: str
    share: Rate
    rest: Rate
    p: float


@dataclass(frozen=True)
class Slice:
    """A hidden group. All numbers are of the half that tests, one image of what belongs together; `size` is of all.

    Args:
        name: Its class and a number, as in "landbird #1".
        class_name: The class whose images it holds.
        size: Images, in both halves.
        share: Of the images of its class.
        errors: Share of its images that the model takes for another class.
        rest: The same of the other images of the class.
        excess: `errors` minus `rest`. The interval allows for the choice of slices by the test: of all intervals
            shown at most 5 % miss, on the mean.
        p: Of the one-sided exact test, adjusted over all slices tested (Benjamini, Hochberg).
        confused_with: Class → wrong images that were taken for it, most first.
        typical: Rows nearest to its centre, at most nine, nearest first.
        over_represented: Values of columns that it has more often than the rest of its class, lowest p first.
        density: Mean rank of its images' density among those of their class, 0…1; 0.5 is as common as others.
        kind: "rare", "hard", or the flag that most of its errors carry, see `find`.
        told: The values of columns that define it; None where features do.
        sources: Generators of the candidates that it was made of.
    """

    name: str
    class_name: str
    size: int
    share: Rate
    errors: Rate
    rest: Rate
    excess: Rate
    p: float
    confused_with: dict[str, int]
    typical: tuple[int, ...]
    over_represented: tuple[ColumnValue, ...]
    density: Rate
    kind: str
    told: str | None
    sources: tuple[str, ...]

    def __str__(self) -> str:
        excess = self.excess
        taken = ", ".join(f"{name} ({count})" for name, count in list(self.confused_with.items())[:3])
        words = [
            f"{self.name}: {self.size} images ({self.share.value:.1%} of the class, {self.kind})",
            f"wrong {self.errors.value:.0%} against {self.rest.value:.0%} of the rest of {self.class_name}",
            f"{100 * excess.value:.0f} points more [{100 * excess.low:.0f}, {100 * excess.high:.0f}], "
            f"p = {self.p:.2g}, on {self.errors.n} test images",
            f"taken for {taken}",
        ]
        words += [f"told by {self.told}"] if self.told else []
        words += [
            f"{one.column} = {one.value} in {one.share.value:.0%} against {one.rest.value:.0%}"
            for one in self.over_represented[:3]
        ]
        return "; ".join(words)


@dataclass(frozen=True)
class ClassSummary:
    """One class: what there was to find, and how small a failure could have been seen.

    Args:
        name: Of the class.
        size: Images in both halves.
        errors: Share wrong, of the half that tests.
        tried: Candidates that generators gave.
        tested: Slices that were tested.
        smallest: Share of the class → share of errors from which a slice of that size is seen with 80 % chance, as
            long as a candidate holds it; None where no share is enough.
        reason: Why nothing was sought in it; None if it was.
    """

    name: str
    size: int
    errors: Rate
    tried: int
    tested: int
    smallest: dict[float, float | None]
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.name}: {self.reason}"
        seen = [
            f"{share:.0%} of it if {rate:.0%} were wrong" for share, rate in self.smallest.items() if rate
        ]
        start = f"{self.name}: {self.errors.value:.0%} wrong of {self.errors.n} test images"
        if not seen:
            return f"{start}; too few images or errors to see a slice of up to {max(self.smallest):.0%} of it"
        return f"{start}; four times of five a slice would have been seen that holds {', or '.join(seen)}"
