"""`Logits`: one logit for two classes, one a class for more, in the order that is asked for."""

import pytest
import torch
from torch import nn

from equipoise.nn.logits import Logits


class Given(nn.Module):
    def forward(self, values):
        return {"scores": values}


@pytest.mark.parametrize(
    ("given", "order", "wanted"),
    [
        ([1.0, -2.0], None, [[1.0], [-2.0]]),
        ([[1.0], [-2.0]], [1, 0], [[-1.0], [2.0]]),
        ([[1.0, 4.0]], None, [[3.0]]),
        ([[1.0, 4.0]], [1, 0], [[-3.0]]),
        ([[1.0, 4.0, 9.0]], [2, 0, 1], [[9.0, 1.0, 4.0]]),
        ([[1.0, 4.0, 9.0]], [0, 1, 2], [[1.0, 4.0, 9.0]]),
    ],
)
def test_two_classes_are_one_logit_in_any_order(given, order, wanted):
    assert Logits(Given(), "scores", order)(torch.tensor(given)).tolist() == wanted
