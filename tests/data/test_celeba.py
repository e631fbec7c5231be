"""CelebA, in the official text files and in the CSV variant."""

import pytest

from equipoise.data import read
from equipoise.data.celeba import celeba
from equipoise.errors import DataError

NAMES = ["000001.jpg", "000002.jpg", "000003.jpg"]
VALUES = [("-1", " 1"), (" 1", "-1"), (" 1", " 1")]


@pytest.fixture
def root(tmp_path, write):
    for index, name in enumerate(NAMES):
        write(tmp_path / "img_align_celeba" / name, (10 * index, 0, 0), size=(178, 218))
    return tmp_path


def text_files(root, attributes=".", partition="."):
    (root / attributes).mkdir(exist_ok=True)
    (root / partition).mkdir(exist_ok=True)
    rows = [f"{name} {' '.join(values)}" for name, values in zip(NAMES, VALUES, strict=True)]
    (root / attributes / "list_attr_celeba.txt").write_text("\n".join(["3", "Male Smiling ", *rows]) + "\n")
    sides = [f"{name} {side}" for side, name in enumerate(NAMES)]
    (root / partition / "list_eval_partition.txt").write_text("\n".join(sides) + "\n")
    return root


def csv_files(root):
    rows = [
        f"{name},{','.join(value.strip() for value in values)}"
        for name, values in zip(NAMES, VALUES, strict=True)
    ]
    (root / "list_attr_celeba.csv").write_text("\n".join(["image_id,Male,Smiling", *rows]))
    sides = [f"{name},{side}" for side, name in enumerate(NAMES)]
    (root / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *sides]))
    return root


@pytest.mark.parametrize("variant", ["text", "csv", "folders", "nested"])
def test_all_variants_say_the_same(root, variant):
    if variant == "csv":
        csv_files(root)
    elif variant == "folders":
        text_files(root, "Anno", "Eval")
    else:
        text_files(root)
    if variant == "nested":
        (root / "img_align_celeba").rename(root / "inner")
        (root / "img_align_celeba").mkdir()
        (root / "inner").rename(root / "img_align_celeba" / "img_align_celeba")
    table = read(root, image_size=16)
    assert table.labels.tolist() == [1, 1, 1]
    assert table.column("Male") == [0, 1, 1]
    assert table.column("Smiling") == [1, 0, 1]
    assert table.column("partition") == ["train", "validation", "test"]
    assert table.batch([0, 1, 2])[:, 8, 8, 0].tolist() == pytest.approx([0, 10, 20], abs=3)


def test_an_attribute_can_be_the_label(root):
    assert read(csv_files(root), image_size=16, label_column="Smiling").labels.tolist() == [1, 0, 1]


def test_the_listing_itself_and_no_partition(root):
    text_files(root)
    (root / "list_eval_partition.txt").unlink()
    assert read(root / "list_attr_celeba.txt", image_size=16).attributes.column_names == [
        "Male",
        "Smiling",
        "path",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got: "),
        ("2\nMale\n1.jpg 1\n", "a count of 2 before 1 rows"),
        ("1\nMale Smiling\n1.jpg 1\n", "Expected 3 columns, got 2"),
        ("1\nMale\n1.jpg yes\n", "values of −1 and 1 in Male"),
        ("1\nMale\n1.jpg 7\n", "values of −1 and 1 in Male"),
    ],
)
def test_malformed_attributes(tmp_path, text, words):
    (tmp_path / "list_attr_celeba.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        celeba(tmp_path)


def test_other_malformed_files(root, tmp_path):
    with pytest.raises(DataError, match="got neither"):
        celeba(root)
    text_files(root)
    (root / "list_eval_partition.txt").write_text("000001.jpg 5\n")
    with pytest.raises(DataError, match="0, 1 or 2"):
        celeba(root)
    (root / "list_attr_celeba.csv").write_text("name,Male\n1.jpg,1\n")
    with pytest.raises(DataError, match="image_id"):
        celeba(root / "list_attr_celeba.csv")
