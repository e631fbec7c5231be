"""Where the features are: found by running the network, whatever the order in which its layers were made."""

import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.nn.taps import Tap, find_tap, named_tap, pooled, tapped
from equipoise.risk import Histogram

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def cnn(head):
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), *head
    )


class Backwards(nn.Module):
    """The head is made first, and called last."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 2)
        self.body = nn.ModuleDict({"deep": nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU())})

    def forward(self, images):
        return self.head(self.body["deep"](images))


class Bilinear(nn.Module):
    """The prediction is no layer's output."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(192, 7), nn.Linear(192, 7)

    def forward(self, images):
        flat = images.flatten(1)
        return torch.stack([self.left(flat).sum(1), self.right(flat).sum(1)], 1)


class Scaled(nn.Module):
    """A temperature and a norm come after the last layer."""

    def __init__(self):
        super().__init__()
        self.inner = cnn([nn.Flatten(), nn.Linear(6, 2)])
        self.norm = nn.LayerNorm(2)

    def forward(self, images):
        return self.norm(self.inner(images)) / 2.0


def found(model):
    model.eval()
    return find_tap(model, lambda: model(IMAGES))


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (cnn([nn.Flatten(), nn.Linear(6, 2)]), "5"),
        (cnn([nn.Flatten(), nn.Linear(6, 2), nn.LogSoftmax(1)]), "5"),
        (cnn([nn.Conv2d(6, 2, 1), nn.Flatten()]), "4"),
        (
            nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), nn.Sequential(nn.Linear(5, 2))),
            "1.0",
        ),
        (Backwards(), "head"),
        (Scaled(), "inner.5"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 2, 8))), "0"),
        (nn.Conv2d(3, 2, 8), ""),
    ],
)
def test_what_goes_into_the_last_layer_is_found(model, layer):
    assert found(model) == Tap(layer, "input")


def test_what_passes_the_tap_is_seen_and_no_hook_is_left():
    model = Backwards()
    with tapped(model, Tap("head", "input")) as into, tapped(model, Tap("body.deep.1", "output")) as out:
        model(IMAGES)
    assert torch.equal(into[0], out[0].relu())
    assert torch.equal(model.head(into[0]), model(IMAGES))
    assert len(into) == 1  # the hook is gone
    with pytest.raises(RuntimeError), tapped(model, Tap("head", "input")):
        raise RuntimeError("on purpose")
    assert not model.head._forward_pre_hooks
    found(model)
    assert not any(module._forward_hooks for module in model.modules())


def test_an_unclear_last_layer_is_an_error_that_names_the_layers():
    with pytest.raises(InputError, match=r"got 'right' with another size.*layer=\.\.\., one of: left, right"):
        found(Bilinear())
    with pytest.raises(InputError, match=r"got none that was called.*no named layers"):
        find_tap(nn.Identity(), lambda: IMAGES)


def test_of_many_layers_the_first_and_the_last_are_named():
    model = nn.Sequential(*[nn.Linear(192, 192) for _ in range(50)])
    with pytest.raises(InputError, match=r"one of: 0, 1, .*9, …, 30, .*49\.$"):
        find_tap(model, lambda: model(IMAGES.flatten(1)).sum(1))


def test_a_named_layer_gives_its_output():
    assert named_tap(Backwards(), "body.deep") == Tap("body.deep", "output")
    wrapped = Histogram(queue=50)(Backwards(), layer="body.deep.1").train()
    wrapped(IMAGES)
    wanted = wrapped.model.body["deep"][:2](IMAGES)
    assert torch.equal(wrapped.methods["histogram"].running.codes[:4], wanted)


@pytest.mark.parametrize("layer", ["haed", "", "body.5"])
def test_a_layer_that_does_not_exist_is_an_error_that_names_those_that_do(layer):
    with pytest.raises(InputError, match=r"no layer '.*'\. Choose one of: head, body, body.deep, "):
        Histogram()(Backwards(), layer=layer)


def test_a_layer_that_gives_no_float_tensor_is_refused():
    class Two(nn.Module):
        def forward(self, images):
            return images, images

    model = nn.Sequential(Two())
    with (
        pytest.raises(InputError, match="float tensor as the output of layer '0'; got tuple"),
        tapped(model, Tap("0", "output")),
    ):
        model(IMAGES)


@pytest.mark.parametrize(
    ("shape", "reduced"), [((4,), None), ((4, 5), None), ((4, 7, 5), (1,)), ((4, 5, 3, 2), (2, 3))]
)
def test_one_vector_a_sample_averages_places_and_tokens(shape, reduced):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    wanted = values.mean(reduced) if reduced else values.reshape(4, -1)
    torch.testing.assert_close(pooled(values), wanted)
    assert pooled(values.half()).dtype == torch.float32
    assert pooled(values.double()).dtype == torch.float64
