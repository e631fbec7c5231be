import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError
from equipoise.pictures.windows import window_scores


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


def scored(images):
    return window_scores(images, brightness, image_size=16)


def test_detection_by_group_and_false_detections_beside_it():
    images, labels, groups = pictures()
    found = fairness.windows(scored(images), labels, groups, threshold=0.7, fpr=0.1)
    assert found.groups["light"].value == 1
    assert found.groups["dark"].value == 0
    assert found.worst_group == "dark"
    assert found.variance.value == pytest.approx(2500)
    assert found.false_detections.value == 0
    assert 0 < found.accuracy.value < 1
    assert found.at_fpr.value == 1
    eager = fairness.windows(np.ones(60), labels, groups)
    assert eager.accuracy.value == 1
    assert eager.false_detections.value == 1


def test_without_other_images_false_detections_are_undefined():
    images, labels, groups = pictures()
    faces = np.flatnonzero(labels == 1)
    found = fairness.windows(scored(images)[faces], labels[faces], groups.take(faces))
    assert found.false_detections.reason == "no negatives"
    assert found.accuracy.defined


def test_one_score_an_image():
    with pytest.raises(InputError, match=r"2 .*1|1 .*2"):
        fairness.windows(np.array([0.5]), [1, 0], Groups.from_column(["a", "b"]))
