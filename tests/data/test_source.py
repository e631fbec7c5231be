"""Labels that a source and an option say, and pictures below a folder."""

import os

import pyarrow as pa
import pytest

from equipoise.data.source import Source, pictures_below
from equipoise.errors import DataError, InputError


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
    write(tmp_path / "b" / "deep" / ".kept" / "5.jpg")
    (tmp_path / "linked").symlink_to(tmp_path / "b" / "deep" / ".kept")
    names = [os.path.relpath(found, tmp_path) for found in pictures_below(tmp_path)]
    assert names == ["b/2.PNG", "b/deep/1.jpg", "linked/5.jpg"]
    with pytest.raises(DataError, match="list"):
        pictures_below(tmp_path / "nowhere")
