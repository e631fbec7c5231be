"""Parquet with pictures inside."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from equipoise.data import read
from equipoise.data.embedded import embedded, image_column
from equipoise.errors import DataError


def stored(path, pictures, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"image": pa.array(pictures), **columns}), path, row_group_size=2)
    return path


def test_the_struct_of_bytes_and_path(tmp_path, picture):
    pictures = [{"bytes": picture((value, 0, 0)), "path": f"train/{value}.jpg"} for value in (10, 20, 30)]
    file = stored(
        tmp_path / "a.parquet", pictures, label=pa.array([1, 0, 1], pa.int8()), race=["a", "b", "a"]
    )
    table = read(file, image_size=8)
    assert table.batch([0, 1, 2])[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert table.labels.tolist() == [1, 0, 1]
    assert table.attributes.to_pydict() == {
        "race": ["a", "b", "a"],
        "path": ["train/10.jpg", "train/20.jpg", "train/30.jpg"],
    }
    assert read(file, image_size=8, label_column="race", positive="b").labels.tolist() == [0, 1, 0]


def test_a_folder_of_files_says_which(tmp_path, picture):
    for index, name in enumerate(("train-1", "train-0", "test")):
        stored(tmp_path / f"{name}.parquet", [picture((index, 0, 0))], **({"age": [index]} if index else {}))
    table = read(tmp_path, label=1, image_size=8)
    assert table.column("file") == ["test", "train-0", "train-1"]
    assert table.column("age") == [2, 1, None]
    assert table.batch([0, 1, 2])[:, 0, 0, 0].tolist() == [2, 1, 0]
    assert table.column("path") == ["test.parquet#0", "train-0.parquet#0", "train-1.parquet#0"]


def test_a_copy_of_a_hub_s_folder_says_the_split(tmp_path, picture):
    for index, name in enumerate(
        ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001")
    ):
        stored(tmp_path / "data" / f"{name}.parquet", [picture((index, 0, 0))], label=[index % 2])
    (tmp_path / "README.md").touch()
    table = read(tmp_path, image_size=8)
    assert table.column("split") == ["train", "train", "validation"]
    assert table.labels.tolist() == [0, 1, 0]
    stored(tmp_path / "data" / "more.parquet", [picture((9, 0, 0))], label=[0])
    assert "split" not in read(tmp_path, image_size=8).attributes.column_names


def test_bytes_may_lie_in_a_file_or_be_missing(tmp_path, picture, write):
    write(tmp_path / "x" / "1.png", (9, 0, 0))
    pictures = [{"bytes": None, "path": "x/1.png"}, {"bytes": None, "path": None}, None]
    file = stored(tmp_path / "a.parquet", pictures, label=[1, 0, 1])
    table = read(file, image_size=8, max_rejected=0.9)
    assert table.batch([0])[0, 0, 0, 0] == 9
    assert table.labels.tolist() == [1]
    assert [(item.path, item.reason) for item in table.rejected] == [
        ("a.parquet#1", "the file is empty"),
        ("a.parquet#2", "the file is empty"),
    ]


def test_which_column_holds_the_pictures():
    struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    assert image_column(pa.schema({"id": pa.binary(), "image": struct})) == "image"
    assert image_column(pa.schema({"path": pa.string(), "jpg": pa.large_binary()})) == "jpg"
    assert image_column(pa.schema({"box": pa.struct({"x": pa.int8()}), "image": pa.string()})) is None


def test_malformed_files(tmp_path, picture):
    (tmp_path / "a.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="Parquet file"):
        embedded(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="Parquet file"):
        read(tmp_path / "a.parquet")
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="For a table of paths"):
        embedded(tmp_path / "a.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="got none"):
        embedded(tmp_path / "empty")
    stored(tmp_path / "b" / "1.parquet", [picture()], x=[1])
    stored(tmp_path / "b" / "2.parquet", [picture()], x=["a"])
    with pytest.raises(DataError, match="one schema"):
        embedded(tmp_path / "b")


def test_a_broken_block_inside_a_file(tmp_path, rng):
    file = stored(tmp_path / "a.parquet", [rng.bytes(5000) for _ in range(50)])
    data = bytearray(file.read_bytes())
    data[1000:60_000] = bytes(59_000)
    file.write_bytes(data)
    with pytest.raises(DataError):
        read(file, label=1, image_size=8)
