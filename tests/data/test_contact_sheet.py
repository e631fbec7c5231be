import io

import numpy as np
import pytest
from PIL import Image

from equipoise.data import contact_sheet
from equipoise.errors import InputError


def test_every_image_stands_in_its_place():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.full((5, 4, 6, 3), 20, np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(images, columns=3, scale=2))))
    assert sheet.shape == (8 + 2 + 8, 3 * 12 + 2 * 2, 3)
    assert (sheet[:8, 14:26] == 20).all()
    assert (sheet[10:, 14:26] == 80).all()
    assert (sheet[10:, 28:] == 255).all()


def test_grey_images_become_grey_pictures():
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(np.full((1, 4, 4, 1), 7, np.uint8)))))
    assert (sheet == 7).all()


@pytest.mark.parametrize(
    ("images", "options"),
    [
        (np.zeros((0, 4, 4, 3), np.uint8), {}),
        (np.zeros((2, 4, 4, 4), np.uint8), {}),
        (np.zeros((2, 4, 4, 3)), {}),
        (np.zeros((2, 4, 4, 3), np.uint8), {"columns": 0}),
        (np.zeros((2, 4, 4, 3), np.uint8), {"scale": 0}),
    ],
)
def test_what_cannot_be_shown_is_refused(images, options):
    with pytest.raises(InputError):
        contact_sheet(images, **options)
