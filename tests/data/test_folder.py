"""Image folders: with classes, flat, and mixed."""

import pytest

from equipoise.data import read
from equipoise.data.folder import image_folder
from equipoise.errors import DataError


def test_one_folder_a_class(tmp_path, write):
    for name in ("cat/deep/2.jpg", "cat/1.png", "dog/1.png"):
        write(tmp_path / name)
    source = image_folder(tmp_path)
    assert [path.removeprefix(f"{tmp_path}/") for path in source.paths] == [
        "cat/1.png",
        "cat/deep/2.jpg",
        "dog/1.png",
    ]
    assert source.attributes.to_pydict() == {"folder": ["cat", "cat", "dog"]}
    assert source.label == "folder"
    assert [str(content) for content in source.contents()] == list(source.paths)


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["1.jpg", "2.jpg"], None),
        (["cat/1.jpg"], ["cat"]),
        (["cat/1.jpg", "dog/1.jpg", "z.jpg"], ["cat", "dog", None]),
    ],
)
def test_folders_that_do_not_tell_the_class(tmp_path, write, names, folders):
    for name in names:
        write(tmp_path / name)
    source = image_folder(tmp_path)
    assert source.label is None
    assert source.attributes.to_pydict() == ({} if folders is None else {"folder": folders})


def test_no_picture(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DataError, match="got none"):
        image_folder(tmp_path)


SPLITS = [
    ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg", "test/dog/2.jpg"],
    ["Training_set/cat/1.jpg", "Training_set/dog/1.jpg", "test_set/cat/2.jpg", "test_set/dog/2.jpg"],
    ["images/train/cat/1.jpg", "images/train/dog/1.jpg", "images/val/cat/2.jpg", "images/val/dog/2.jpg"],
    ["cat/train/1.jpg", "dog/train/1.jpg", "cat/valid/2.jpg", "dog/valid/2.jpg"],
    ["train2017/cat/deep/1.jpg", "train2017/dog/1.jpg", "dev/cat/2.jpg", "dev/dog/2.jpg"],
    ["train/cat/1.jpg", "train/dog/1.jpg"],
]


@pytest.mark.parametrize("names", SPLITS)
def test_folders_of_a_split_are_a_column_and_no_class(tmp_path, write, names):
    for name in names:
        write(tmp_path / name)
    source = image_folder(tmp_path)
    assert source.label == "folder"
    columns = source.attributes.to_pydict()
    found = zip(source.paths, columns["folder"], columns["split"], strict=True)
    for path, folder, split in found:
        parts = path.removeprefix(f"{tmp_path}/").split("/")
        assert folder in ("cat", "dog")
        assert {folder, split} < set(parts)
    assert "no" not in columns["split"]
    assert "`split_column` split" in source.notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ["train/1.jpg", "test/2.jpg"],
        ["train/1.jpg"],
        ["train/cat/1.jpg", "train/dog/1.jpg", "test/2.jpg"],  # test pictures without a class
    ],
)
def test_folders_of_a_split_alone_say_no_class(tmp_path, write, names):
    for name in names:
        write(tmp_path / name)
    source = image_folder(tmp_path)
    assert source.label is None
    assert set(source.attributes.column("split").to_pylist()) == {name.split("/")[0] for name in names}


@pytest.mark.parametrize(
    "names",
    [
        ["train/1.jpg", "test/1.jpg", "extra/1.jpg"],
        ["cat/1.jpg", "dog/1.jpg", "test/1.jpg"],
        ["train/cat/1.jpg", "train/dog/1.jpg", "more/cat/1.jpg"],
    ],
)
def test_classes_beside_folders_of_a_split_are_refused(tmp_path, write, names):
    for name in names:
        write(tmp_path / name)
    with pytest.raises(DataError, match=r"got both: .* beside "):
        image_folder(tmp_path)


def test_a_train_may_be_a_train(tmp_path, write):
    for name in ("train/1.jpg", "bus/1.jpg", "car/1.jpg"):
        write(tmp_path / name)
    assert image_folder(tmp_path).attributes.to_pydict() == {"folder": ["bus", "car", "train"]}


def test_a_folder_a_class_for_a_thousand_classes(tmp_path, picture):
    data = picture()
    names = [f"{i:04} <b>[red]\x1b\n" for i in range(1000)]
    for row, name in enumerate(names):
        place = tmp_path / ("val" if row % 4 == 0 else "train_set") / name / "images"
        place.mkdir(parents=True)
        (place / "1.png").write_bytes(data)
    table = read(tmp_path, image_size=4)
    assert table.class_names == tuple(names)
    assert sorted(table.labels) == list(range(1000))
    by_name = dict(zip(table.column("folder"), table.labels.tolist(), strict=True))
    assert by_name == table.classes
    assert set(table.column("split")) == {"val", "train_set"}
