import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError
from equipoise.fairness.windows import boxes, resize_matrix, window_images, window_scores


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
    """Dark pictures of two sizes; faces have a bright square that only a small window is filled by."""
    rng = np.random.default_rng(0)
    images, labels, groups = [], [], []
    for i in range(60):
        height, width = ((40, 40), (60, 40))[i % 2]
        image = rng.integers(0, 30, (height, width, 3), dtype=np.uint8)
        face = i % 3 > 0
        if face:
            level = 255 if i % 4 else 140
            image[:22, :22] = level
        images.append(image)
        labels.append(int(face))
        groups.append(None if not face else ("light" if i % 4 else "dark"))
    return images, np.array(labels), Groups.from_column(groups, attribute="skin")


def test_scores_equal_the_highest_of_a_loop():
    images = pictures()[0][:3]
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
    images, sizes = pictures()[0], []

    def score(batch):
        sizes.append(len(batch))
        return brightness(batch)

    first = window_scores(images, score, image_size=16, batch_size=10)
    assert max(sizes) <= 10
    assert first == pytest.approx(window_scores(images, brightness, image_size=16, batch_size=500))


def test_detection_by_group_and_false_detections_beside_it():
    images, labels, groups = pictures()
    found = fairness.windows(images, labels, groups, brightness, threshold=0.7, image_size=16, fpr=0.1)
    assert found.groups["light"].value == 1
    assert found.groups["dark"].value == 0
    assert found.worst_group == "dark"
    assert found.variance.value == pytest.approx(2500)
    assert found.false_detections.value == 0
    assert 0 < found.accuracy.value < 1
    assert found.at_fpr.value == 1
    eager = fairness.windows(images, labels, groups, lambda b: np.ones(len(b)), image_size=16)
    assert eager.accuracy.value == 1
    assert eager.false_detections.value == 1


def test_without_other_images_false_detections_are_undefined():
    images, labels, groups = pictures()
    faces = np.flatnonzero(labels == 1)
    found = fairness.windows(
        [images[i] for i in faces], labels[faces], groups.take(faces), brightness, image_size=16
    )
    assert found.false_detections.reason == "no negatives"
    assert found.accuracy.defined


def test_what_score_returns_is_checked():
    images = pictures()[0][:2]
    with pytest.raises(InputError, match="one probability an image; got 1 for"):
        window_scores(images, lambda batch: np.array([0.5]), image_size=16)
    with pytest.raises(InputError, match="sigmoid"):
        window_scores(images, lambda batch: np.full(len(batch), 3.0), image_size=16)


def test_images_are_checked():
    with pytest.raises(InputError, match=r"must be uint8 .* got float64"):
        window_scores([np.zeros((8, 8, 3))], brightness)
    with pytest.raises(InputError, match="got 1 and 2"):
        fairness.windows([np.zeros((8, 8, 3), np.uint8)], [1, 0], Groups.from_column(["a"]), brightness)
    with pytest.raises(InputError, match=r"shares in \(0, 1\]"):
        boxes(10, 10, stride=0)
