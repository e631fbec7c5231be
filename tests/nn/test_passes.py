"""A network is run over any pictures in one way, by as many as memory takes, and is left where and as it was."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import affordable, passes, placed, run_over, slices


class Counting(nn.Module):
    """The mean of each picture; remembers how many came at a time. Dropout shows in which mode it ran."""

    def __init__(self, room=lambda images: images):
        super().__init__()
        self.weight, self.drop, self.room, self.came = nn.Parameter(torch.ones(())), nn.Dropout(0.5), room, []

    def forward(self, images):
        self.came.append(len(images))
        assert not torch.is_grad_enabled()
        return self.drop(self.room(images).mean((1, 2, 3))) * self.weight


def pictures(count, size=8):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def gathered(network, given, count, **how):
    out = np.full(count, np.nan)

    def keep(place, found):
        out[place] = found.numpy()

    run_over(network, given, keep, **how)
    return out


@pytest.mark.parametrize("form", ["table", "array", "function"])
def test_tables_arrays_and_functions_give_the_same(form):
    images = pictures(700)
    given = {
        "table": ImageTable.from_arrays(images, np.arange(700) % 2),
        "array": images,
        "function": lambda: (images[part] for part in slices(700, 333)),
    }[form]
    found = gathered(Counting().train(), given, 700)
    np.testing.assert_allclose(found, images.mean((1, 2, 3)) / 255, rtol=1e-5)


def test_rows_come_in_the_order_asked_for():
    images = pictures(50)
    table, rows = ImageTable.from_arrays(images, np.zeros(50, int)), np.array([30, 2, 2, 49])
    found = gathered(Counting(), table, 4, rows=rows)
    np.testing.assert_allclose(found, images[rows].mean((1, 2, 3)) / 255, rtol=1e-5)
    with pytest.raises(InputError, match="positions of a table"):
        gathered(Counting(), images, 4, rows=rows)


def test_small_pictures_come_by_512_and_an_explicit_size_wins():
    network, asked = Counting(), Counting()
    gathered(network, pictures(1100, 64), 1100)
    assert network.came == [2, 512, 512, 76]
    gathered(asked, pictures(1100, 64), 1100, batch_size=400)
    assert asked.came == [400, 400, 300]


@pytest.mark.parametrize(
    ("size", "room"),
    [
        (64, lambda x: nn.functional.interpolate(x, (96, 96))),  # large inside only
        (64, lambda x: (x[..., None] * torch.ones(3)).flatten(3)),  # not in a module of its own
        (96, lambda x: x),
    ],
)
def test_large_pictures_and_large_activations_come_in_small_batches(monkeypatch, size, room):
    monkeypatch.setattr(passes, "MEMORY", 1 << 22)
    network = Counting(room)
    found = gathered(network, pictures(40, size), 40)
    assert 1 <= max(network.came[1:]) <= 10
    assert sum(network.came[1:]) == 40
    assert np.isfinite(found).all()
    assert affordable(network, ImageTable.from_arrays(pictures(40, size), np.zeros(40, int))) == max(
        network.came[1:-1]
    )


def test_weights_are_not_activations(monkeypatch):
    monkeypatch.setattr(passes, "MEMORY", 1 << 24)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 20_000), nn.Linear(20_000, 1))
    assert affordable(network, ImageTable.from_arrays(pictures(9), np.zeros(9, int))) > 50


def test_looking_ahead_draws_nothing():
    class Noisy(nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3)) + torch.rand(len(images))

    torch.manual_seed(0)
    one = gathered(Noisy(), pictures(9), 9)
    torch.manual_seed(0)
    np.testing.assert_array_equal(one, gathered(Noisy(), pictures(9), 9, batch_size=9))


@pytest.mark.parametrize("fails", [False, True])
def test_where_and_as_it_was(fails):
    network = Counting().train()
    network.drop.eval()
    keep = (lambda place, found: 1 / 0) if fails else (lambda place, found: None)
    try:
        run_over(network, pictures(3), keep, device=torch.device("cpu"))
    except ZeroDivisionError:
        assert fails
    assert (network.training, network.drop.training) == (True, False)
    assert network.weight.device.type == "cpu"


class Moved(nn.Linear):
    """Says that it is on the device that it was last sent to; there is one here."""

    def to(self, device):
        self.sent = [*getattr(self, "sent", []), torch.device(device).type]
        return self


@pytest.mark.parametrize("fails", [False, True])
def test_a_network_goes_back_to_its_device(fails):
    network = Moved(2, 2)
    try:
        with placed(network, torch.device("meta")) as where:
            assert (where.type, network.sent) == ("meta", ["meta"])
            if fails:
                raise ValueError("on purpose")
    except ValueError:
        assert fails
    assert network.sent == ["meta", "cpu"]


def test_nothing_moves_that_is_not_told_to():
    network = Moved(2, 2)
    with placed(network) as where:
        assert where.type == "cpu"
    assert not hasattr(network, "sent")
    with placed(lambda images: images) as where:
        assert where.type == "cpu"


@pytest.mark.parametrize("size", [0, -1])
def test_no_batch_is_empty(size):
    with pytest.raises(InputError, match=f"batch_size must be at least 1; got {size}"):
        run_over(nn.Identity(), pictures(2), lambda place, found: None, batch_size=size)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (np.zeros((2, 8, 8, 3)), "float64"),
        (np.zeros((8, 8, 3), np.uint8), r"uint8 \(8, 8, 3\)"),
        (lambda: [torch.zeros(1, 8, 8, 3)], "Tensor"),
    ],
)
def test_what_are_no_pictures(given, got):
    with pytest.raises(InputError, match=f"must be uint8 arrays .* got {got}"):
        run_over(Counting(), given, lambda place, found: None)


def test_what_a_network_cannot_take_is_told_of_the_real_batch():
    def refuses(images):
        raise RuntimeError(f"{len(images)} images")

    with pytest.raises(RuntimeError, match=r"^5 images"):
        run_over(nn.Identity(), pictures(5), lambda place, found: None, call=refuses)
