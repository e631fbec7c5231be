"""The accuracy that is measured first, and what is said where it is not the expected one."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone
from equipoise.pictures.framing import Framing
from equipoise.report.audit.words import accuracy_line
from equipoise.run.audit.accuracy import audited_model, check_accuracy, check_expected
from equipoise.run.audit.view import Looked
from equipoise.run.model_source import ModelSource


def model(right, labels, *, expected=None, framing=None, **how):
    """Of images with labels, on which a network of as many classes is right or not."""
    labels, right = np.asarray(labels), np.asarray(right)
    classes = int(labels.max()) + 1
    table = ImageTable.from_arrays(np.zeros((len(labels), 8, 8, 3), np.uint8), labels)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, classes))
    backbone = Backbone.of(network, size=framing or Framing(8), **how)
    logits = np.eye(classes)[np.where(right, labels, (labels + 1) % classes)]
    seen = Looked("multiclass", logits, logits, np.zeros((len(labels), 5)), "last")
    source = ModelSource(network, "theirs", "theirs")
    return audited_model(source, backbone, replace(table, framing=framing), seen, expected)


def test_the_line_has_the_share_its_interval_and_the_classes_alike():
    labels = np.arange(200) >= 180
    right = np.ones(200, bool)
    right[185:] = False
    line = accuracy_line(model(right, labels.astype(int))).replace("\u202f", " ")
    assert line.startswith("accuracy 92.5 % (")
    assert ", 62.5 % with classes weighted equally" in line
    assert line.endswith("is that what you know of this model?")
    even = accuracy_line(model(np.arange(200) % 4 > 0, np.arange(200) // 4 % 2))
    assert "weighted equally" not in even


def test_what_is_expected_within_the_interval_goes_on():
    found = model(np.arange(100) < 74, np.arange(100) % 2, expected=0.7)
    check_accuracy(found, ("0", "1"))
    assert accuracy_line(found).replace("\u202f", " ").endswith("as expected, 70.0 %")


def test_what_is_not_says_what_to_check():
    found = model(
        np.arange(400) < 250, np.arange(400) % 2, expected=0.74,
        framing=Framing(8, resize=9, interpolation="bicubic"), mean=(0.5,), std=(0.25,),
    )  # fmt: skip
    with pytest.raises(InputError) as refused:
        check_accuracy(found, ("cat", "dog"))
    told = str(refused.value).replace("\u202f", " ")
    for words in (
        "74.0 % (`expect_accuracy`); measured 62.5 %",
        "resized to 9 by bicubic",
        "minus 0.5, divided by 0.25",
        "`resize`, `crop`, `mean`, `std`",
        "cat and dog",
        "weights",
        "features are kept",
    ):
        assert words in told


def test_pictures_that_nobody_framed_are_as_given():
    assert model([True, True], [0, 1]).preprocessing == "8×8 pixels, as given; RGB; pixels in [0, 1]"


@pytest.mark.parametrize("wrong", [74, -0.1, float("nan")])
def test_what_is_no_accuracy(wrong):
    with pytest.raises(InputError, match=r"share in \[0, 1\].*Write 74 % as 0.74"):
        check_expected(wrong)
