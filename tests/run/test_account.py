"""The plain facts of a record."""

import time

import numpy as np
import pytest

import equipoise
from equipoise.data import ImageTable
from equipoise.run.account import data_record, peak_rss_bytes, timing_record, versions


def table(labels, **columns):
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    return ImageTable.from_arrays(images, np.array(labels, np.int64), columns)


def test_sides_are_counted_apart_and_groups_among_positives_alone():
    train = table([1, 1, 1, 0, 0], skin=["dark", "light", "light", "dark", "dark"])
    test = table([1, 0], hat=["yes", "no"])
    found = data_record(
        {"train": train, "validation": train.take(np.array([], np.int64)), "test": test},
        {"data": "faces.csv"},
        ["skin", "hat"],
    )
    assert found.counts == {
        "train": {"positives": 3, "negatives": 2},
        "test": {"positives": 1, "negatives": 1},
    }
    assert found.group_counts == {
        "train": {"skin": {"dark": 1, "light": 2}},
        "test": {"hat": {"no": 0, "yes": 1}},
    }
    assert found.fingerprint == {"train": train.fingerprint, "test": test.fingerprint}
    assert found.sources == {"data": "faces.csv"}
    assert found.rejected == 0


def test_versions_are_of_what_numbers_depend_on():
    assert {"python", "torch", "numpy", "lightning-fabric"} <= versions().keys()
    assert versions()["equipoise"] == equipoise.__version__


def test_speed_is_steps_a_second_and_0_where_nothing_was_trained():
    assert timing_record(time.perf_counter(), steps=30, seconds=1.5).steps_per_s == 20
    idle = timing_record(time.perf_counter() - 3, steps=0, seconds=0.0)
    assert idle.steps_per_s == 0
    assert 3 <= idle.wall_s < 60


@pytest.mark.slow
def test_memory_is_in_bytes_and_grows_with_what_is_held():
    before = peak_rss_bytes()
    assert 20 * 2**20 < before < 2**40
    held = np.ones(before // 8 // 2 + (200 << 17))  # more than half of it, and 200 MiB
    assert peak_rss_bytes() >= before
    assert held.size
    assert peak_rss_bytes() == pytest.approx(peak_rss_bytes(), rel=0.1)


def test_of_many_classes_all_images_are_counted_by_class_and_group():
    images = np.zeros((6, 8, 8, 3), np.uint8)
    table = ImageTable.from_arrays(images, [0, 1, 2, 2, 2, 1], {"site": ["a", "a", "a", "b", None, "b"]})
    found = data_record({"test": table}, {}, ["site", "label"])
    assert found.counts == {"test": {"0": 1, "1": 2, "2": 3}}
    assert found.group_counts["test"]["site"] == {"(missing)": 1, "a": 3, "b": 2}
    assert found.group_counts["test"]["label"] == {"0": 1, "1": 2, "2": 3}
