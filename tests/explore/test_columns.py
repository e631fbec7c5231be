"""Columns as numbers, categories, percentiles."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from equipoise.explore import opened
from equipoise.explore.columns import columns_of, percentiles


def by_name(place):
    return {one.name: one for one in columns_of(opened(place))}


def test_each_column_is_what_it_is(table_file):
    found = by_name(
        table_file(
            few=list(range(3)) * 4,
            flag=[True, False, None] * 4,
            own=[f"t{row}" for row in range(12)],
            nested=[[1]] * 12,
        )
    )
    assert found["few"].names == ("0", "1", "2")
    assert found["flag"].names == ("False", "True")
    assert found["flag"].values.tolist()[:3] == [1, 0, -1]
    assert found["age"].names is None
    assert "nested" not in found
    assert "path" not in found
    assert found["right:plain"].names == ("wrong", "right")
    assert found["probability_plain"].role == "score"
    assert found["log_density"].role == "risk"


def test_numbers_written_as_text_are_numbers(tmp_path):
    values = np.random.default_rng(0).normal(size=50)
    table = pa.table(
        {"label": ["0", "1"] * 25, "predicted": ["0", "1"] * 25, "v": [str(v) for v in values[:-1]] + [""]}
    )
    pa.csv.write_csv(table, tmp_path / "t.csv")
    found = by_name(tmp_path / "t.csv")["v"]
    assert found.names is None
    assert found.values[:-1] == pytest.approx(values[:-1].astype(np.float32))
    assert np.isnan(found.values[-1])


def test_a_block_is_little_endian_and_four_bytes_a_row(table_file):
    found = by_name(table_file())
    assert np.frombuffer(found["age"].block(), "<f4").tolist() == found["age"].values.tolist()
    assert np.frombuffer(found["skin"].block(), "<i4").tolist() == found["skin"].values.tolist()


def test_columns_that_are_called_alike_are_both_there(table_file):
    found = columns_of(opened(table_file(**{"right:plain": [1.5 + row for row in range(12)]})))
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert {"right:plain", "right:plain "} < set(names)


def test_percentiles_equal_counting():
    values = np.array([3, 1, 1, np.nan, 2, 5, 5, 5], np.float32)
    known = values[np.isfinite(values)]
    naive = [
        np.nan if np.isnan(v) else ((known < v).sum() + ((known == v).sum() - 1) / 2) / (len(known) - 1)
        for v in values
    ]
    assert percentiles(values) == pytest.approx(naive, nan_ok=True)
    assert percentiles(np.array([7, np.nan], np.float32)).tolist()[0] == 0.5
    assert np.isnan(percentiles(np.full(3, np.nan, np.float32))).all()
