"""What a model does to its own tensors in place, after a hook has seen them."""

import pytest
import torch
from torch import nn

from equipoise.nn import embed
from equipoise.nn.taps import Tap, tapped
from equipoise.risk import VAE, Dropout, Ensemble, Histogram, Neighbours


class After(nn.Module):
    """Two layers with something between them; `keep` does the same without writing over anything."""

    def __init__(self, change, keep):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)
        self.change, self.keep, self.careful = change, keep, False

    def forward(self, x):
        return self.last((self.keep if self.careful else self.change)(self.first(x)))


def half_zeroed(x):
    x[:, :4] = 0
    return x


def view_scaled(x):
    x.view(-1)[:] *= 3
    return x


def data_shifted(x):
    x.data.add_(5)  # unseen by autograd's version counter
    return x


CASES = {
    "relu": (nn.ReLU(inplace=True), nn.ReLU()),
    "rows": (half_zeroed, lambda x: torch.cat([torch.zeros_like(x[:, :4]), x[:, 4:]], 1)),
    "view": (view_scaled, lambda x: 3 * x),
    "data": (data_shifted, lambda x: x + 5),
    "transposed": (lambda x: x.t().sigmoid_().t(), torch.sigmoid),
    "chunk": (
        lambda x: torch.cat([x.chunk(2, 1)[0].neg_(), x.chunk(2, 1)[1]], 1),
        lambda x: torch.cat([-x[:, :4], x[:, 4:]], 1),
    ),
}
INPUTS = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", CASES)
def test_features_of_a_named_layer_are_those_of_the_layer(name):
    told = []
    for careful in (True, False):
        model = After(*CASES[name]).eval()
        model.careful = careful
        wrapped = (
            Neighbours()(model, layer="first", task="multiclass", example=INPUTS[:1]).fit([INPUTS]).eval()
        )
        with torch.no_grad():
            told.append(wrapped(INPUTS, return_risk=True))
    torch.testing.assert_close(told[0][0], told[1][0])
    torch.testing.assert_close(told[0][1].representation, told[1][1].representation)


@pytest.mark.parametrize("shape", [(4, 3), (4,), (4, 5, 3), (4, 3, 2, 2), (4, 3, 1, 1)])
@pytest.mark.parametrize("side", ["input", "output"])
def test_what_was_seen_shares_no_memory_with_the_model(shape, side):
    model = nn.Sequential(nn.Identity())
    values = torch.randn(shape)
    with tapped(model, Tap("0", side)) as seen:
        model(values)
    before = seen[0].clone()
    values.fill_(9)
    assert torch.equal(seen[0], before)


def test_half_precision_too():
    model = nn.Sequential(nn.Identity())
    values = torch.ones(4, 3, dtype=torch.double)
    with tapped(model, Tap("0", "output")) as seen:
        model(values)
    values.fill_(9)
    assert (seen[0] == 1).all()


class Normalises(nn.Module):
    """Works on its own inputs in place: each further pass over the same tensor would see other pixels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.last = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x, scale=None):
        x.sub_(1).mul_(2)
        if scale is not None:
            x = x * scale["by"].add_(1)
        return self.last(self.body(x).relu())


class Careful(Normalises):
    def forward(self, x, scale=None):
        x = (x - 1) * 2
        if scale is not None:
            x = x * (scale["by"] + 1)
        return self.last(self.body(x).relu())


@pytest.mark.parametrize(
    "method",
    [Dropout(passes=4), VAE(latent=2), Ensemble(members=2), Histogram(bins=2)],
    ids=lambda m: m.label,
)
def test_inputs_that_a_model_writes_over_are_seen_as_they_were(method):
    told = []
    for kind in (Careful, Normalises):
        batch = INPUTS.clone()
        labels = torch.arange(30) % 2
        wrapped = (
            method(kind().eval(), task="multiclass", example=batch).fit([(batch, labels)], epochs=2).eval()
        )
        told.append(wrapped(batch, return_risk=True))
        assert torch.equal(batch, INPUTS)
    torch.testing.assert_close(told[0][0], told[1][0])
    for kind in ("representation", "epistemic"):
        ours, theirs = getattr(told[0][1], kind), getattr(told[1][1], kind)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs)


def test_named_inputs_too():
    scale = {"by": torch.ones(1)}
    told = [
        Dropout(passes=4)(kind().eval(), task="multiclass", example=INPUTS)(
            INPUTS.clone(), scale={"by": scale["by"].clone()}, return_risk=True
        )[1].epistemic
        for kind in (Careful, Normalises)
    ]
    torch.testing.assert_close(*told)


def test_members_do_not_see_what_others_wrote():
    models = [Normalises().eval(), Normalises().eval()]
    careful = [Careful().eval(), Careful().eval()]
    one, other = (Ensemble.of(some, task="multiclass") for some in (models, careful))
    torch.testing.assert_close(one(INPUTS.clone()), other(INPUTS.clone()))


class Reuses(nn.Module):
    """Gives the same memory each time."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.register_buffer("out", torch.zeros(30, 3))

    def forward(self, x):
        self.out.copy_(self.drop(x.flatten(1)[:, :3]))
        return self.out


def test_results_that_lie_in_the_same_memory_are_kept_apart():
    wrapped = Dropout(passes=20)(Reuses().eval(), task="regression", example=INPUTS)
    with torch.no_grad():
        assert (wrapped(INPUTS, return_risk=True)[1].epistemic > 0).all()
    pictures = (
        torch.arange(60, dtype=torch.uint8).reshape(60, 1, 1, 1).expand(60, 1, 1, 3).contiguous().numpy()
    )
    found = embed(Reuses().eval(), lambda: iter([pictures[:30], pictures[30:]]))
    assert len({float(row[0]) for row in found}) == 60
