import math

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.risk import Dropout
from equipoise.risk.disagreement import disagreement, joint_prediction
from equipoise.risk.dropout import thinned


def line(width: int = 200) -> nn.Module:
    """Sums features that are all 1, of inputs that are 1: dropout has a known variance."""
    model = nn.Sequential(nn.Linear(1, width, bias=False), nn.Linear(width, 1, bias=False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model.eval()


def test_spread_is_that_of_the_binomial():
    wrapped = Dropout(passes=4000, rate=0.3)(line(), task="regression")
    _, risk = wrapped(torch.ones(1, 1), return_risk=True)
    # a sum of 200 terms that are 0 or 1/0.7
    assert float(risk.epistemic) == pytest.approx(math.sqrt(200 * 0.3 / 0.7), rel=0.04)


def test_thinning_keeps_the_mean():
    generator = np.random.default_rng(0)
    values = thinned(torch.ones(2, 100_000), 0.2, (1, 100_000), generator)
    assert torch.equal(values[0], values[1])
    assert set(values.unique().tolist()) == {0.0, 1.25}
    assert float(values.mean()) == pytest.approx(1, abs=0.01)


def test_the_first_layer_is_left_alone_but_the_only_one_is_not():
    torch.manual_seed(0)
    two = Dropout()(
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm((4,)), nn.Linear(4, 2)), example=torch.ones(1, 3)
    )
    assert [tuple(place) for place in two.methods["dropout"].places] == [("2", "input")]
    one = Dropout()(nn.Linear(3, 2))
    assert (one(torch.randn(5, 3), return_risk=True)[1].epistemic > 0).all()


def test_layers_are_found_in_the_order_of_calls():
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.middle, self.first = nn.Linear(4, 2), nn.Linear(4, 4), nn.Linear(3, 4)
            self.never = nn.Linear(9, 9)

        def forward(self, x):
            return self.last(self.middle(self.first(x)))

    wrapped = Dropout()(Reversed(), example=torch.ones(1, 3))
    assert [place.layer for place in wrapped.methods["dropout"].places] == ["middle", "last"]


@pytest.mark.parametrize(
    "own",
    [nn.Dropout(0.4), nn.AlphaDropout(0.4), nn.FeatureAlphaDropout(0.4), nn.Dropout1d(0.4), nn.Dropout(1.0)],
)
def test_own_dropout_is_what_the_layer_does_in_training(own):
    """Moments over many draws agree with PyTorch's layer in training mode."""
    torch.manual_seed(0)
    values = torch.randn(1, 40, 3)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = own
            self.unused = nn.Linear(1, 1)

        def forward(self, x):
            return self.drop(x).flatten(1)

    drawn = []
    wrapped = Dropout(passes=2000)(
        Model().eval(), output=lambda y: drawn.append(y.detach()) or y, task="regression"
    )
    wrapped.build(values)
    drawn.clear()
    wrapped(values, return_risk=True)
    ours = torch.stack(drawn[1:])
    theirs = torch.stack([own.train()(values).flatten(1) for _ in range(2000)])
    assert len(ours) == 2000
    torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=0.3, rtol=0)
    torch.testing.assert_close(ours.std(0), theirs.std(0), atol=0.2, rtol=0)
    assert float((ours == 0).float().mean()) == pytest.approx(float((theirs == 0).float().mean()), abs=0.02)


def test_own_dropout_goes_before_injected():
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 2))
    wrapped = Dropout()(model, example=torch.ones(1, 3))
    assert [tuple(place) for place in wrapped.methods["dropout"].places] == [("1", "output")]
    named = Dropout(layers=["2", "3"])(model, example=torch.ones(1, 3))
    assert [tuple(place) for place in named.methods["dropout"].places] == [("2", "output"), ("3", "output")]
    assert (named(torch.randn(4, 3), return_risk=True)[1].epistemic > 0).all()


def test_whole_channels_are_left_out():
    seen = []

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 5, 1), nn.Conv2d(5, 2, 1)

        def forward(self, x):
            maps = self.first(x)
            handle = self.second.register_forward_pre_hook(lambda module, given: seen.append(given[0] / maps))
            logits = self.second(maps).mean((2, 3))
            handle.remove()
            return logits

    Dropout(passes=30, rate=0.5)(Model())(torch.rand(2, 1, 4, 4) + 1, return_risk=True)
    ratios = torch.stack(seen[-30:]).detach()
    assert (
        ratios.amax((1, 3, 4)) - ratios.amin((1, 3, 4)) < 1e-5
    ).all()  # the same for all samples and places
    assert float((ratios == 0).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_batch_norm_modes_and_chance_stay_in_training_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    wrapped = Dropout(passes=3)(model, example=torch.randn(4, 3))
    inputs = torch.randn(16, 3)
    once = nn.BatchNorm1d(8)
    once(model[0](inputs))
    state = torch.get_rng_state()
    wrapped(inputs, return_risk=True)
    assert torch.equal(model[1].running_mean, once.running_mean)  # one batch: the prediction's own
    assert int(model[1].num_batches_tracked) == 1
    assert all(module.training for module in model.modules())
    torch.set_rng_state(state)
    model(inputs)  # a prediction draws once, the passes nothing
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    wrapped(inputs, return_risk=True)
    assert torch.equal(after, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_fused_transformer_layers_do_not_hide_dropout():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(32, 3)).eval()
    _, risk = Dropout()(model)(torch.randn(6, 4, 8), return_risk=True)
    assert (risk.epistemic > 1e-6).all()
    assert torch.backends.mha.get_fastpath_enabled()


def test_seeds_differ_and_repeat():
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(5, 3)
    one, same, other = (Dropout(seed=s)(model)(inputs, return_risk=True)[1].epistemic for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_risk_is_higher_where_nothing_was_learned():
    torch.manual_seed(0)
    x = torch.rand(400, 1) * 2 - 1
    model = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        (model(x) - x.sin()).square().mean().backward()
        optimizer.step()
    wrapped = Dropout()(model.eval(), task="regression")
    near, far = (wrapped(at, return_risk=True)[1].epistemic.mean() for at in (x, 5 * torch.sign(x)))
    assert far > 2 * near


def test_errors_say_what_to_do():
    for arguments, match in (
        ({"passes": 1}, "at least 2"),
        ({"rate": 0.0}, r"in \(0, 1\)"),
        ({"rate": 1.0}, r"in \(0, 1\)"),
        ({"layers": "fc"}, "list of names"),
        ({"layers": []}, "list of names"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(InputError, match=match):
            Dropout(**arguments)
    with pytest.raises(InputError, match="no layer 'fc'"):
        Dropout(layers=["fc"])(nn.Linear(2, 2), example=torch.ones(1, 2))
    with pytest.raises(InputError, match="layers with weights"):
        Dropout()(nn.Softmax(1), example=torch.ones(1, 2))
    with pytest.raises(InputError, match="task='binary'"):
        Dropout()(nn.Linear(2, 1), example=torch.ones(1, 2))

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.drop = nn.Linear(2, 2), nn.Dropout(0.5)

        def forward(self, x):
            return self.fc(x)

    with pytest.raises(InputError, match="none of drop was called"):
        Dropout()(Idle())(torch.ones(1, 2), return_risk=True)


# the common formula


def test_mutual_information_is_the_difference_of_entropies():
    torch.manual_seed(0)
    logits = 3 * torch.randn(7, 20, 4)
    shares = logits.double().softmax(2)

    def entropy(p):
        return -(p * p.log()).sum(-1)

    risk = disagreement(logits, "multiclass")
    naive = entropy(shares.mean(0)) - entropy(shares).mean(0)
    torch.testing.assert_close(risk.epistemic.double(), naive, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        risk.raw["predictive_entropy"].double(), entropy(shares.mean(0)), atol=1e-6, rtol=1e-5
    )
    two = torch.stack([torch.zeros(7, 20), logits[..., 0]], 2)
    for shape in ((7, 20), (7, 20, 1)):
        binary = disagreement(logits[..., 0].reshape(shape), "binary")
        torch.testing.assert_close(binary.epistemic, disagreement(two, "multiclass").epistemic)


def test_known_disagreements():
    sure = torch.tensor([[[100.0, 0.0]], [[0.0, 100.0]]])
    assert float(disagreement(sure, "multiclass").epistemic) == pytest.approx(math.log(2))
    assert float(disagreement(torch.zeros(3, 1, 2), "multiclass").epistemic) == 0
    assert float(disagreement(torch.tensor([[1.0], [3.0]]), "regression").epistemic) == 1
    several = torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]]])
    assert float(disagreement(several, "regression").epistemic) == pytest.approx(math.sqrt(0.5))
    close = torch.tensor([[[20.0, 0.0]], [[20.001, 0.0]]])
    assert (
        0 < float(disagreement(close, "multiclass").epistemic) < 1e-12
    )  # single precision would say 0 or noise
    with pytest.raises(InputError, match="finite"):
        disagreement(torch.full((2, 1), torch.nan), "regression")
    with pytest.raises(InputError, match="at least two classes"):
        disagreement(torch.zeros(2, 3, 1), "multiclass")


def test_joint_prediction_is_the_mean_of_probabilities():
    torch.manual_seed(0)
    logits = torch.randn(5, 9, 3)
    joint = joint_prediction(logits, "multiclass")
    torch.testing.assert_close(joint.softmax(1), logits.softmax(2).mean(0))
    for one in (logits[..., 0], logits[..., :1]):
        torch.testing.assert_close(joint_prediction(one, "binary").sigmoid(), one.sigmoid().mean(0))
    assert torch.equal(joint_prediction(logits, "regression"), logits.mean(0))
