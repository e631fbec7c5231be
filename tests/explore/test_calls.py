"""Who calls what, by the columns of each command."""

import numpy as np
import pyarrow as pa
import pytest

from equipoise.errors import InputError
from equipoise.explore.calls import PredictedColumns, calls_of

NONE = PredictedColumns()


def rights(calls):
    return {one.name: one.right(calls.labels).tolist() for one in calls.models}


def test_probabilities_of_two_classes_are_cut_in_the_middle():
    table = pa.table({"label": [0, 1, 1], "probability_a": [0.4, 0.5, 0.4], "probability_b": [0.9, 0.9, 0.1]})
    calls = calls_of(table, NONE, written=True)
    assert rights(calls) == {"a": [1, 1, 0], "b": [0, 1, 0]}
    assert [one.scores for one in calls.models] == [("probability_a",), ("probability_b",)]


def test_classes_by_name_keep_their_columns_of_probabilities():
    table = pa.table(
        {
            "label": ["cat", "dog", None],
            "predicted_a": ["cat", "cat", "dog"],
            "probability_a_cat": [0.9, 0.8, 0.1],
            "probability_a_dog": [0.1, 0.2, 0.9],
        }
    )
    calls = calls_of(table, NONE, written=True)
    assert rights(calls) == {"a": [1, 0, -1]}
    assert calls.models[0].scores == ("probability_a_cat", "probability_a_dog")


def test_an_audit_has_one_model_by_its_title():
    table = pa.table({"label": [0, 1], "probability": [0.1, 0.2], "predicted": [0, 0]})
    calls = calls_of(table, NONE, model="mine", written=True)
    assert rights(calls) == {"mine": [1, 0]}


def test_numbers_against_names_are_said():
    table = pa.table({"label": ["cat", "dog"], "predicted": [0, 1]})
    assert any("no class of the labels" in note for note in calls_of(table, NONE, written=True).notes)


def test_a_table_of_predictions_is_read_as_evaluate_reads_it():
    table = pa.table({"truth": ["x", "y", "y"], "y_pred": ["x", "x", "y"]})
    assert rights(calls_of(table, NONE)) == {"model": [1, 0, 1]}


def test_without_labels_nothing_is_called_right():
    calls = calls_of(pa.table({"path": ["a", "b"], "score": [0.1, 0.2]}), NONE)
    assert calls.models == ()
    assert (np.asarray(calls.labels) == -1).all()
    assert "Nothing is known of right and wrong" in calls.notes[0]
    with pytest.raises(InputError):
        calls_of(pa.table({"path": ["a", "b"], "score": [0.1, 0.2]}), PredictedColumns(label_column="truth"))
