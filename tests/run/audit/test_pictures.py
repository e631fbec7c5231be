"""Thumbnails of an audit: small enough for a page whatever the images are, and the right ones."""

import io
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from equipoise.data import ImageTable, contact_sheet, thumbnails
from equipoise.report.audit.record import KindRecord, RiskRecord
from equipoise.risk import IMAGE_KINDS
from equipoise.run.audit.pictures import COLUMNS, ROOM, write_audit_pictures
from equipoise.run.sheets import SIDE


def table_of(size, count=60):
    """Nothing but noise: the hardest to compress."""
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return ImageTable.from_arrays(images, np.arange(count) % 2)


def drawn(folder, table):
    """The sheets of an audit of five risks with 20 images at each end of each."""
    chance = np.random.default_rng(1)

    def rows():
        return chance.permutation(len(table))[:20].tolist()

    found = {
        f"risk_{number}": RiskRecord(
            **dict.fromkeys(field.name for field in fields(RiskRecord))
            | {"lowest": rows(), "highest": rows(), "highest_of_label": {"0": rows(), "1": rows()}}
        )
        for number in range(5)
    }
    kinds = {kind: KindRecord(None, None, rows()) for kind in IMAGE_KINDS}
    return found, write_audit_pictures(folder, table, found, kinds, ())


@pytest.mark.parametrize("size", [16, 64, 320])
def test_all_sheets_have_room_in_a_page(tmp_path, size):
    risks, files = drawn(tmp_path, table_of(size))
    assert len(files) == 5 * 4 + 5
    assert sum((tmp_path / file).stat().st_size for file in files.values()) <= ROOM
    name, one = next(iter(risks.items()))
    with Image.open(tmp_path / files[f"{name}_highest"]) as sheet:
        side = (sheet.width + 2) // COLUMNS - 2
        assert side <= min(SIDE, size)
        assert sheet.height == len(one.highest) // COLUMNS * (side + 2) - 2


def test_small_images_are_shown_as_they_are(tmp_path):
    table = table_of(16)
    risks, files = drawn(tmp_path, table)
    name, one = next(iter(risks.items()))
    assert files[f"{name}_lowest"].endswith(".png")
    sheet = np.asarray(Image.open(tmp_path / files[f"{name}_lowest"]))
    assert np.array_equal(sheet[:16, 18:34], table.batch([one.lowest[1]])[0])


def test_a_sheet_of_an_earlier_audit_does_not_stay(tmp_path):
    _, first = drawn(tmp_path, table_of(16))
    _, second = drawn(tmp_path, table_of(160))
    assert set(first) == set(second)
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {
        file.rpartition("/")[2] for file in second.values()
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_a_thumbnail_is_the_mean_of_areas(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12, channels), dtype=np.uint8)
    small = thumbnails(images, 4)
    assert small.shape == (2, 4, 4, channels)
    means = images.reshape(2, 4, 3, 4, 3, channels).mean((2, 4))
    assert np.abs(small - means).max() <= 1  # rounded twice
    assert thumbnails(images, 12) is images


def test_a_sheet_as_jpeg():
    sheet = Image.open(io.BytesIO(contact_sheet(np.full((3, 8, 8, 3), 90, np.uint8), quality=80)))
    assert sheet.format == "JPEG"
    assert np.abs(np.asarray(sheet)[:8, :8].astype(int) - 90).max() < 6
