"""Hugging Face's imagefolder: what its metadata says comes before what folders say."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from equipoise.data import read
from equipoise.data.folder import image_folder
from equipoise.errors import DataError


def metadata(folder, rows, ending=".csv", schema=None):
    path = folder / f"metadata{ending}"
    names = list(rows[0])
    if ending == ".csv":
        path.write_text("\n".join([",".join(names), *(",".join(map(str, row.values())) for row in rows)]))
    elif ending == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        parquet.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(schema), path)


@pytest.fixture
def animals(tmp_path, write):
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg"):
        write(tmp_path / name)
    return tmp_path


ROWS = [
    {"file_name": "cat/1.jpg", "label": 1, "site": "01"},
    {"file_name": "cat/2.jpg", "label": 1, "site": "1"},
    {"file_name": "dog/1.jpg", "label": 0, "site": "1"},
    {"file_name": "dog/2.jpg", "label": 0, "site": "1"},
]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_labels_are_those_of_the_metadata_and_the_difference_is_said(animals, ending):
    metadata(animals, ROWS, ending)
    table = read(animals, image_size=8)
    assert table.labels.tolist() == [1, 1, 0, 0]  # by folders it would be 0, 0, 1, 1
    assert table.column("site") == ["01", "1", "1", "1"]
    assert table.column("folder") == ["cat", "cat", "dog", "dog"]
    assert any(
        "not the folders': folder cat has label 1 (2), dog has label 0 (2)" in note for note in table.notes
    )


def test_names_of_the_schema_count_here_too(animals):
    schema = {b"huggingface": json.dumps({"info": {"features": {"label": {
        "_type": "ClassLabel", "names": ["positive", "negative"]}}}}).encode()}  # fmt: skip
    metadata(animals, ROWS, ".parquet", schema)
    assert read(animals, image_size=8).labels.tolist() == [0, 0, 1, 1]


def test_in_folders_of_a_split(tmp_path, write):
    for side in ("train", "test"):
        for i in range(2):
            write(tmp_path / side / f"{i}.jpg")
        metadata(tmp_path / side, [{"file_name": f"{i}.jpg", "label": "ab"[i]} for i in range(2)])
    table = read(tmp_path, image_size=8)
    assert table.labels.tolist() == [0, 1, 0, 1]
    assert table.column("split") == ["test", "test", "train", "train"]


def test_without_labels_the_folders_are_the_classes_and_it_is_said(animals):
    metadata(animals, [{"file_name": row["file_name"], "site": row["site"]} for row in ROWS])
    table = read(animals, image_size=8)
    assert table.labels.tolist() == [0, 0, 1, 1]
    assert "metadata.csv has no column label: the folders are the classes" in table.notes


def test_pictures_that_no_row_names_are_counted(animals):
    metadata(animals, ROWS[1:])
    with pytest.raises(DataError, match=r"got 1 of 4 .*cat/1\.jpg: no metadata file of the folder names it"):
        read(animals, image_size=8)
    table = read(animals, image_size=8, max_rejected=0.3)
    assert len(table) == 3
    assert len(table.rejected) == 1


def test_two_files_may_agree_but_not_differ(animals):
    metadata(animals, ROWS)
    metadata(animals, ROWS[:1], ".jsonl")
    assert len(read(animals, image_size=8)) == 4
    metadata(animals, [ROWS[0] | {"label": 0}], ".jsonl")
    with pytest.raises(DataError, match=r"label = 1 and 0 of .*cat/1\.jpg"):
        read(animals, image_size=8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,label\ncat/1.jpg,1\n", "column file_name in .*metadata.csv"),
        ("file_name,label\n../x.jpg,1\n", "allow_outside"),
        ("file_name,label\n,1\n", "got none in row 0"),
        ("file_name,label\ncat/1.jpg\n", "2 cells"),
        ("file_name,label\ncat/1.jpg,1\ncat/1.jpg,0\n", "label = 1 and 0"),
    ],
)
def test_metadata_that_cannot_be_used(animals, text, words):
    (animals / "metadata.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        image_folder(animals)
