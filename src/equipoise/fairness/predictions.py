"""`Predictions`: what a table says about a model: labels, predicted classes or probabilities, groups. No pictures.

A table has a column of labels and, besides columns of groups, one of: a column of probabilities a class; a score, the
probability of the positive one of two classes; or the predicted class. What the table is taken to say is in `notes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.fairness.class_calls import highest
from equipoise.fairness.class_names import ClassNames, positive_of_two
from equipoise.fairness.classes import ClassEvaluation, evaluate_classes
from equipoise.fairness.evaluation import Evaluation, evaluate
from equipoise.fairness.one_vs_rest import scores_of_class
from equipoise.fairness.prediction_columns import Columns, shortened
from equipoise.fairness.probability_columns import class_columns, matrix, vector
from equipoise.fairness.scored import Scored, finite
from equipoise.groups import Groups

__all__ = ["Evaluated", "PredictionColumns", "Predictions"]

LABEL_NAMES = (
    "label",
    "labels",
    "target",
    "class",
    "true_label",
    "true_class",
    "y_true",
    "truth",
    "ground_truth",
)
SCORE_NAMES = ("score", "probability", "prob", "y_score", "y_prob")
PREDICTION_NAMES = ("prediction", "predicted", "predicted_class", "predicted_label", "y_pred", "pred")


@dataclass(frozen=True)
class PredictionColumns:
    """Which column says what. At most one of `score`, `prediction` and `probabilities`; without, it is looked for.

    Args:
        label: The true class; without, the one column called label, target, class, y_true, ….
        groups: Columns of groups. "label" is the class itself where no column has that name.
        score: Probability of the positive one of two classes (or of `positive` against all others).
        prediction: The predicted class.
        probabilities: Columns of probabilities, one a class: class → column, or columns that are called as the classes
            are, or so with one text before or after (prob_cat, prob_dog).
    """

    label: str | None = None
    groups: Sequence[str] = ()
    score: str | None = None
    prediction: str | None = None
    probabilities: Mapping[str, str] | Sequence[str] | None = None


@dataclass(frozen=True)
class Evaluated:
    """What `frame` found.

    Args:
        classes: Numbers by class, group and cell.
        detection: Numbers of the positive class against the rest; None without scores or a positive class.
        notes: What the table was taken to say, in words.
    """

    classes: ClassEvaluation
    detection: Evaluation | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Predictions:
    """A checked table of predictions; build it with `Predictions.of`.

    Args:
        labels: Class ids, shape (n,).
        classes: Names of the classes, by id. Of two classes with a known positive one, that is the second.
        predicted: Class id that the model gives each row, shape (n,).
        groups: One `Groups` an attribute.
        scores: Probabilities, (n,) of the positive one of two classes, or (n, K), with logits if they were given; None
            if only predicted classes are known.
        positive: Class that detection numbers are about; None if there is none.
        threshold: Of the score, where there is one; of the positive class's probability in detection numbers.
        ties: Rows whose highest probability several classes share; they are called the first of these.
        notes: What the table was taken to say, in words.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    predicted: NDArray[np.int64]
    groups: tuple[Groups, ...]
    scores: NDArray[Any] | None = None
    positive: str | None = None
    threshold: float = 0.5
    ties: int = 0
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.labels)

    @classmethod
    def of(
        cls,
        data: Any,
        which: PredictionColumns | None = None,
        *,
        positive: str | None = None,
        classes: Sequence[str] | None = None,
        threshold: float = 0.5,
        logits: bool = False,
    ) -> Predictions:
        """Read a table of predictions.

        Args:
            data: A mapping of columns, a pandas DataFrame, a pyarrow Table, or what has `.columns` and `[name]` so.
            which: Which column says what.
            positive: The class that a score and detection numbers are about. Of two classes one may say it by its name
                (1, true, yes, positive, face).
            classes: All classes, in the order in which they are to be numbered; without, those that occur.
            threshold: A score at or above it is the positive class.
            logits: Scores or probabilities are logits.

        Raises:
            InputError: if a column is missing or has no value in some row, a score is not a probability, probabilities
                do not sum to 1, a class is written in two ways, or it is not told which class is positive.

        Example:
            >>> table = {"label": ["cat", "dog", "dog"], "predicted": ["cat", "dog", "cat"], "site": ["a", "a", "b"]}
            >>> found = Predictions.of(table, PredictionColumns(groups=["site"]))
            >>> found.classes, found.predicted.tolist(), found.groups[0].names
            (('cat', 'dog'), [0, 1, 0], ('a', 'b'))
        """
        which, columns = which or PredictionColumns(), Columns(data)
        threshold = finite(threshold, "The threshold")
        label = _label(columns, which)
        names = ClassNames.of(columns, label, classes)
        which, found_notes = _filled(columns, which, label, names)
        if which.probabilities is not None:
            read = _of_probabilities(columns, which.probabilities, names, positive, logits)
        elif which.score is not None:
            read = _of_score(columns, which.score, names, positive, threshold, logits)
        else:
            read = _of_prediction(columns, str(which.prediction), names, positive, logits)
        names, predicted, scores, known, ties = read
        return cls(
            labels=names.ids,
            classes=names.names,
            predicted=predicted,
            groups=tuple(_groups(columns, name, label) for name in which.groups),
            scores=scores,
            positive=known,
            threshold=threshold,
            ties=ties,
            notes=(f"Labels from column {label!r}", *found_notes, *names.notes),
        )

    def evaluated(self, *, fpr: float = 0.01, intersections: bool = True) -> Evaluated:
        """The numbers, as `evaluate_classes` and, with scores and a positive class, `evaluate` give them."""
        found = evaluate_classes(
            self.predicted, self.labels, self.groups, classes=self.classes, intersections=intersections
        )
        if self.ties:
            found = replace(found, ties=self.ties)
        return Evaluated(found, self.detection(fpr=fpr, intersections=intersections), self.notes)

    def detection(self, *, fpr: float = 0.01, intersections: bool = True) -> Evaluation | None:
        """Numbers of the positive class against the rest; None without scores or a positive class."""
        if self.scores is None or self.positive is None:
            return None
        position = self.classes.index(self.positive)
        return evaluate(
            scores_of_class(self.scores, position, len(self.classes)),
            self.labels == position,
            self.groups,
            fpr=fpr,
            threshold=self.threshold,
            intersections=intersections,
        )


_Read = tuple[ClassNames, NDArray[np.int64], NDArray[Any] | None, str | None, int]


def _of_probabilities(
    columns: Columns,
    given: Mapping[str, str] | Sequence[str],
    names: ClassNames,
    positive: str | None,
    logits: bool,
) -> _Read:
    of_class = class_columns(columns, given, names)
    known = positive_of_two(tuple(of_class), positive)
    names = names.among(tuple(of_class), known)
    scores = matrix(columns, [of_class[name] for name in names.names], logits)
    told = getattr(scores, "logits", None)
    predicted, ties = highest(scores if told is None else told)
    return names, predicted, scores, known, ties


def _of_score(
    columns: Columns, column: str, names: ClassNames, positive: str | None, threshold: float, logits: bool
) -> _Read:
    names = names.of_two(positive, column)
    scores = vector(columns, column, logits)
    scored = Scored.checked(scores, names.ids)
    predicted = (scored.scores >= scored.cut(threshold)).astype(np.int64)
    return names, predicted, scores, names.names[1], 0


def _of_prediction(
    columns: Columns, column: str, names: ClassNames, positive: str | None, logits: bool
) -> _Read:
    if logits:
        raise InputError(
            f"Logits are scores or probabilities; got predicted classes in column {column!r}. Name the columns of "
            "logits, or leave `logits` out."
        )
    names, predicted = names.with_predicted(columns, column, positive)
    return names, predicted, None, positive_of_two(names.names, positive), 0


def _label(columns: Columns, which: PredictionColumns) -> str:
    if which.label is not None:
        return columns.check(which.label, "label")
    found = [name for name in LABEL_NAMES if name in columns.names]
    if len(found) != 1:
        raise InputError(
            f"Expected one column of labels, called {', '.join(LABEL_NAMES)}; the table has "
            f"{shortened(found or columns.names)}. Say which it is (`label`)."
        )
    return found[0]


def _filled(
    columns: Columns, which: PredictionColumns, label: str, names: ClassNames
) -> tuple[PredictionColumns, list[str]]:
    """With what the model says, looked for if it is not told; and in words what was found."""
    told = {
        "score": which.score,
        "prediction": which.prediction,
        "probabilities": which.probabilities,
    }
    given = [name for name, value in told.items() if value is not None]
    if len(given) > 1:
        raise InputError(
            f"Expected one of score, prediction and probabilities; got {' and '.join(given)}. Choose one."
        )
    if given:
        for name in ("score", "prediction"):
            if told[name] is not None:
                columns.check(str(told[name]), name)
        return which, []
    free = [name for name in columns.names if name != label and name not in which.groups]
    found: dict[str, Any] = {}
    if (of_class := names.columns_among(free)) is not None:
        found["probabilities"] = of_class
    for kind, usual in (("score", SCORE_NAMES), ("prediction", PREDICTION_NAMES)):
        some = [name for name in usual if name in free]
        if len(some) > 1:
            raise InputError(
                f"Expected one column with the {kind}; got {' and '.join(some)}. Say which (`{kind}`)."
            )
        if some:
            found[kind] = some[0]
    if not found:
        raise InputError(
            "Expected a column of probabilities a class, called as the classes are, one called score, or one called "
            f"prediction; the table has {shortened(columns.names)}. Say which it is (`probabilities`, `score`, "
            "`prediction`)."
        )
    kind = next(iter(found))
    used = shortened(found[kind].values()) if kind == "probabilities" else repr(found[kind])
    notes = [f"The model's {kind} from {used}"]
    if len(found) > 1:
        notes.append(f"Not used: {', '.join(str(found[other]) for other in list(found)[1:])}")
    return PredictionColumns(label, which.groups, **{kind: found[kind]}), notes


def _groups(columns: Columns, name: str, label: str) -> Groups:
    column = label if name == "label" and name not in columns.names else columns.check(name, "groups")
    codes, texts = columns.texts(column)
    lacking = bool((codes < 0).any())
    return Groups.from_column([*texts, *[None] * lacking], attribute=name).take(
        np.where(codes < 0, len(texts), codes)
    )
