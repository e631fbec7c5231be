"""The contact sheets of `debias`."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.data import ImageTable
from equipoise.run.pictures import ROOM, write_pictures


class Inverting:
    """Remembers the negative of a picture."""

    def reconstruct(self, images):
        return 1 - images


@pytest.fixture
def table():
    """Positives at even rows, each of one brightness, its row times ten and 5."""
    images = (np.arange(20, dtype=np.uint8) * 10 + 5)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    return ImageTable.from_arrays(images, (np.arange(20) + 1) % 2)


def shown(path):
    """Brightness of each picture of a sheet."""
    sheet = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))
    places = [range(0, length, 10) for length in sheet.shape]
    return [int(sheet[y + 4, x + 4]) for y in places[0] for x in places[1] if sheet[y + 4, x + 4] != 255]


def test_the_least_common_positive_comes_first_and_the_most_common_on_the_other_sheet(table, tmp_path):
    commonness = np.array([5.0, 1, 9, 2, 8, 3, 7, 4, 6, 0])  # of rows 0, 2, 4 …
    found = write_pictures(tmp_path, object(), table, table, (table.positives, commonness), seed=0)
    assert found == {
        "least_represented": "pictures/least_represented.png",
        "most_represented": "pictures/most_represented.png",
    }
    assert shown(tmp_path / found["least_represented"]) == [185, 25, 65, 105, 145]
    assert shown(tmp_path / found["most_represented"]) == [45, 85, 125, 165, 5]


def test_reconstructions_stand_below_their_pictures(table, tmp_path):
    found = write_pictures(tmp_path, Inverting(), table, table, None, seed=0)
    assert list(found) == ["reconstructions"]
    tiles = shown(tmp_path / found["reconstructions"])
    half = len(tiles) // 2
    assert half == 8
    assert all(abs(a + b - 255) <= 1 for a, b in zip(tiles[:half], tiles[half:], strict=True))
    assert all(tile % 20 == 5 for tile in tiles[:half])  # positives alone


def test_nothing_told_and_nothing_remembered_makes_no_sheet(table, tmp_path):
    assert write_pictures(tmp_path, torch.nn.Identity(), table, table, None, seed=0) == {}
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("classes", [2, 9])
def test_sheets_of_large_noise_leave_room_in_a_page_of_two_megabytes(tmp_path, classes):
    images = np.random.default_rng(0).integers(0, 256, (72, 224, 224, 3), dtype=np.uint8)
    noise = ImageTable.from_arrays(images, np.arange(72) % classes)
    rows = noise.positives if classes == 2 else np.arange(72)
    found = write_pictures(tmp_path, Inverting(), noise, noise, (rows, rows.astype(float)), seed=0)
    assert set(found) >= {"least_represented", "most_represented"}
    assert sum((tmp_path / file).stat().st_size for file in found.values()) <= ROOM
