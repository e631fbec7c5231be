import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from equipoise.nn import Classifier


@pytest.mark.parametrize("shape", [(6, 1), (6,)])
def test_classifier_takes_either_logit_shape(shape, generator):
    logits = torch.randn(6, generator=generator)

    class Fixed(nn.Module):
        def forward(self, images):
            return logits.reshape(shape)

    labels = torch.tensor([1, 0, 1, 1, 0, 0])
    losses = Classifier(Fixed()).losses(torch.zeros(6, 3, 2, 2), labels)
    torch.testing.assert_close(losses.total, binary_cross_entropy_with_logits(logits, labels.float()))
    assert losses.codes is None
    assert list(losses.parts) == ["classification"]
