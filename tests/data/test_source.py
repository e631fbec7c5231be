"""Labels: what a column says, and what an option says."""

import pyarrow as pa
import pytest

from equipoise.data.source import Source, class_ids, pictures_below, read_csv
from equipoise.errors import DataError, InputError


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([1, 0, 3], [1, 0, 3]),
        ([-1, 1, -1], [0, 1, 0]),
        ([True, False], [1, 0]),
        (["1", "0"], [1, 0]),
        ([1.0, 0.0], [1, 0]),
        (["face", "NonFace", "non-faces"], [1, 0, 0]),
        (["yes", "no"], [1, 0]),
        (["others", "faces"], [0, 1]),
        (["cats", "non-faces"], [1, 0]),
        (["dog", "cat", "emu", "cat"], [1, 0, 2, 0]),
        (["nan", "inf"], [1, 0]),
    ],
)
def test_class_ids(values, ids):
    got, notes = class_ids(values, column="c")
    assert got.tolist() == ids
    assert notes[0].startswith("Labels from c: ")


def test_the_positive_class_can_be_named():
    got, notes = class_ids(["a", "b", "c", "b"], column="x", positive="b")
    assert got.tolist() == [0, 1, 0, 1]
    assert notes == ("Labels from x: b = 1, all others = 0",)
    assert class_ids([0, 2, 1], column="x", positive="2")[0].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("values", "positive", "error", "words"),
    [
        ([1, None], None, DataError, "none in row 1 of 'c'"),
        ([1.0, float("nan")], None, DataError, "none in row 1"),
        ([1, -2], None, DataError, "got -2 in 'c'"),
        (["a", "b"], "x", InputError, r"\(a, b\); got 'x'"),
    ],
)
def test_columns_that_are_no_labels(values, positive, error, words):
    with pytest.raises(error, match=words):
        class_ids(values, column="c", positive=positive)


def made(label=None, **columns):
    return Source("made", ["a", "b"], lambda: iter([b"", b""]), pa.table(columns), [], label)


def labels(source, **options):
    options = {"label": None, "label_column": None, "positive": None} | options
    return source.labels(**options)[0].tolist()


def test_options_come_before_what_the_source_says():
    source = made(label="x", x=[0, 1], y=["p", "q"])
    assert labels(source) == [0, 1]
    assert labels(source, label=0) == [0, 0]
    assert labels(source, label_column="y") == [0, 1]
    assert labels(source, label_column="y", positive="p") == [1, 0]
    assert labels(made(label=1)) == [1, 1]


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (made(), {}, DataError, r"label=1 \(positives\)"),
        (made(x=[0, 1]), {"label": 1, "label_column": "x"}, InputError, "Give label, or the others"),
        (made(x=[0, 1]), {"label": -1}, InputError, "≥ 0"),
        (made(x=[0, 1]), {"label_column": "y"}, InputError, "one of x; got 'y'"),
        (made(label=1), {"positive": "face"}, InputError, "label_column as well"),
    ],
)
def test_contradictions_are_refused(source, options, error, words):
    with pytest.raises(error, match=words):
        labels(source, **options)


def test_pictures_below_follows_links_but_not_in_circles(tmp_path, write):
    write(tmp_path / "b" / "2.PNG", format="PNG")
    write(tmp_path / "b" / "deep" / "1.jpg")
    write(tmp_path / ".hidden" / "3.jpg")
    write(tmp_path / "b" / "._4.jpg")
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    write(outside / "5.jpg")
    (tmp_path / "linked").symlink_to(outside)
    names = [str(found.relative_to(tmp_path)) for found in pictures_below(tmp_path)]
    assert names == ["b/2.PNG", "b/deep/1.jpg", "linked/5.jpg"]
    with pytest.raises(DataError, match="list"):
        pictures_below(tmp_path / "nowhere")


def test_csv_keeps_text_and_knows_missing(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("\ufeffpath,code,n\n001,NA,1\n002,,\n", encoding="utf-8")
    table = read_csv(file, text=["path"])
    assert table.to_pydict() == {"path": ["001", "002"], "code": ["NA", None], "n": [1, None]}
    file.write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_csv(file, text=["path"])
    file.write_text("")
    with pytest.raises(DataError, match="header"):
        read_csv(file)
