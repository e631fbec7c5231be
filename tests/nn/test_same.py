"""Convolutions of stride 2 against naive twins written from TensorFlow's definition of 'same'."""

import pytest
import torch
from torch.nn import functional

from equipoise.errors import InputError
from equipoise.nn.same import (
    SameConvTranspose2d,
    TurnedConv2d,
    double,
    double_in_blocks,
    halve_turned,
    turn,
)


def documented_padding(size, kernel, stride=2):
    """tf.nn, "Notes on padding": ⌈n/s⌉ outputs, what is missing is padded, the odd pixel after."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return outputs, total // 2, total - total // 2


def naive_halve(images, weight, bias):
    """Window by window."""
    rows, top, bottom = documented_padding(images.shape[2], weight.shape[2])
    columns, left, right = documented_padding(images.shape[3], weight.shape[3])
    padded = functional.pad(images, (left, right, top, bottom))
    k = weight.shape[-1]
    result = images.new_empty(len(images), len(weight), rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = padded[:, :, 2 * i : 2 * i + k, 2 * j : 2 * j + k]
            result[:, :, i, j] = torch.einsum("bcij,ocij->bo", window, weight) + bias
    return result


def naive_double(images, weight, bias):
    """Keras's Conv2DTranspose: each pixel stamps the kernel on the padded output, whose padding is then cut off."""
    batch, _, height, width = images.shape
    _, top, bottom = documented_padding(2 * height, weight.shape[2])
    _, left, right = documented_padding(2 * width, weight.shape[3])
    k = weight.shape[-1]
    whole = images.new_zeros(batch, weight.shape[1], 2 * height + top + bottom, 2 * width + left + right)
    for i in range(height):
        for j in range(width):
            stamp = torch.einsum("bc,coij->boij", images[:, :, i, j], weight)
            whole[:, :, 2 * i : 2 * i + k, 2 * j : 2 * j + k] += stamp
    return whole[:, :, top : top + 2 * height, left : left + 2 * width] + bias[:, None, None]


def gradients(function, *tensors):
    """The result and its gradient by each tensor, under fixed weights."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    result = function(*leaves)
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(1), dtype=result.dtype)
    return result, *torch.autograd.grad((result * weights).sum(), leaves)


def random(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("channels_last", [False, True])
def test_turned_convolution_equals_the_naive_one(kernel, channels_last, generator):
    images, weight, bias = (
        random(generator, 2, 3, 8, 12),
        random(generator, 4, 3, kernel, kernel),
        random(generator, 4),
    )
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    ours = gradients(lambda x, w, b: turn(halve_turned(turn(x), w, b)), images, weight, bias)
    for mine, naive in zip(ours, gradients(naive_halve, images, weight, bias), strict=True):
        torch.testing.assert_close(mine, naive)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("form", [double, double_in_blocks])
def test_transposed_convolution_equals_the_naive_one(kernel, form, generator):
    images, weight, bias = (
        random(generator, 2, 3, 4, 6),
        random(generator, 3, 2, kernel, kernel),
        random(generator, 2),
    )
    ours = gradients(form, images, weight, bias)
    for mine, naive in zip(ours, gradients(naive_double, images, weight, bias), strict=True):
        torch.testing.assert_close(mine, naive)


@pytest.mark.parametrize("kernel", [3, 5])
def test_transposed_is_the_adjoint_of_the_convolution(kernel, generator):
    """⟨conv x, y⟩ = ⟨x, convᵀ y⟩ with one kernel: the two layers agree on where 'same' lies."""
    x, y = random(generator, 1, 3, 8, 8), random(generator, 1, 4, 4, 4)
    weight = random(generator, 4, 3, kernel, kernel)
    down = turn(halve_turned(turn(x), weight, torch.zeros(4, dtype=x.dtype)))
    up = double(y, weight, torch.zeros(3, dtype=x.dtype))
    torch.testing.assert_close((down * y).sum(), (x * up).sum())


def test_same_padding_puts_the_odd_pixel_last():
    """A kernel of ones over one lit pixel tells where the windows lie: 3×3 starts at pixels 0, 2, …"""
    lit = torch.zeros(1, 1, 4, 4)
    lit[..., 0, 0] = 1
    counts = turn(halve_turned(turn(lit), torch.ones(1, 1, 3, 3), torch.zeros(1)))
    assert counts[0, 0].tolist() == [[1, 0], [0, 0]]
    lit = lit.flip(2, 3)  # the last pixel is in the last window only, though that reaches past the end
    assert turn(halve_turned(turn(lit), torch.ones(1, 1, 3, 3), torch.zeros(1)))[0, 0].tolist() == [
        [0, 0],
        [0, 1],
    ]


def test_layers_start_glorot_uniform_with_zero_bias(generator):
    for layer in (
        TurnedConv2d(12, 24, 5, generator=generator),
        SameConvTranspose2d(12, 24, 5, generator=generator),
    ):
        limit = (6 / (25 * (12 + 24))) ** 0.5
        assert layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)
        assert not layer.bias.any()


def test_layer_in_half_precision_follows_single(generator):
    layer = SameConvTranspose2d(8, 4, 3, generator=generator)
    images = torch.rand(2, 8, 4, 4, generator=generator)
    single = layer(images)
    half = layer.to(torch.bfloat16)(images.to(torch.bfloat16))
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), single, rtol=0.05, atol=0.02)


def test_even_kernels_are_refused():
    with pytest.raises(InputError, match="odd, 3 or more; got 4"):
        TurnedConv2d(3, 3, 4)
