import pytest
import torch
from torch.nn import functional

from equipoise.errors import InputError
from equipoise.nn import StandardCNN


def plain_twin(model, images):
    """The lab's network in evaluation mode, padding by hand, from the model's own weights."""
    for stage in model.stages:
        convolution, _, norm = stage
        padding = (1, 2, 1, 2) if convolution.weight.shape[-1] == 5 else (0, 1, 0, 1)
        images = functional.conv2d(
            functional.pad(images, padding), convolution.weight, convolution.bias, stride=2
        )
        images = functional.batch_norm(
            images.relu(),
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            training=norm.training,
            eps=1e-3,
        )
    hidden = functional.relu(
        functional.linear(images.permute(0, 2, 3, 1).flatten(1), model.hidden.weight, model.hidden.bias)
    )
    return functional.linear(hidden, model.output.weight, model.output.bias)


@pytest.mark.parametrize("training", [False, True])
def test_equals_its_plain_twin_with_gradients(training, generator):
    model = StandardCNN(3, width=3, hidden=8, image_size=32, generator=generator).double()
    images = torch.rand(4, 3, 32, 32, generator=generator, dtype=torch.float64)
    model(images)
    model.train(training)
    weights = list(model.parameters())
    ours, twin = plain_twin(model, images), model(images)
    torch.testing.assert_close(ours, twin)
    for mine, theirs in zip(
        torch.autograd.grad(ours.square().sum(), weights),
        torch.autograd.grad(twin.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_the_labs_network():
    model = StandardCNN()
    shapes = [tuple(stage[0].weight.shape) for stage in model.stages]
    assert shapes == [(12, 3, 5, 5), (24, 12, 5, 5), (48, 24, 3, 3), (72, 48, 3, 3)]
    assert model.hidden.weight.shape == (512, 1152)
    assert model.output.weight.shape == (1, 512)
    norm = model.stages[0][2]
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)
    assert sum(weight.numel() for weight in model.parameters()) == 640_889


def test_features_without_outputs(generator):
    model = StandardCNN(None, width=2, hidden=7, image_size=32, generator=generator)
    images = torch.rand(2, 3, 32, 32, generator=generator)
    assert model(images).shape == (2, 7)
    assert (model(images) >= 0).all()


def test_stored_pictures_are_refused_with_advice():
    model = StandardCNN(width=2, image_size=32)
    with pytest.raises(InputError, match=r"float in \[0, 1\].*got torch.uint8.*equipoise.nn.pixels"):
        model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"got torch.float32 \(1, 32, 32, 3\)"):
        model(torch.zeros(1, 32, 32, 3))


def test_outputs_must_be_positive():
    with pytest.raises(InputError, match="outputs must be 1 or larger; got 0"):
        StandardCNN(0)
