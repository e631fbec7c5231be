"""Which fix, and how strong: chosen on rows that it was not fitted on, without labels of groups, without test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from equipoise.errors import InputError
from equipoise.fix.axes import Coefficients
from equipoise.fix.checks import Features, Labels, checked_logits
from equipoise.fix.folds import folds
from equipoise.fix.merit import doubt_of_difference
from equipoise.fix.refit import mean_of_seeds, rows_of
from equipoise.fix.registry import FIXES
from equipoise.fix.regression import logits_of, predicted
from equipoise.fix.rows import Rows
from equipoise.fix.trial import LEAVE, Candidate, Plan, Trial, Tried, settings_to_try
from equipoise.seeds import child_seed
from equipoise.threads import one_thread

__all__ = ["Choice", "choose"]

FEWEST = 10  # errors below which there is nothing to mend
FEWEST_OF_CLASS = 200  # rows that a draw keeps


@dataclass(frozen=True)
class Choice:
    """The layer that was chosen, and how.

    Args:
        layer: Features as they are → logits; None if the network is to stay as it is.
        chosen: Its candidate, the best one.
        candidates: All, the best merit first.
        rule: By what it was chosen, in words.
        stability: Share of the seeds that by themselves have the chosen method best, in [0, 1].
        doubt: Standard error of its merit less that of "leave it", over images.
        notes: What a reader should know.
        alike: Where the layer is a mean: the candidates that it is of, the best one first.
    """

    layer: nn.Linear | None = field(repr=False)
    chosen: Candidate
    candidates: tuple[Candidate, ...] = field(repr=False)
    rule: str
    stability: float
    doubt: float
    notes: tuple[str, ...] = ()
    alike: tuple[Candidate, ...] = ()

    @property
    def name(self) -> str:
        """What the layer is, in one line."""
        return f"mean of {len(self.alike)} fixes" if self.alike else self.chosen.name

    @property
    def left(self) -> Candidate:
        """What stays if nothing is changed: the network as it is, or a plain last layer."""
        return next(one for one in self.candidates if one.method == LEAVE)


def choose(
    features: Features,
    labels: Labels,
    *,
    current: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    validation_groups: ArrayLike | None = None,
    known: dict[str, ArrayLike] | None = None,
    together: Sequence[Any] = (),
    methods: Sequence[str] | None = None,
    **how: Any,
) -> Choice:
    """The last layer that is best for the worst found cell; the network stays as it is unless that is clear.

    Rows are shared out into folds, of all fixes (their first stages included) and of references on the other folds
    every row is looked at, by several seeds; the mean over seeds decides. The best is fitted again on all rows; so is
    the best of each other method that the rows do not tell from it, by one standard error, and the layer is the mean of
    these, each at the same spread of logits. Groups to choose by tell more: then it is the best alone.

    Args:
        features: Shape (n, d), of any float type; they may be memory-mapped. Or what `nn.features` gives.
        labels: Class ids 0…K−1, shape (n,). Or the table itself: then features of other pictures are refused.
        current: Logits of the network as it is, shape (n, K), or (n,) of two classes; it must not have been trained on
            these rows, else it looks better than it is. None: a plain last layer takes its place.
        groups: Ids that only measure, shape (n,), −1 where unknown: what candidates give in the worst group, and what
            methods that use groups would, if some of each class are known.
        validation_groups: Ids of some rows, −1 for the rest, to choose by: then the worst cell of class × group of
            these rows decides, and methods that use groups may win.
        known: Besides, `slices` (ids, −1 for none) and `log_density` (nats), for methods that need them.
        together: Columns, such as contents and subjects: rows with an equal value are on one fold. None is no value.
        methods: Names in `FIXES` to try; None tries those that are possible and helped where they were measured.
        how: `classes` (K; None takes the largest label), `parts` (folds, 4), `seeds` (3), `seed` (0), `most` (50,000:
            of more rows a draw of about as many, `FEWEST_OF_CLASS` of each class or more, is what the choice is made
            on; the layer is fitted on all, each counting for less, so that the penalty stays what was chosen), and
            `price`: the most that accuracy over all these rows may fall, as a share in [0, 1]; None is no limit. Where
            a shortcut holds for most rows, it is what makes them right: a limit also stops what would mend the failing.

    Raises:
        InputError: if something does not fit, there is one class, or a class has fewer different rows than folds.

    Source: ours. Axes are those of all rows: they know no labels.
    """
    plan = Plan(**how)
    if groups is not None and validation_groups is not None:
        raise InputError("Expected groups that only measure, or groups to choose by; got both. Give one.")
    by_groups = validation_groups is not None
    axes, rows = rows_of(
        features,
        labels,
        known={**(known or {}), "groups": validation_groups if by_groups else groups},
        together=together,
        classes=plan.classes,
        seed=plan.seed,
        fewest=plan.parts,
    )
    said = None if current is None else predicted(checked_logits(current, len(rows), rows.classes))
    tried = _possible(rows, settings_to_try(rows.known, methods), plan.parts, by_groups)
    drawn = _drawn(rows, plan, by_groups)
    with one_thread():
        some = rows if drawn.all() else rows.take(drawn)
        trial = Trial(some, tried, None if said is None else said[drawn], by_groups, plan)
    candidates = trial.candidates()
    chosen, doubt, notes = _winner(trial, candidates, plan.seed)
    alone = chosen.method == LEAVE or by_groups
    alike = () if alone else _alike(trial, candidates, chosen, plan.seed)
    layer = None
    if chosen.method != LEAVE or current is None:
        every = replace(rows, counts=drawn.mean())
        layer = axes.layer(_mean([_fitted(every, one, plan.seeds) for one in alike or (chosen,)], rows))
    if not drawn.all():
        notes = (*notes, f"Chosen on {drawn.sum():,} of {len(rows):,} images, drawn by class; fitted on all.")
    order = sorted(candidates, key=lambda one: -one.merit)
    agreed, rule = _stability(candidates, chosen), _rule(by_groups, plan.price)
    return Choice(layer, chosen, tuple(order), rule, agreed, doubt, notes, alike)


def _drawn(rows: Rows, plan: Plan, by_groups: bool) -> NDArray[np.bool_]:
    """Which rows the choice is made on: all, or a draw that has the classes' shares and tears no unit apart."""
    number = min(-(-len(rows) // plan.most), int(np.bincount(rows.labels).min()) // FEWEST_OF_CLASS)
    if number < 2:
        return np.ones(len(rows), bool)
    drawn: NDArray[np.bool_] = folds(rows.labels, rows.units, number, child_seed(plan.seed, "drawn")) == 0
    if by_groups and rows.known.groups is not None:
        drawn |= rows.known.groups >= 0  # people's work is not left out
    return drawn


def _possible(rows: Rows, tried: list[Tried], parts: int, by_groups: bool) -> list[Tried]:
    """What can be tried in every fold: methods that use groups need some of known group in each class.

    Raises:
        InputError: if the choice goes by groups, and a class has fewer than folds.
    """
    if rows.known.groups is None:
        return tried
    counts = np.bincount(rows.labels[rows.known.groups >= 0], minlength=rows.classes)
    if counts.min() >= parts:
        return tried
    if by_groups:
        raise InputError(
            f"Expected at least {parts} rows of known group in each class, one a fold; got {counts.min()} in class "
            f"{counts.argmin()}. Label more, or choose without groups."
        )
    return [(method, settings) for method, settings in tried if not FIXES[method].needs_groups]


def _winner(trial: Trial, candidates: list[Candidate], seed: int) -> tuple[Candidate, float, tuple[str, ...]]:
    """The best, if it is better than leaving it by more than the doubt; its doubt; what to say."""
    left = next(index for index, one in enumerate(candidates) if one.method == LEAVE)
    winners = [index for index, one in enumerate(candidates) if one.may_win]
    best = max(winners, key=lambda index: candidates[index].merit)
    if not trial.by_groups and trial.errors < FEWEST:
        return candidates[left], 0.0, (f"Fewer than {FEWEST} errors were found: there is nothing to mend.",)
    labels = None if trial.by_groups else trial.rows.labels
    doubt = doubt_of_difference(
        trial.right[best], trial.right[left], trial.cells, labels, child_seed(seed, "doubt")
    )
    gain = candidates[best].merit - candidates[left].merit
    if gain > doubt:
        return candidates[best], doubt, ()
    said = "nothing that was tried is better"
    if gain > 0:
        said = f"{candidates[best].name} is better by {gain:.3f}, within its standard error of {doubt:.3f}"
    return candidates[left], doubt, (f"It stays as it is: {said}.",)


def _alike(trial: Trial, candidates: list[Candidate], best: Candidate, seed: int) -> tuple[Candidate, ...]:
    """The best, and the best of each other method that may win and is not worse by more than the doubt; none where the
    best stands alone."""
    found: dict[str, Candidate] = {best.method: best}
    at, labels, chance = candidates.index(best), trial.rows.labels, child_seed(seed, "doubt")
    for one in sorted(candidates, key=lambda one: -one.merit):
        if not one.may_win or one.method == LEAVE or one.method in found:
            continue
        index = candidates.index(one)
        doubt = doubt_of_difference(trial.right[at], trial.right[index], trial.cells, labels, chance)
        if best.merit - one.merit <= doubt:
            found[one.method] = one
    return tuple(found.values()) if len(found) > 1 else ()


def _mean(layers: list[Coefficients], rows: Rows) -> Coefficients:
    """Of layers at the same spread of logits, so that strong penalties count as much as weak ones; as theirs is."""
    if len(layers) == 1:
        return layers[0]
    spreads = [_spread(logits_of(rows.coordinates, one)) for one in layers]
    alike = np.mean([one / spread for one, spread in zip(layers, spreads, strict=True)], axis=0)
    return np.asarray(np.mean(spreads) * alike)


def _spread(logits: NDArray[np.float64]) -> float:
    """Standard deviation of logits, of several classes about the mean of each row; 1 if they are constant."""
    if logits.shape[1] > 1:
        logits = logits - logits.mean(1, keepdims=True)
    return float(logits.std()) or 1.0


def _fitted(rows: Rows, chosen: Candidate, seeds: int) -> Coefficients:
    """On all rows."""
    method = "plain" if chosen.method == LEAVE else chosen.method
    return mean_of_seeds(FIXES[method], rows, chosen.settings, seeds)


def _stability(candidates: list[Candidate], chosen: Candidate) -> float:
    """Share of seeds of which the best candidate is of the chosen method."""
    merits = np.array([one.merits for one in candidates if one.may_win])
    methods = [one.method for one in candidates if one.may_win]
    best = [methods[index] for index in merits.argmax(0)]
    same = {chosen.method} | ({"plain"} if chosen.method == LEAVE else set())
    return float(np.mean([method in same for method in best]))


def _rule(by_groups: bool, price: float | None) -> str:
    by = (
        "the worst cell of class × group, of the rows whose groups were given to choose by"
        if by_groups
        else "the mean of the worst cell of class × what class-balanced references get wrong and, two and a half "
        "times, of the mean recall of classes"
    )
    return (
        f"The best by {by}, on rows that neither was fitted on; it stays as it is unless that is better by more than "
        "one standard error"
        + (
            ""
            if by_groups
            else "; averaged with the best of other methods that are not told from it by as much"
        )
        + ("." if price is None else f", and of what costs at most {100 * price:g} % of these images.")
    )
