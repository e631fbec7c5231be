"""`data`: what a source holds."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.run.look import described, look
from equipoise.run.sources import Sources


def many(counts, names=None, **columns):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 8, 8, 1), np.uint8)
    images[:, 0, 0, 0] = labels
    images[:, 1, 0, 0] = np.arange(len(labels)) % 256
    table = ImageTable.from_arrays(images, labels, columns)
    return replace(table, classes={name: i for i, name in enumerate(names or map(str, range(len(counts))))})


@pytest.mark.parametrize(("classes", "lines"), [(2, 2), (3, 4), (10, 11), (13, 14), (200, 14)])
def test_classes_are_told_smallest_first_and_the_rest_folded(classes, lines):
    counts = [1 + 3 * i for i in range(classes)][::-1]
    told = [line for line in described(many(counts)) if line.startswith("  ") and "copies" not in line]
    assert len(told) == lines
    if classes > 2:
        assert told[0] == f"  {classes} classes of 1 to {counts[0]:,} images, the smallest first:"
        assert told[1].split() == [str(classes - 1), "1"]
    if classes == 200:
        assert told[-1] == "    and 188 more of 37 to 598 images"
    if classes == 2:
        assert told == ["  negatives (label 0): 4", "  positives (label 1): 1"]


def test_groups_of_many_classes():
    table = many([2, 3, 4, 0], site=["a", "b", "a", "b", "b", "a", "b", "b", "b"])
    assert list(described(table, ["site"]))[-3:] == [
        "site:",
        "  a          3 images, of 3 of 3 classes, the smallest of 1",
        "  b          6 images, of 3 of 3 classes, the smallest of 1",
    ]
    assert "  1 more class is named and without images" in described(table)
    assert list(described(many([1, 1, 1], site=["a", "b", "b"])))[-1].endswith("of 2 of 3 classes")


@pytest.mark.parametrize(("counts", "shown"), [([50, 3, 50], 30), ([4] * 200, 64), ([1, 2, 3], 64)])
def test_a_sheet_shows_as_many_of_each_class(monkeypatch, tmp_path, counts, shown):
    seen = []
    room = sys.modules[look.__module__]  # the room's name is the function's
    monkeypatch.setattr(room, "contact_sheet", lambda images, columns: seen.append(images) or b"")
    look(Sources(data=many(counts)), sheet=tmp_path / "sheet.png", shown=shown, progress=False)
    labels = seen[0][:, 0, 0, 0].astype(int)  # fewer than 256 classes
    assert len(labels) == min(shown, sum(counts))
    assert (np.diff(labels) >= 0).all()
    full = np.bincount(labels, minlength=len(counts))
    fair = min(n for n, count in zip(full, counts, strict=True) if n < count) if (full < counts).any() else 0
    assert all(n == count or abs(n - fair) <= 1 for n, count in zip(full, counts, strict=True))


def test_names_with_markup_and_escapes_are_shown_as_text(tmp_path, capsys, picture):
    names = ("[red]a[/red]", "<b>b</b>", "\x1b[31mc\n")
    for row, name in enumerate(names):
        folder = tmp_path / "data" / name.replace("/", "∕")
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(picture((row, 0, 0)))
    assert main(["data", str(tmp_path / "data")]) == 0
    output = capsys.readouterr().out
    assert "3 classes of 1 image each" in output
    assert "[red]a[∕red]" in output
    assert "\x1b" not in output
    assert "�[31mc�" in output


def test_data_counts_and_draws(pictures, tmp_path, capsys):
    sheet, rejected = tmp_path / "sheet.png", tmp_path / "rejected.csv"

    broken = tmp_path / "list.csv"
    folder = Path(pictures["positives"]).parent
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    rows = [f"{folder / f'{i}.png'},1,light" for i in range(8)]
    broken.write_text("\n".join(["path,label,skin", *rows, f"{tmp_path / 'broken.png'},0,dark"]))
    flags = ["--image-size=32", "--allow-outside", "--sheet", str(sheet), "--rejected", str(rejected)]
    assert main(["data", str(broken), *flags]) == 0
    output = capsys.readouterr().out
    assert "8 images of 32×32×3" in output
    assert "light" in output
    assert "1 pictures cannot be read" in output
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert [row[0] for row in csv.reader(rejected.read_text().splitlines())] == [
        "path",
        f"…/{tmp_path.name}/broken.png",
    ]


def test_another_framing_than_usual_is_said(pictures, capsys):
    source = ["data", pictures["test_positives"], "--label-column=hat", "--image-size=24"]
    for flags, words in (
        ([], None),
        (["--squash", "--resize=bicubic"], "framed: both sides resized to 24 by bicubic"),
        (["--crop=0.8"], "framed: the shorter side resized to 30 by lanczos, the middle 24 taken"),
    ):
        assert main([*source, *flags]) == 0
        out = capsys.readouterr().out
        assert ("framed:" in out) == (words is not None)
        assert words is None or words in out
