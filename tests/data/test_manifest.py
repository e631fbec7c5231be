"""Manifests in CSV, TSV and Parquet."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from equipoise.data import read
from equipoise.data.manifest import manifest
from equipoise.errors import DataError, InputError

ROWS = {"file": ["b/2.png", "a/1.png"], "label": [1, 0], "skin": ["dark", None], "age": [31, 27]}


def listing(folder, ending):
    path = folder / f"list{ending}"
    if ending == ".parquet":
        parquet.write_table(pa.table(ROWS), path)
    else:
        mark = "\t" if ending == ".tsv" else ","
        lines = [ROWS.keys(), *zip(*ROWS.values(), strict=True)]
        path.write_text(
            "\n".join(mark.join("" if cell is None else str(cell) for cell in line) for line in lines)
        )
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_rows_become_a_table(tmp_path, write, ending):
    write(tmp_path / "b" / "2.png", (2, 0, 0))
    write(tmp_path / "a" / "1.png", (1, 0, 0))
    table = read(listing(tmp_path, ending), image_size=8)
    assert table.labels.tolist() == [1, 0]
    assert table.batch([0, 1])[:, 0, 0, 0].tolist() == [2, 1]
    assert table.attributes.to_pydict() == {
        "skin": ["dark", None],
        "age": [31, 27] if ending == ".parquet" else ["31", "27"],
        "path": [str(tmp_path / "b/2.png"), str(tmp_path / "a/1.png")],
    }


def test_any_column_can_be_the_label_or_the_path(tmp_path, write):
    write(tmp_path / "1.png")
    (tmp_path / "l.csv").write_text("photo,smiles,label\n1.png,yes,7\n1.png,no,8\n")
    table = read(tmp_path / "l.csv", image_size=8, path_column="photo", label_column="smiles")
    assert table.labels.tolist() == [1, 0]
    assert table.column("label") == ["7", "8"]  # not the label here, so a column like any other
    with pytest.raises(DataError, match=r"got photo, smiles, label\. Name it with path_column"):
        manifest(tmp_path / "l.csv")
    with pytest.raises(InputError, match="one of photo, smiles, label; got 'image'"):
        manifest(tmp_path / "l.csv", path_column="image")


def test_missing_files_are_rejected(tmp_path, write):
    write(tmp_path / "1.png")
    (tmp_path / "l.csv").write_text("path\n1.png\n2.png\n")
    table = read(tmp_path / "l.csv", label=1, image_size=8, max_rejected=0.5)
    assert [item.reason for item in table.rejected] == ["the file is missing"]


def test_absolute_paths_and_numbers_as_names(tmp_path, write):
    write(tmp_path / "x" / "007.png")
    (tmp_path / "l.csv").write_text(f"path\n{tmp_path / 'x' / '007.png'}\n")
    assert len(read(tmp_path / "l.csv", label=1, image_size=8)) == 1
    (tmp_path / "x" / "l.csv").write_text("file\n007\n")
    assert manifest(tmp_path / "x" / "l.csv").paths == [str(tmp_path / "x" / "007")]


def test_an_edited_label_counts_at_once(tmp_path, write):
    write(tmp_path / "1.png")
    for label in (0, 1):
        (tmp_path / "l.csv").write_text(f"path,label\n1.png,{label}\n")
        assert read(tmp_path / "l.csv", image_size=8).labels.tolist() == [label]


def test_malformed_manifests(tmp_path):
    (tmp_path / "l.csv").write_text("path,x\na.png,1\n,2\n")
    with pytest.raises(DataError, match="none in row 1"):
        manifest(tmp_path / "l.csv")
    (tmp_path / "l.csv").write_text("path,x\na.png,1,2\n")
    with pytest.raises(DataError, match="CSV file"):
        manifest(tmp_path / "l.csv")
    (tmp_path / "l.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="Parquet file"):
        manifest(tmp_path / "l.parquet")
    parquet.write_table(pa.table({"path": [["a"]]}), tmp_path / "l.parquet")
    with pytest.raises(DataError, match="got list"):
        manifest(tmp_path / "l.parquet")
    (tmp_path / "l.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="got none"):
        read(tmp_path / "l.csv")
