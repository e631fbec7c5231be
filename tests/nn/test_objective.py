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


def test_k_outputs_are_classes():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images, labels = torch.rand(5, 3, 2, 2), torch.tensor([0, 1, 2, 1, 0])
    model = Classifier(network, mirror=True)
    losses = model.train().losses(images, labels)
    expected = nn.functional.cross_entropy(network(images), labels)
    torch.testing.assert_close(losses.total, expected)
    assert losses.logits.shape == (5, 3)
    torch.testing.assert_close(model.eval()(images), model(images.flip(3)))
