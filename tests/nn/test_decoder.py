import pytest
import torch
from torch.nn import functional

from equipoise.errors import InputError
from equipoise.nn import Decoder
from equipoise.nn.same import double


@pytest.mark.parametrize(
    ("output", "activation"), [("relu", torch.relu), ("linear", None), ("sigmoid", torch.sigmoid)]
)
def test_equals_its_plain_twin(output, activation, generator):
    model = Decoder(5, width=3, image_size=32, output=output, generator=generator).double()
    codes = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    images = functional.linear(codes, model.dense.weight, model.dense.bias).relu()
    images = images.reshape(4, 2, 2, 18).permute(0, 3, 1, 2)
    convolutions = [stage for stage in model.stages if hasattr(stage, "weight")]
    for i, convolution in enumerate(convolutions):
        images = double(images, convolution.weight, convolution.bias)
        if i < len(convolutions) - 1:
            images = images.relu()
    torch.testing.assert_close(model(codes), activation(images) if activation else images)


def test_the_labs_decoder():
    model = Decoder(100)
    shapes = [tuple(stage.weight.shape) for stage in model.stages if hasattr(stage, "weight")]
    assert shapes == [(72, 48, 3, 3), (48, 24, 3, 3), (24, 12, 5, 5), (12, 3, 5, 5)]
    assert model.dense.weight.shape == (1152, 100)
    assert model(torch.zeros(2, 100)).shape == (2, 3, 64, 64)


def test_output_ranges(generator):
    codes = 10 * torch.randn(8, 5, generator=generator)
    images = {
        name: Decoder(5, width=3, image_size=32, output=name)(codes) for name in ("relu", "linear", "sigmoid")
    }
    assert images["relu"].min() == 0
    assert images["linear"].min() < 0
    assert images["sigmoid"].min() > 0
    assert images["sigmoid"].max() < 1


def test_no_codes_give_no_images():
    assert Decoder(5, width=2, image_size=32)(torch.empty(0, 5)).shape == (0, 3, 32, 32)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="output must be one of relu, linear, sigmoid; got 'tanh'"):
        Decoder(5, output="tanh")
    with pytest.raises(InputError, match="latent must be 1 or larger; got 0"):
        Decoder(0)
