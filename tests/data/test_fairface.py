"""FairFace in its official layout."""

import pytest

from equipoise.data import read
from equipoise.data.fairface import fairface
from equipoise.errors import DataError

HEADER = "file,age,gender,race,service_test\n"


@pytest.fixture
def root(tmp_path, write):
    for name, value in (("train/1.jpg", 0), ("train/2.jpg", 20), ("val/1.jpg", 40)):
        write(tmp_path / name, (value, 0, 0))
    (tmp_path / "fairface_label_train.csv").write_text(
        HEADER + "train/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,3-9,Female,Latino_Hispanic,False\n"
    )
    (tmp_path / "fairface_label_val.csv").write_text(HEADER + "val/1.jpg,more than 70,Female,Black,False\n")
    return tmp_path


def test_both_files(root):
    table = read(root, image_size=16)
    assert table.labels.tolist() == [1, 1, 1]
    columns = table.attributes.to_pydict()
    assert columns.pop("path") == [str(root / name) for name in ("train/1.jpg", "train/2.jpg", "val/1.jpg")]
    assert columns == {
        "age": ["50-59", "3-9", "more than 70"],
        "gender": ["Male", "Female", "Female"],
        "race": ["East Asian", "Latino_Hispanic", "Black"],
        "service_test": ["True", "False", "False"],
        "partition": ["train", "train", "validation"],
    }
    assert table.batch([0, 1, 2])[:, 8, 8, 0].tolist() == pytest.approx([0, 20, 40], abs=3)


def test_one_file_and_another_label(root):
    table = read(root / "fairface_label_train.csv", image_size=16, label_column="gender", positive="Female")
    assert table.labels.tolist() == [0, 1]


def test_malformed(tmp_path):
    with pytest.raises(DataError, match="got neither"):
        fairface(tmp_path)
    (tmp_path / "fairface_label_val.csv").write_text("file,age\na.jpg,3\n")
    with pytest.raises(DataError, match="got file, age"):
        fairface(tmp_path)
