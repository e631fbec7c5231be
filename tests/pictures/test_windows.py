import tracemalloc

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.pictures.windows import boxes, resize_matrix, window_images, window_scores


def resized(window, target):
    """Naive: area average down, bilinear up, pixel by pixel."""
    side = window.shape[0]

    def line(values):
        out = np.zeros((target, *values.shape[1:]))
        for t in range(target):
            low, high = t * side / target, (t + 1) * side / target
            if side >= target:
                for s in range(side):
                    out[t] += values[s] * max(0.0, min(high, s + 1) - max(low, s))
                out[t] /= high - low
            else:
                centre = min(max((low + high) / 2 - 0.5, 0), side - 1)
                left = int(centre)
                right = min(left + 1, side - 1)
                out[t] = values[left] * (1 - (centre - left)) + values[right] * (centre - left)
        return out

    rows = line(window.astype(float))
    return line(rows.transpose(1, 0, 2)).transpose(1, 0, 2)


def test_boxes_of_the_protocol():
    found = boxes(200, 100)
    assert [b.side for b in found] == [50, 62, 75, 88, 100]
    for places in found:
        step = round(0.2 * places.side)
        assert places.tops.tolist() == [y for y in range(200 - places.side + 1) if y % step == 0]
        assert places.lefts.tolist() == [x for x in range(100 - places.side + 1) if x % step == 0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 64), (65, 300)])
def test_boxes_lie_in_the_image(shape):
    for places in boxes(*shape):
        assert places.side >= 1
        assert places.tops.max() + places.side <= shape[0]
        assert places.lefts.max() + places.side <= shape[1]


@pytest.mark.parametrize("size", [1, 5, 8, 13, 64])
def test_resizing_keeps_a_flat_image_flat(size):
    assert resize_matrix(size, 8).sum(axis=1) == pytest.approx(np.ones(8), abs=1e-6)
    assert (resize_matrix(8, 8) == np.eye(8)).all()


@pytest.mark.parametrize("shape", [(24, 30), (13, 9)])
@pytest.mark.parametrize("target", [8, 16])
def test_windows_equal_cutting_and_resizing_one_by_one(shape, target):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    for places in boxes(*shape):
        ours = window_images(images, places, target)
        k = 0
        for top in places.tops:
            for left in places.lefts:
                for i in range(2):
                    cut = images[i, top : top + places.side, left : left + places.side]
                    assert np.abs(ours[i, k].astype(float) - resized(cut, target)).max() <= 0.51
                k += 1
        assert ours.shape[1] == k


def test_area_average_agrees_with_pillow():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    reference = np.asarray(image.fromarray(pixels).resize((16, 16), image.Resampling.BOX), dtype=float)
    whole = boxes(48, 48)[-1]
    assert np.abs(window_images(pixels[None], whole, 16)[0, 0].astype(float) - reference).max() <= 1


def brightness(batch):
    assert batch.dtype == np.uint8
    assert batch.shape[1:] == (16, 16, 3)
    return batch.mean(axis=(1, 2, 3)) / 255


def pictures():
    """Dark pictures of two sizes; most have a bright square that only a small window is filled by."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 30, (((40, 40), (60, 40))[i % 2]) + (3,), dtype=np.uint8) for i in range(60)]
    for i, image in enumerate(images):
        image[:22, :22] = 255 if i % 4 else 140
    return images


def test_scores_equal_the_highest_of_a_loop():
    images = pictures()[:3]
    ours = window_scores(images, brightness, image_size=16, batch_size=7)
    for image, score in zip(images, ours, strict=True):
        best = 0.0
        for places in boxes(*image.shape[:2]):
            for top in places.tops:
                for left in places.lefts:
                    cut = image[top : top + places.side, left : left + places.side]
                    best = max(best, brightness(np.rint(resized(cut, 16)).astype(np.uint8)[None])[0])
        assert score == pytest.approx(best, abs=0.003)


def test_batches_do_not_matter_and_stay_small():
    images, sizes = pictures(), []

    def score(batch):
        sizes.append(len(batch))
        return brightness(batch)

    first = window_scores(images, score, image_size=16, batch_size=10)
    assert max(sizes) <= 10
    assert first == pytest.approx(window_scores(images, brightness, image_size=16, batch_size=500))


def test_what_score_returns_is_checked():
    images = pictures()[:2]
    with pytest.raises(InputError, match="one probability an image; got 1 for"):
        window_scores(images, lambda batch: np.array([0.5]), image_size=16)
    with pytest.raises(InputError, match="sigmoid"):
        window_scores(images, lambda batch: np.full(len(batch), 3.0), image_size=16)


def test_images_are_checked():
    with pytest.raises(InputError, match=r"must be uint8 .* got float64"):
        window_scores([np.zeros((8, 8, 3))], brightness)
    with pytest.raises(InputError, match=r"shares in \(0, 1\]"):
        boxes(10, 10, stride=0)


@pytest.mark.parametrize("shape", [(40, 900), (900, 40)])
def test_a_long_picture_is_looked_at_in_parts(shape):
    image = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
    sizes = []

    def score(batch):
        sizes.append(len(batch))
        return brightness(batch)

    parts = window_scores([image], score, image_size=16, batch_size=9)
    assert max(sizes) <= 9
    assert sum(sizes) == sum(len(places.tops) * len(places.lefts) for places in boxes(*shape))
    assert parts == pytest.approx(
        window_scores([image], brightness, image_size=16, batch_size=10**6), abs=1e-3
    )


def test_memory_does_not_grow_with_the_length_of_a_picture():
    peaks = []
    for length in (1000, 8000):
        image = np.zeros((64, length, 3), np.uint8)
        tracemalloc.start()
        window_scores([image], brightness, image_size=16, batch_size=16)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
