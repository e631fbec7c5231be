"""Pictures in their own shapes, row by row as a table of the same source has them."""

import numpy as np
import pytest
from PIL import Image

from equipoise.data import read
from equipoise.data.whole import whole_pictures
from equipoise.errors import DataError
from equipoise.pictures.framing import Framing


@pytest.fixture
def folder(tmp_path, rng):
    for i, (width, height) in enumerate([(8, 8), (30, 10), (9, 40), (20, 20)]):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        image.save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"broken")
    return tmp_path


def test_rows_are_those_of_the_table(folder):
    table = read(folder, label=1, image_size=8, max_rejected=0.5)
    pictures = whole_pictures(folder, framing=Framing(8), channels=3, least=64)
    found = dict(pictures.decoded(np.arange(len(table)), lambda text: None))
    for row, path in enumerate(table.column("path")):
        np.testing.assert_array_equal(found[row], np.asarray(Image.open(path)))
    assert [list(found), list(dict(pictures.decoded(np.array([2]), print)))] == [[0, 1, 2], [2]]


def test_large_ones_are_shrunk_and_that_is_said(folder):
    said = []
    pictures = whole_pictures(folder, framing=Framing(8), channels=1, least=10)
    found = dict(pictures.decoded(np.arange(3), said.append))
    assert [found[row].shape for row in range(3)] == [(8, 8, 1), (40, 9, 1), (10, 10, 1)]
    assert said == ["shrunk by averages over blocks of pixels, the shorter side to no less than 10"]


def test_a_picture_that_changed_meanwhile_is_an_error(folder):
    pictures = whole_pictures(folder, framing=Framing(8), channels=3, least=64)
    (folder / "2.png").write_bytes(b"gone")
    with pytest.raises(DataError, match="in its own shape"):
        dict(pictures.decoded(np.arange(3), print))
