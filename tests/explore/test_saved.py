"""Selections as files that other commands take."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from equipoise.data import read
from equipoise.errors import InputError
from equipoise.explore import Exploration, opened
from equipoise.explore.saved import Saved


def saved(exploration, rows, **more):
    return exploration.save({"name": "night", "value": "dark", "rows": rows, **more})


def names_of(exploration, name="night"):
    column = exploration.column(name)
    return [column.names[code] for code in column.values]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_group_is_there_again_after_a_new_start(run_folder, exploring, format):
    folder = run_folder()
    saved(exploring(folder), [1, 5], format=format)
    again = exploring(folder)
    assert names_of(again) == ["dark" if row in (1, 5) else "other" for row in range(12)]
    assert again.column("night").role == "saved"


def test_a_second_selection_adds_a_group_and_the_first_stays(run_folder, exploring):
    one = exploring(run_folder())
    other = exploring(one.saved.home.parent)  # two pages at once
    saved(one, [1, 5])
    saved(other, [5, 6], value="bright", format="parquet")
    one.refresh()
    assert [names_of(one)[row] for row in (0, 1, 5, 6)] == ["other", "dark", "bright", "bright"]
    assert [file.name for file in one.saved.home.iterdir()] == ["night.parquet"]


def test_parquet_is_what_groups_take(run_folder, exploring):
    folder = run_folder()
    saved(exploring(folder), [2], format="parquet")
    table = pq.read_table(folder / "explored" / "night.parquet")
    assert (
        table.column("path").to_pylist()
        == pq.read_table(folder / "scores.parquet").column("path").to_pylist()
    )
    assert table.column("slice").to_pylist() == ["dark" if row == 2 else None for row in range(12)]


def test_csv_is_a_source_of_pictures_with_the_group(run_folder, exploring):
    folder = run_folder()
    saved(exploring(folder), [2])
    table = read(folder / "explored" / "night.csv", image_size=8, allow_outside=True)
    assert len(table) == 12
    assert table.column("night")[2] == "dark"
    assert np.abs(table.batch(np.array([2]))[0].reshape(-1, 3).mean(0) - [40, 215, 100]).max() < 8


def test_csv_is_a_table_of_predictions_with_the_group(run_folder, exploring):
    from equipoise.run import Measuring, Output, PredictionTables, evaluate_predictions

    folder = run_folder()
    saved(exploring(folder), [0, 1, 2, 3])
    record = evaluate_predictions(
        PredictionTables((folder / "explored" / "night.csv",), score_column="probability_debiased"),
        measuring=Measuring(groups=("night",), replicates=100),
        output=Output("again"),
    )
    assert "dark" in str(record.models)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "../x"}, "needs a name"),
        ({"name": ".x"}, "needs a name"),
        ({"name": "a/b"}, "needs a name"),
        ({"name": "x\0"}, "needs a name"),
        ({"name": ""}, "needs a name"),
        ({"name": "x" * 61}, "needs a name"),
        ({"name": "skin"}, "already"),
        ({"name": "slice"}, "already"),
        ({"name": "right:plain"}, "already"),
        ({"value": " "}, "value"),
        ({"value": "a\nb"}, "value"),
        ({"rows": []}, "got none"),
        ({"rows": [12]}, "Expected rows"),
        ({"rows": [-1]}, "Expected rows"),
        ({"rows": [1.5]}, "whole numbers"),
        ({"rows": [True]}, "whole numbers"),
        ({"rows": "1"}, "something else"),
        ({"name": 5}, "something else"),
        ({"format": "exe"}, "csv or parquet"),
        ({"format": ["csv"]}, "csv or parquet"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_nothing_written(run_folder, exploring, asked, said):
    one = exploring(run_folder())
    with pytest.raises(InputError, match=said):
        one.save({"name": "night", "value": "dark", "rows": [1], **asked})
    assert not list(one.saved.home.glob("*"))


def test_files_of_other_pictures_are_said_and_left(run_folder, exploring):
    folder = run_folder()
    saved(exploring(folder), [2])
    table = pq.read_table(folder / "scores.parquet")
    pq.write_table(table.slice(0, 11), folder / "scores.parquet")
    (folder / "explored" / "broken.parquet").write_bytes(b"no")
    one = exploring(folder)
    notes = " ".join(one.about()["notes"])
    assert "night.csv is not shown" in notes
    assert "broken.parquet is not shown" in notes


def test_the_pictures_order_counts(run_folder, exploring):
    folder = run_folder()
    saved(exploring(folder), [2])
    table = pq.read_table(folder / "scores.parquet")
    assert Saved(folder / "explored", table, "path").read()[0]
    assert not Saved(folder / "explored", table.take(list(range(11, -1, -1))), "path").read()[0]


def test_a_folder_that_cannot_be_written_is_said(run_folder):
    from equipoise.errors import DataError

    folder = run_folder()
    (folder / "explored").write_text("a file")
    one = Exploration(opened(folder))
    try:
        with pytest.raises(DataError, match="Expected to save"):
            saved(one, [1])
    finally:
        one.close()
