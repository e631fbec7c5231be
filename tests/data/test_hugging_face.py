"""Hugging Face datasets, in memory and as `save_to_disk` writes them; most is in the contract of all sources."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from equipoise.data import read
from equipoise.data.arrow_folder import arrow_folder
from equipoise.errors import DataError, InputError


@pytest.fixture
def made(datasets):
    """A dataset of one-colour pictures with class numbers that its features name, and more columns."""

    def make(count=4, **more):
        features = {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["face", "scene", "other"]),
            "age": datasets.ClassLabel(names=["young", "old"]),
            "boxes": datasets.Sequence(datasets.Value("int64")),
        }
        columns = {
            "image": [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(count)],
            "label": [i % 2 for i in range(count)],
            "age": [(i // 2) % 2 for i in range(count)],
            "boxes": [[i] for i in range(count)],
        }
        return datasets.Dataset.from_dict({**columns, **more}, features=datasets.Features(features))

    return make


def test_names_of_the_features_are_taken(made):
    table = read(made(), image_size=8)
    assert table.classes == {"face": 0, "scene": 1, "other": 2}
    assert table.column("age") == ["young", "young", "old", "old"]
    assert read(made(), label_column="age", image_size=8).classes == {"young": 0, "old": 1}
    assert read(made(), groups=["age", "label"]).attributes.column_names == ["age", "path"]
    with pytest.raises(InputError, match=r"'ages', which is none of age, boxes\. Nearest: age"):
        read(made(), groups=["ages"])


def test_a_loader_of_a_dataset_and_a_label_of_another_column(made):
    from torch.utils.data import DataLoader

    table = read(DataLoader(made(), shuffle=True), groups=["boxes"], label_column="age", image_size=8)
    assert table.classes == {"young": 0, "old": 1}
    assert table.attributes.column_names == ["boxes", "path"]
    assert table.notes[0].startswith("The DataLoader shuffles")
    assert table.labels.tolist() == [0, 0, 1, 1]


def test_a_thousand_classes_are_named(datasets):
    names = [f"<b>{i}</b>\x1b" for i in range(1000)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    dataset = datasets.Dataset.from_dict(
        {"image": [Image.new("L", (8, 8))] * 3, "label": [999, 0, 5]}, features
    )
    table = read(dataset, image_size=8)
    assert table.class_names == tuple(names)
    assert table.labels.tolist() == [999, 0, 5]


def test_what_is_decided_is_said(made, datasets):
    assert "transform is not applied" in read(made().with_transform(lambda rows: rows), image_size=8).notes[0]
    with pytest.raises(InputError, match=r"IterableDatasetDict of train\. Give one"):
        read(datasets.IterableDatasetDict({"train": made().to_iterable_dataset()}))
    with pytest.raises(InputError, match="DatasetDict of no splits"):
        read(datasets.DatasetDict())
    with pytest.raises(InputError, match=r"feature Image, bytes, or arrays.*got a"):
        read(datasets.Dataset.from_dict({"a": ["b"]}))
    with pytest.raises(DataError, match="Say label=1"):
        read(made().remove_columns("label"))
    with pytest.raises(DataError, match="Expected pictures"):
        read(made(0))


def test_other_pictures_are_no_columns(datasets):
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    pictures = [Image.new("RGB", (8, 8), (9, 0, 0))], [Image.new("RGB", (8, 8))]
    dataset = datasets.Dataset.from_dict(dict(zip(features, pictures, strict=True)), features)
    table = read(dataset, label=1, image_size=8)
    assert table.attributes.column_names == ["path"]
    assert table.batch([0])[0, 0, 0, 0] == 9


def test_pictures_that_lie_beside_are_read_by_their_paths(datasets, tmp_path, write):
    places = [str(write(tmp_path / f"{i}.png", (i, 0, 0), format="PNG")) for i in range(2)]
    features = datasets.Features({"image": datasets.Image()})
    dataset = datasets.Dataset.from_dict({"image": places}, features)
    assert len(read(dataset, label=1, image_size=8)) == 2
    dataset.save_to_disk(tmp_path / "saved")  # with the pictures in it
    for place in places:
        (tmp_path / place).unlink()
    assert len(read(tmp_path / "saved", label=1, image_size=8)) == 2


def test_lists_that_are_no_pictures_are_told(datasets):
    for rows in ([[[1, 2], [3]]], [[[]]], [None]):
        kind = datasets.Sequence(datasets.Sequence(datasets.Value("uint8")))
        dataset = datasets.Dataset.from_dict({"image": rows}, datasets.Features({"image": kind}))
        with pytest.raises(DataError, match="lists of equal lengths; got something else in row 0"):
            read(dataset, label=1)


def arrow(path, image, **columns):
    """An .arrow file as `datasets` writes it."""
    table = pa.table({"image": pa.array(image), **columns})
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table)
    return path


@pytest.fixture
def stored(tmp_path, picture):
    folder = tmp_path / "saved"
    arrow(folder / "data.arrow", [{"bytes": picture(), "path": None}], label=[1])
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return folder


def test_saved_folders_need_no_library(stored):
    table = read(stored, image_size=8)
    assert table.labels.tolist() == [1]
    assert table.column("path") == ["data.arrow#0"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("{", "Expected JSON in"),
        ("[]", "Expected a JSON object"),
        ("{}", r"Expected names of \.arrow files"),
        ('{"_data_files": [{"filename": "../data.arrow"}]}', r"names of \.arrow files"),
        ('{"_data_files": [{"filename": ".."}]}', r"names of \.arrow files"),
        ('{"_data_files": [{"filename": 3}]}', r"names of \.arrow files"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', "gone.arrow"),
        ('{"_data_files": [{"filename": "data.arrow"}], "_indices_data_files": [1]}', "table of indices"),
        ("[" * 100_000, "Expected JSON"),
    ],
)
def test_states_that_somebody_else_wrote(stored, state, words):
    (stored / "state.json").write_text(state)
    with pytest.raises(DataError, match=words):
        read(stored)
    (stored / "dataset_dict.json").write_text('{"splits": ["../saved"]}')
    with pytest.raises(DataError, match="Expected names of splits"):
        read(stored)


def test_paths_stay_below_the_folder(stored, tmp_path, write):
    write(tmp_path / "secret.png", format="PNG")
    write(stored / "inside.png", format="PNG")
    arrow(stored / "data.arrow", [{"bytes": None, "path": "inside.png"}], label=[1])
    assert len(read(stored, image_size=8)) == 1
    arrow(stored / "data.arrow", [{"bytes": None, "path": str(tmp_path / "secret.png")}], label=[1])
    with pytest.raises(DataError, match="allow_outside"):
        read(stored, image_size=8)
    assert len(read(stored, image_size=8, allow_outside=True)) == 1
    (stored / "data.arrow").rename(tmp_path / "data.arrow")
    (stored / "data.arrow").symlink_to(tmp_path / "data.arrow")
    with pytest.raises(DataError, match="allow_outside"):
        arrow_folder(stored)


def test_damaged_arrow_files(stored, picture, rng):
    place = stored / "data.arrow"
    arrow(
        place,
        [{"bytes": picture((i, 0, 0)), "path": "x"} for i in range(9)],
        label=[0, 1, 0] * 3,
        site=list("abcabcabc"),
    )
    whole = place.read_bytes()
    for data in (b"", b"nothing of the kind", whole[: len(whole) // 2], pickle.dumps([1])):
        place.write_bytes(data)
        with pytest.raises(DataError, match=r"Expected an Arrow file at .*data\.arrow"):
            read(stored, image_size=8)
    done = 0
    for _ in range(150):
        data = bytearray(whole)
        for place_ in rng.integers(0, len(data), 3):
            data[place_] = rng.integers(256)
        place.write_bytes(data)
        try:
            read(stored, image_size=8, max_rejected=1)
            done += 1
        except (DataError, InputError):
            pass
    assert 5 < done < 150
    with pytest.raises(DataError, match="a column of pictures"):
        read(arrow(stored / "other.arrow", ["a"]))


def test_the_other_kind_of_arrow_file(tmp_path):
    table = pa.table({"pixels": pa.array(np.zeros((2, 4, 5), np.uint8).tolist()), "label": ["a", "b"]})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table)
    with pytest.raises(InputError, match="got int64"):
        read(tmp_path / "a.arrow")
    table = table.set_column(0, "pixels", table.column(0).cast(pa.list_(pa.list_(pa.uint8()))))
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table)
    assert read(tmp_path / "a.arrow", image_size=4).classes == {"a": 0, "b": 1}
