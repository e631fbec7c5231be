"""Probabilities of a model, with logits that rank; what is not finite is refused with the row and the cause."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.train import predict


class Slope(nn.Module):
    """A logit that grows with the mean of the picture."""

    def __init__(self, slope, start):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(float(slope)))
        self.start = nn.Parameter(torch.tensor(float(start)))

    def forward(self, images):
        return self.slope * images.mean((1, 2, 3)) + self.start


class Root(Slope):
    def forward(self, images):
        return (images.mean((1, 2, 3)) - 0.01).log()


@pytest.fixture
def table():
    grey = np.arange(0, 250, 5, dtype=np.uint8)
    images = np.broadcast_to(grey[:, None, None, None], (50, 8, 8, 3)).copy()
    return ImageTable.from_arrays(
        images, np.arange(50) % 2, {"path": [f"faces/{i:02}.png" for i in range(50)]}
    )


@pytest.mark.parametrize(("slope", "start"), [(3, -1), (300, 10), (-2000, 900)])
def test_logits_tell_apart_what_probabilities_round(table, slope, start):
    found = predict(Slope(slope, start), table, device="cpu")
    assert len(np.unique(found.logits)) == 50
    assert (np.sign(slope) * np.diff(found.logits) > 0).all()
    assert ((found >= 0.5) == (found.logits >= 0)).all()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.asarray(found), 1 / (1 + np.exp(-found.logits)))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            Slope(np.nan, 0),
            r"got nan for row 0, faces/00.png \(50 of 50 images\). The cause: the model's slope holds",
        ),
        (Slope(0, np.inf), "got inf for row 0, .*the model's start holds"),
        (Root(1, 0), r"got nan for row 0, .*\(1 of 50 images\). The cause: the model's weights are finite"),
        (Slope(3e38, 3e38), r"got inf for row 7, faces/07.png .*numbers grow too large on the way"),
    ],
)
def test_what_is_not_finite_is_refused_with_the_row_and_the_cause(table, model, words):
    with pytest.raises(InputError, match=words):
        predict(model, table, device="cpu")
    assert model.training  # as it was


def test_without_paths_the_row_is_enough():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=r"for row 0 \(3 of 3 images\)"):
        predict(Root(1, 0), ImageTable.from_arrays(images, [0, 1, 0]), device="cpu")


def test_pictures_without_labels_get_what_a_table_of_them_gets(table):
    images = table.batch(np.arange(len(table)))
    assert np.array_equal(predict(Slope(3, -1), images).logits, predict(Slope(3, -1), table).logits)
    with pytest.raises(InputError):
        predict(Slope(3, -1), images.astype(float))
