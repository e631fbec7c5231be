"""Image folders: with classes, flat, and mixed."""

import pytest

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
