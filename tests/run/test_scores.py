"""scores.parquet: a row an image."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.data import ImageTable
from equipoise.probabilities import from_logits
from equipoise.run.scores import shared_paths, write_scores


@pytest.fixture
def table():
    images = np.arange(3, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    columns = {
        "path": ["/home/her/a.png", "b.png", None],
        "skin": ["dark", "light", "dark"],
        "split": ["x"] * 3,
    }
    return ImageTable.from_arrays(images, np.array([1, 0, 1]), columns)


def test_columns_in_their_order_and_rows_in_theirs(table, tmp_path):
    logits = np.array([2.0, -1.0, 40.0])
    scores = {"probability_plain": from_logits(logits), "probability_other": np.array([0.1, 0.2, 0.3])}
    density = np.array([-1.0, -2.0, -3.0])
    write_scores(tmp_path / "s.parquet", table, scores, density, split="test")
    found = pq.read_table(tmp_path / "s.parquet")
    assert found.column_names == [
        *("path", "label", "split", "probability_plain", "logit_plain", "probability_other", "log_density"),
        *("skin", "attribute_split"),
    ]
    columns = found.to_pydict()
    assert columns["path"] == ["…/a.png", "b.png", None]
    assert columns["label"] == [1, 0, 1]
    assert columns["split"] == ["test"] * 3
    assert columns["logit_plain"] == logits.tolist()
    np.testing.assert_allclose(columns["probability_plain"], 1 / (1 + np.exp(-logits)))
    assert columns["log_density"] == density.tolist()
    assert columns["skin"] == ["dark", "light", "dark"]


def test_what_is_not_known_is_left_out_or_empty(table, tmp_path):
    write_scores(tmp_path / "s.parquet", table, {"probability": np.zeros(3)}, None, labelled=False)
    found = pq.read_table(tmp_path / "s.parquet")
    assert found.column_names == ["path", "label", "probability", "skin", "split"]
    assert found.column("label").null_count == 3


def test_columns_of_other_things_are_left_alone():
    for column in (pa.array([1, 2]), pa.array(["dark", None])):
        assert shared_paths(column) is column
    assert shared_paths(pa.array(["/home/her/x/1.png"]), below="/home/her/x").to_pylist() == ["…/x/1.png"]
