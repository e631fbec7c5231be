"""Parquet that others wrote: names of classes from its schema, dictionaries, bytes, and damaged files."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from equipoise.data import read
from equipoise.data.parquet_file import class_names, columns_in
from equipoise.errors import DataError


def schema_of(**names):
    features = {column: {"names": given, "_type": "ClassLabel"} for column, given in names.items()}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def stored(file, metadata=None, /, **columns):
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), file)
    return file


@pytest.mark.parametrize("kind", ["manifest", "embedded"])
@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["face", "non_face"], [1, 0, 1]),  # by name, not by number
        (["non_face", "face"], [0, 1, 0]),
        (["negative", "positive"], [0, 1, 0]),
        (["yes", "no"], [1, 0, 1]),
        (["dog", "cat"], [0, 1, 0]),  # names that say nothing: the schema's order
        (["1", "0"], [1, 0, 1]),
    ],
)
def test_labels_have_the_names_of_the_schema(tmp_path, picture, write, kind, names, labels):
    if kind == "manifest":
        columns = {"path": [str(write(tmp_path / f"{i}.png")) for i in range(3)]}
    else:
        columns = {"image": pa.array([{"bytes": picture((i, 0, 0)), "path": None} for i in range(3)])}
    file = stored(tmp_path / "t.parquet", schema_of(label=names), **columns, label=pa.array([0, 1, 0]))
    table = read(file, image_size=8)
    assert table.labels.tolist() == labels
    assert names[0] in table.notes[0]
    positive = read(file, image_size=8, positive=names[0])
    assert positive.labels.tolist() == [1, 0, 1]


def test_groups_have_the_names_of_the_schema_too(tmp_path, write):
    write(tmp_path / "1.png")
    file = stored(
        tmp_path / "t.parquet",
        schema_of(race=["a", "b"]),
        path=["1.png"] * 3,
        race=[1, -1, 0],
        label=[0, 1, 1],
    )
    table = read(file, image_size=8)
    assert table.column("race") == ["b", None, "a"]
    assert not any(pa.types.is_dictionary(column.type) for column in table.attributes.columns)


def test_numbers_that_a_missing_one_made_floats_have_their_names_too(tmp_path):
    file = stored(tmp_path / "t.parquet", schema_of(race=["a", "b"]), path=["1"] * 3, race=[1.0, None, 0.0])
    assert columns_in(file)[0].column("race").to_pylist() == ["b", None, "a"]


@pytest.mark.parametrize(
    ("value", "error"), [(0.5, "got 0.5"), (float("inf"), "got inf"), (2, "0…1.*got 2"), (-2, "got -2")]
)
def test_numbers_without_a_name(tmp_path, value, error):
    file = stored(tmp_path / "t.parquet", schema_of(label=["a", "b"]), path=["1"], label=[value])
    with pytest.raises(DataError, match=error):
        columns_in(file)


def test_a_label_that_the_schema_calls_missing_is_refused(tmp_path):
    file = stored(tmp_path / "t.parquet", schema_of(label=["a", "b"]), path=["1", "2"], label=[1, -1])
    with pytest.raises(DataError, match="none in row 1"):
        read(file)


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        (
            b'{"info": {"features": {"l": {"class_label": {"names": {"1": "b", "0": "a"}}}}}}',
            {"l": ["a", "b"]},
        ),
        (b'{"info": {"features": {"l": {"dtype": "int64", "_type": "Value"}}}}', {}),
        (b'{"info": {"features": {"l": {"names": ["a", "a"], "_type": "ClassLabel"}}}}', {}),
        (b'{"info": {"features": {"l": {"names": 3, "_type": "ClassLabel"}}}}', {}),
        (b'{"info": {"features": [1]}}', {}),
        (b'{"info": 5}', {}),
        (b"[" * 100_000, {}),
        (b"\xff", {}),
    ],
)
def test_schemas_in_other_shapes(metadata, names):
    assert class_names({b"huggingface": metadata}) == names
    assert class_names(None) == {}


def test_dictionaries_and_categories_are_their_values(tmp_path, write):
    write(tmp_path / "1.png")
    order = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1]), pa.array(["low", "high"]), ordered=True)
    plain = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1]), pa.array(["zebra", "ape"]))
    file = stored(tmp_path / "t.parquet", path=["1.png"] * 3, rank=order, animal=plain, label=[0, 1, 1])
    table = read(file, image_size=8)
    assert table.column("animal") == ["ape", "zebra", "ape"]
    assert read(file, image_size=8, label_column="animal").labels.tolist() == [0, 1, 0]  # as if text
    assert read(file, image_size=8, label_column="rank").labels.tolist() == [1, 0, 1]  # its own order


def test_columns_whose_type_is_a_table_s_accident(tmp_path, write):
    write(tmp_path / "1.png")
    values = {
        "whole": pa.array([1.0, None, 3.0]),  # numbers with a missing one become floats
        "flag": pa.array([True, False, None]),
        "bytes": pa.array([b"a", "ü".encode(), None]),
        "big": pa.array([2**63, 1, 2], pa.uint64()),
    }
    file = stored(tmp_path / "t.parquet", path=["1.png"] * 3, label=[0, 1, 1], **values)
    table = read(file, image_size=8)
    assert {name: set(table.groups(name).names) for name in values} == {
        "whole": {"1", "3", "(missing)"},
        "flag": {"True", "False", "(missing)"},
        "bytes": {"a", "ü", "(missing)"},
        "big": {"9223372036854775808", "1", "2"},
    }


def test_text_written_as_bytes_is_no_picture(tmp_path, write):
    write(tmp_path / "1.png")
    columns = {"path": [b"1.png"] * 2, "label": [b"face", b"non_face"]}
    table = read(stored(tmp_path / "t.parquet", **columns), image_size=8)
    assert table.labels.tolist() == [1, 0]
    assert table.classes == {"face": 1, "non_face": 0}


def test_text_that_is_not_utf_8(tmp_path):
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(DataError, match=r"(?i)utf-?8"):
        columns_in(stored(tmp_path / "t.parquet", path=["a"], race=bad))


def test_names_that_stand_twice_or_have_blanks(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table([["a"], ["b"], ["c"]], names=["path", "x", "x"]), path)
    with pytest.raises(DataError, match="'x' more than once"):
        read(path, label=1)
    parquet.write_table(pa.table([["a"], ["b"], ["c"]], names=[" path", "race ", ""]), path)
    table, notes = columns_in(path)
    assert table.column_names == ["path", "race"]
    assert len(notes) == 2


@pytest.mark.parametrize("cut", [3, 20, 0.5, 0.9, -4, -1])
def test_files_that_are_not_whole(tmp_path, cut):
    path = stored(tmp_path / "t.parquet", path=["a"] * 500, race=["b"] * 500)
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    with pytest.raises(DataError, match="damaged or not whole"):
        read(path, label=1)
