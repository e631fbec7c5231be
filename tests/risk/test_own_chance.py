import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from equipoise.errors import InputError
from equipoise.risk import Dropout
from equipoise.risk.own_chance import own_chance


class Body(nn.Module):
    """Two layers and whatever a subclass does between them."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

    def between(self, x):
        return x

    def forward(self, x):
        return self.last(self.between(self.norm(self.first(x))))


class ByFunction(Body):
    def between(self, x):
        return functional.dropout(x, 0.5, self.training)


class ByPlainFunction(Body):
    def between(self, x):
        return torch.dropout(torch.alpha_dropout(x, 0.2, self.training), p=0.5, train=self.training)


class ByKeyword(Body):
    def between(self, x):
        return functional.feature_alpha_dropout(input=x[:, :, None], p=0.5, training=self.training)[:, :, 0]


class InPlace(Body):
    def between(self, x):
        functional.dropout(x, 0.5, self.training, inplace=True)
        return x


class Always(Body):
    def between(self, x):
        return functional.dropout(x)


class Guarded(Body):
    def between(self, x):
        return functional.dropout(x, 0.5) if self.training else x


class DropPath(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return x * x.new_empty(len(x), 1).bernoulli_(0.5) / 0.5


class Rounded(nn.Module):
    """Stochastic depth as it is written elsewhere."""

    def forward(self, x):
        return x * (0.5 + torch.rand(len(x), 1)).floor_() / 0.5 if self.training else x


class WithPath(Body):
    def __init__(self, path=DropPath):
        super().__init__()
        self.path = path()

    def between(self, x):
        return x + self.path(x.relu())


class LayerDrop(Body):
    def between(self, x):
        return x if self.training and random.random() < 0.5 else x.relu()


class NumpyDrop(Body):
    def between(self, x):
        return x if self.training and np.random.rand() < 0.5 else x.relu()  # noqa: NPY002


class Attention(Body):
    def __init__(self):
        super().__init__()
        self.rate = 0.5

    def between(self, x):
        tokens = x.reshape(len(x), 1, 4, 2)
        kept = functional.scaled_dot_product_attention(
            tokens, tokens, tokens, dropout_p=self.rate if self.training else 0.0
        )
        return kept.reshape(len(x), 8)


class Multihead(Body):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, dropout=0.5, batch_first=True)

    def between(self, x):
        tokens = x.reshape(len(x), 4, 2)
        return self.attention(tokens, tokens, tokens)[0].reshape(len(x), 8)


class Recurrent(Body):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 2, num_layers=2, dropout=0.5, batch_first=True)

    def between(self, x):
        return self.lstm(x.reshape(len(x), 4, 2))[0].reshape(len(x), 8)


class NormByFunction(Body):
    """Draws behind `self.training`, and normalises by function in the same module."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("variance", torch.ones(8))

    def between(self, x):
        x = functional.batch_norm(x, self.mean, self.variance, training=self.training)
        return x * torch.bernoulli(torch.full((len(x), 8), 0.5)) if self.training else x


class Gumbel(Body):
    def between(self, x):
        return functional.gumbel_softmax(x) if self.training else x.softmax(1)


class Noise(Body):
    def between(self, x):
        return x + torch.randn_like(x) if self.training else x


OWN = {
    "gumbel": Gumbel,
    "noise": Noise,
    "function": ByFunction,
    "torch function": ByPlainFunction,
    "keywords": ByKeyword,
    "in place": InPlace,
    "always": Always,
    "guarded": Guarded,
    "drop path": WithPath,
    "rounded": lambda: WithPath(Rounded),
    "python": LayerDrop,
    "numpy": NumpyDrop,
    "attention": Attention,
    "multihead": Multihead,
    "recurrent": Recurrent,
    "norm by function": NormByFunction,
}


def made(name):
    torch.manual_seed(0)
    return OWN[name]().eval()


INPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", OWN)
def test_what_a_model_draws_itself_is_used_and_nothing_is_injected(name):
    model = made(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    wrapped = Dropout(passes=40, rate=0.1)(model, task="multiclass", example=INPUTS[:1]).eval()
    method = wrapped.methods["dropout"]
    assert method.places == []
    assert method.own.found
    assert not method.own.unused
    assert "the model's own" in repr(method)
    state, python, legacy = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    if name != "always":
        assert torch.equal(wrapped(INPUTS), wrapped(INPUTS, return_risk=True)[0])
    _, risk = wrapped(INPUTS, return_risk=True)
    assert (risk.epistemic > 0).all()
    if name != "always":  # the prediction itself draws there
        assert torch.equal(state, torch.get_rng_state())
    assert python == random.getstate()
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module.training or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", OWN)
def test_a_risk_does_not_depend_on_what_else_is_in_the_batch(name):
    wrapped = Dropout(passes=10)(made(name), task="multiclass", example=INPUTS[:1]).eval()
    _, together = wrapped(INPUTS, return_risk=True)
    _, alone = wrapped(INPUTS[4:5], return_risk=True)
    torch.testing.assert_close(together.epistemic[4:5], alone.epistemic, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate"), [("function", 0.5), ("guarded", 0.5)])
def test_the_rate_is_the_models_own(name, rate):
    class Sum(OWN[name]):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(1, 200, bias=False), nn.Linear(200, 1, bias=False)
            self.norm = nn.Identity()
            nn.init.ones_(self.first.weight)
            nn.init.ones_(self.last.weight)

    wrapped = Dropout(passes=2000)(Sum().eval(), task="regression")
    _, risk = wrapped(torch.ones(1, 1), return_risk=True)
    assert float(risk.epistemic) == pytest.approx((200 * rate / (1 - rate)) ** 0.5, rel=0.06)


def test_layers_and_functions_act_together():
    class Both(ByFunction):
        def __init__(self):
            super().__init__()
            self.layer = nn.Dropout(0.5)

        def between(self, x):
            return super().between(self.layer(x))

    wrapped = Dropout(passes=5)(Both(), task="multiclass", example=INPUTS)
    method = wrapped.methods["dropout"]
    assert [place.layer for place in method.places] == ["layer"]
    assert method.own.functions == {"": (True,)}
    assert "1 dropout layers, 1 calls of dropout functions" in repr(method)


def test_a_call_that_never_acts_stays_so():
    class Off(Body):
        def between(self, x):
            return functional.dropout(functional.dropout(x, 0.5, False), 0.0, self.training)

    wrapped = Dropout(passes=3)(Off(), task="multiclass", example=INPUTS)
    method = wrapped.methods["dropout"]
    assert not method.own.found
    assert [place.layer for place in method.places] == ["last"]  # injected, and said
    assert "what goes into 1 layers at 0.1, the model leaves nothing out itself" in repr(method)


def test_what_cannot_be_used_is_said():
    class OwnGenerator(Body):
        def __init__(self):
            super().__init__()
            self.chance = np.random.default_rng(0)

        def between(self, x):
            return x if self.training and self.chance.random() < 0.5 else x.relu() if self.training else x

    class Supervised(Body):
        def forward(self, x, targets=None):
            if self.training and targets is None:
                raise ValueError("targets are needed in training")
            return super().forward(x)

    class Flagged(Body):
        """The flag belongs to the whole, the draw to a part."""

        class Part(nn.Module):
            def forward(self, x, noisy):
                return x + torch.randn_like(x) if noisy else x

        def __init__(self):
            super().__init__()
            self.part = self.Part()

        def between(self, x):
            return self.part(x, self.training)

    torch.manual_seed(3)
    for model, cause in (
        (OwnGenerator(), "a random number generator of its own"),
        (Supervised(), "does not run in training mode on inputs alone .targets are needed"),
        (Flagged(), "it draws in 'part' in training mode, and not where these alone are in it"),
    ):
        with pytest.warns(UserWarning, match=cause):
            Dropout(passes=3)(model, task="multiclass", example=INPUTS)


@pytest.mark.parametrize("hide", [torch.jit.script, lambda model: torch.compile(model, backend="eager")])
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_hides_its_layers_is_refused(hide):
    network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2)).eval()
    with pytest.raises(InputError, match="wrap the model first"):
        Dropout()(hide(network), task="multiclass", example=INPUTS)(INPUTS, return_risk=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_part_that_hides_its_layers_is_said():
    class Part(Body):
        def __init__(self):
            super().__init__()
            self.part = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)).eval())

        def between(self, x):
            return self.part(x)

    with pytest.warns(UserWarning, match="draws in the model itself"):
        Dropout(passes=3)(Part(), task="multiclass", example=INPUTS)


def test_looking_leaves_no_trace():
    torch.manual_seed(0)
    model = ByFunction().train()
    model.norm.eval()
    hidden = nn.utils.parametrizations.spectral_norm(model.first)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found = own_chance(model, lambda: model(INPUTS))
    assert found.functions == {"": (True,)}
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training
    assert hidden.training
    assert not model.norm.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_named_layers_need_no_looking():
    class Fails(Body):
        def forward(self, x):
            if self.training:
                raise ValueError("never in training")
            return super().forward(x)

    wrapped = Dropout(passes=3, layers=["norm"])(Fails(), task="multiclass", example=INPUTS)
    assert "1 named layers at 0.1" in repr(wrapped.methods["dropout"])


def test_a_model_whose_prediction_is_elsewhere_in_training_is_said():
    class Auxiliary(Body):
        def forward(self, x):
            out = super().forward(x)
            return (functional.dropout(out, 0.5), out) if self.training else out

    with pytest.warns(UserWarning, match="draws in the model itself in training mode"):
        wrapped = Dropout(passes=3)(Auxiliary(), task="multiclass", example=INPUTS)
    with pytest.raises(InputError, match="rate must be"):
        Dropout(rate=1.0)
    assert (wrapped.eval()(INPUTS, return_risk=True)[1].epistemic >= 0).all()
