"""The second stage: another last layer for trained models, chosen as `fix` chooses, without labels of groups.

A network that was trained on labels knows its training images by heart, so the layer is chosen and fitted on images
that were held out. A backbone that stays as it is has not seen the labels: there the training images serve, and the
model's own layer is cross-fitted on them to be compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split
from equipoise.errors import InputError
from equipoise.fairness import ClassDifference, compare_classes
from equipoise.fix import LEAVE
from equipoise.fix.checks import checked_classes, units_of
from equipoise.fix.folds import folds
from equipoise.fix.rows import FINDING
from equipoise.nn import FeatureStore, fit_linear, run_over
from equipoise.nn.feature_store import Layout, pictures_digest
from equipoise.nn.penultimate import features_of, with_layer
from equipoise.report.debias.record import SecondStageRecord
from equipoise.run.debias.numbers import REFITTED, Truth, called_classes
from equipoise.run.fix.choice import choice_record, chosen_layer, kept_together
from equipoise.run.reading import Reading
from equipoise.run.sources import Sources
from equipoise.run.training import Start
from equipoise.seeds import child_seed
from equipoise.train import Fit, TrainingMethod
from equipoise.train.device import device_of
from equipoise.train.featured import Probe, logits_of
from equipoise.train.logits import model_logits
from equipoise.train.probe import row_weights

__all__ = ["HELD_OUT", "Refitted", "SecondStage", "holding_out", "stages_of", "told_stage"]

HELD_OUT = 0.2
"""Share of the data that is held out where nothing is yet."""


@dataclass(frozen=True, eq=False)
class SecondStage:
    """Images to choose last layers on.

    Args:
        table: The images.
        together: Columns whose equal values are on one fold.
        held_out: Networks were not trained on them.
        left_out: Images that were held out, but are among the training images too.
    """

    table: ImageTable
    together: Sequence[Any]
    held_out: bool
    left_out: int = 0

    @classmethod
    def of(cls, tables: Split, start: Start, reading: Reading) -> SecondStage:
        """The validation side; of a backbone that stays as it is, the training side.

        Raises:
            InputError: if there is one class, or one has fewer different images than folds.
        """
        held, table = start.recipe.backbone != "frozen", tables.train
        if held:
            table = tables.validation.take(
                np.flatnonzero(~np.isin(tables.validation.digests, tables.train.digests))
            )
        together = kept_together(table, reading)
        try:
            checked_classes(table.labels, len(table.class_names), units_of(len(table), together), FINDING)
        except InputError as error:
            what = "images that are held out, a larger `validation_share`," if held else "training images"
            raise InputError(f"Expected {what} for a second stage; these are too few. {error}") from error
        return cls(table, together, held, len(tables.validation) - len(table) if held else 0)

    def refitted(self, name: str, fit: Fit, *, seed: int, device: str) -> Refitted:
        """A model with the last layer that is chosen for it.

        Args:
            name: Of the model.
            fit: The model.
            seed: Of the run.
            device: Where it runs.
        """
        store = self._features(fit, device)
        if self.held_out:
            current: Any = model_logits(fit.model, self.table, device=device_of(device))
        else:
            current = self._cross_fitted(fit, store, seed)
        chance = child_seed(seed, "second stage")
        choice, _, seconds = chosen_layer(store, self.table, current, together=self.together, seed=chance)
        record = SecondStageRecord(
            name,
            len(self.table),
            self.held_out,
            self.left_out,
            choice_record(choice),
            None,
            seconds,
        )
        if choice.layer is None:
            return Refitted(None, record)
        if isinstance(fit.model, Probe):
            model: Any = fit.model.with_layer(choice.layer)
        else:
            model = with_layer(fit.model, choice.layer, fit.class_names)
        own: Any = {"history": {}, "validation": {}, "seconds": fit.seconds + seconds}
        return Refitted(replace(fit, model=model.eval(), **own), record)

    def _features(self, fit: Fit, device: str) -> FeatureStore:
        """What goes into the model's last layer."""
        where, table = device_of(device), self.table
        if isinstance(fit.model, Probe):
            return fit.model.features(table, where)
        parts: list[NDArray[np.float32]] = []
        run_over(
            fit.model,
            table,
            lambda place, found: parts.append(found.float().cpu().numpy()),
            call=features_of(fit.model),
            device=where,
        )
        found = np.concatenate(parts)
        pictures = pictures_digest(table.digests)
        return FeatureStore(
            found, None, Layout(len(table), found.shape[1], None, "float32", fit.method, pictures)
        )

    def _cross_fitted(self, fit: Fit, store: FeatureStore, seed: int) -> NDArray[np.float32]:
        """Logits of the model's last layer, fitted as it was, on the other folds."""
        table = self.table
        units = units_of(len(table), self.together)
        place = folds(table.labels, units, FINDING, child_seed(seed, "second stage of a probe"))
        weights = None if fit.method == "plain" else row_weights(table, fit.weights)
        many = len(table.class_names)
        found = np.zeros(len(table) if many == 2 else (len(table), many), np.float32)
        for fold in range(FINDING):
            others, mine = np.flatnonzero(place != fold), np.flatnonzero(place == fold)
            layer = fit_linear(
                store.features[others],
                table.labels[others],
                C=fit.recipe.C,
                weights=None if weights is None else weights[others],
                classes=many,
            )
            found[mine] = logits_of(layer, replace(store, features=store.features[mine]))
        return found


@dataclass(frozen=True, eq=False)
class Refitted:
    """What came of a second stage.

    Args:
        fit: The model with its new last layer; None where it was left as it is.
        record: How.
    """

    fit: Fit | None
    record: SecondStageRecord

    def measured(
        self, scores: Mapping[str, NDArray[np.float64]], name: str, truth: Truth
    ) -> SecondStageRecord:
        """With what it changed on the test images."""
        if self.fit is None:
            return self.record
        called = {one: called_classes(scores[one], 0.5) for one in (self.record.model, name)}
        compared = compare_classes(
            called, truth.labels, baseline=self.record.model, groups=truth.groups, classes=truth.classes
        )
        change: ClassDifference = compared.differences[name]
        return replace(self.record, change=change)


def holding_out(sources: Sources, start: Start, say: Callable[[str], None]) -> Sources:
    """The same with a share held out for the second stage, where networks are trained and none was asked for."""
    if start.recipe.backbone == "frozen" or sources.validation_share:
        return sources
    say(
        f"Where the data name no validation side, {100 * HELD_OUT:g} % of them are held out (`validation_share`): the "
        "second stage is fitted on images that networks were not trained on."
    )
    return replace(sources, validation_share=HELD_OUT)


def stages_of(*, controls: bool) -> dict[str, TrainingMethod]:
    """Name of a second stage → whose it is: the debiased model's, and as a control the plain one's."""
    if controls:
        return {REFITTED["debiased"]: "debiased", REFITTED["plain"]: "plain"}
    return {REFITTED["debiased"]: "debiased"}


def told_stage(record: SecondStageRecord) -> str:
    """What came of one, in a line."""
    if record.choice.method == LEAVE:
        return f"The last layer of {record.model} is left as it is. {' '.join(record.choice.notes)}"
    return f"Second stage of {record.model}: {record.choice.chosen}."
