"""Two runs side by side: joined by path, whatever their order."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.errors import InputError
from equipoise.explore import beside, opened


@pytest.fixture
def table(tmp_path):
    def make(name, paths, label, predicted, **more):
        rows = {"path": paths, "label": label, "predicted": predicted, **more}
        pq.write_table(pa.table(rows), tmp_path / name)
        return opened(tmp_path / name)

    return make


def test_models_are_joined_by_path_in_any_order(table):
    one = table("one.parquet", ["a", "b", "c"], ["x", "y", "y"], ["x", "x", "y"])
    other = table(
        "other.parquet", ["c", "a", "d"], ["y", "x", "x"], ["z", "x", "x"], probability=[0.1, 0.2, 0.3]
    )
    found = beside(one, other)
    assert [call.right(found.calls.labels).tolist() for call in found.calls.models] == [[1, 0, 1], [1, -1, 0]]
    assert len({call.name for call in found.calls.models}) == 2
    assert any("1 of 3 pictures are not in" in note for note in found.notes)


def test_scores_come_along(run_folder):
    run = opened(run_folder())
    found = beside(run, run)
    assert [one.name for one in found.calls.models] == ["plain", "debiased", "plain (run)", "debiased (run)"]
    again = found.columns.column("probability_plain (run)").to_numpy()
    assert np.array_equal(again, run.columns.column("probability_plain").to_numpy())


def test_other_classes_of_the_same_pictures_are_said(table):
    one = table("one.parquet", ["a", "b"], ["x", "y"], ["x", "y"])
    other = table("other.parquet", ["a", "b"], ["x", "x"], ["x", "y"])
    found = beside(one, other)
    assert any("1 pictures have another class" in note for note in found.notes)
    assert found.calls.models[1].right(found.calls.labels).tolist() == [1, 1]


def test_pictures_that_cannot_be_told_are_refused(table):
    one = table("one.parquet", ["a", "b"], ["x", "y"], ["x", "y"])
    with pytest.raises(InputError, match="got none"):
        beside(one, table("far.parquet", ["p", "q"], ["x", "y"], ["x", "y"]))
    with pytest.raises(InputError, match="twice"):
        beside(one, table("twice.parquet", ["a", "a"], ["x", "y"], ["x", "y"]))
