"""What can be explored, and what is refused with words."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.errors import DataError, InputError
from equipoise.explore import PredictedColumns, opened


def test_a_run_is_opened_with_its_models_and_settings(run_folder):
    found = opened(run_folder(settings='data = "place/imgs"\ngroups = ["skin"]\n'))
    assert (found.kind, len(found), found.title) == ("run", 12, "run")
    assert [one.name for one in found.calls.models] == ["plain", "debiased"]
    assert "skin" in found.groups
    assert found.home.name == "explored"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"finished run.*got none of these"):
        opened(tmp_path)
    with pytest.raises(DataError, match="got nothing"):
        opened(tmp_path / "nowhere")


def test_a_run_of_another_version_is_refused_by_its_name(run_folder, damaged):
    folder = run_folder()
    damaged(folder / "record.json", schema_version=1)
    with pytest.raises(DataError, match="schema version"):
        opened(folder)


def test_a_run_without_scores_says_what_writes_them(run_folder):
    folder = run_folder()
    (folder / "scores.parquet").unlink()
    with pytest.raises(DataError, match=r"scores\.parquet.*equipoise audit"):
        opened(folder)


@pytest.mark.parametrize("content", [b"", b"PAR1 no", b"a,b\n1,2\n"])
def test_damaged_scores_are_refused(run_folder, content):
    folder = run_folder()
    (folder / "scores.parquet").write_bytes(content)
    with pytest.raises(DataError):
        opened(folder)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="table ending in"):
        opened(tmp_path / "a.txt")


def test_columns_are_asked_of_tables_alone(run_folder, table_file):
    folder = run_folder()
    with pytest.raises(InputError, match="columns of a run's folder are known"):
        opened(folder, PredictedColumns(label_column="skin"))
    with pytest.raises(InputError, match="'nothing'"):
        opened(table_file(), PredictedColumns(label_column="nothing"))
    found = opened(table_file(), PredictedColumns(score_column="probability_debiased"))
    assert len(found.calls.models) == 1


def test_slices_of_the_same_pictures_are_a_column(run_folder):
    folder = run_folder()
    paths = pq.read_table(folder / "scores.parquet").column("path")
    pq.write_table(pa.table({"path": paths, "slice": ["a"] * 3 + [None] * 9}), folder / "slices.parquet")
    assert opened(folder).columns.column("slice").to_pylist()[:4] == ["a", "a", "a", None]
    pq.write_table(pa.table({"path": paths[::-1], "slice": ["a"] * 12}), folder / "slices.parquet")
    found = opened(folder)
    assert "slice" not in found.columns.column_names
    assert any("other pictures" in note for note in found.notes)


def test_the_name_of_kept_features_is_one_name(run_folder):
    folder = run_folder()
    table = pq.read_table(folder / "scores.parquet")
    for said, wanted in (("abc123", "abc123"), ("../abc", None), (5, None)):
        import json

        pq.write_table(
            table.replace_schema_metadata({"equipoise": json.dumps({"features": said})}),
            folder / "scores.parquet",
        )
        assert opened(folder).features == wanted
