import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import MVE, Dropout, Ensemble, Histogram
from equipoise.risk.disagreement import disagreement
from equipoise.risk.ensemble import bootstrap_weights, fresh_copy


def net(outputs: int = 1) -> nn.Module:
    return nn.Sequential(nn.Linear(1, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, outputs))


def line(count: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.linspace(-1, 1, count)[:, None]
    return x, torch.sin(3 * x)


def train(model, loss_of, parameters, steps=60):
    optimizer = torch.optim.Adam(parameters, 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def test_risk_is_the_spread_of_the_members_and_grows_away_from_the_data():
    torch.manual_seed(0)
    x, y = line()
    model = net()
    train(model, lambda m: mse_loss(m(x), y), model.parameters())
    wrapped = Ensemble(members=4)(model.eval(), task="regression").fit(
        [(x, y)], epochs=80, learning_rate=0.01
    )
    wrapped.eval()
    others = wrapped.methods["ensemble"].others
    assert len(others) == 3
    far = 4 * torch.sign(x)
    for at in (x, far):
        votes = torch.stack([model(at), *(other(at) for other in others)])
        prediction, risk = wrapped(at, return_risk=True)
        torch.testing.assert_close(risk.epistemic, votes.std(0, correction=0)[:, 0])
        assert torch.equal(prediction, model(at))
    assert (wrapped(far, return_risk=True)[1].epistemic).mean() > 3 * wrapped(x, return_risk=True)[
        1
    ].epistemic.mean()


def test_a_member_is_trained_as_it_would_be_alone():
    x, y = line()
    torch.manual_seed(0)
    wrapped = Ensemble(members=3)(net(), task="regression", example=x[:2]).train()
    twins = copy.deepcopy(wrapped.methods["ensemble"].others)

    def together(model):
        prediction, extra = model(x, return_loss=True, targets=y)
        return mse_loss(prediction, y) + extra

    train(wrapped, together, wrapped.parameters(), steps=5)
    for twin, member in zip(twins, wrapped.methods["ensemble"].others, strict=True):
        train(twin, lambda m: mse_loss(m(x), y), twin.parameters(), steps=5)
        for (name, mine), its in zip(twin.state_dict().items(), member.state_dict().values(), strict=True):
            torch.testing.assert_close(mine, its, msg=name)


def test_members_start_apart_from_the_seed_alone():
    torch.manual_seed(0)
    model = net()
    state = torch.get_rng_state()

    def starts(seed):
        return [
            p[0].weight
            for p in Ensemble(seed=seed)(model, task="regression", example=torch.ones(2, 1))
            .methods["ensemble"]
            .others
        ]

    first = starts(0)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert all(torch.equal(*pair) for pair in zip(first, starts(0), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(first, starts(1), strict=True))
    assert len({tuple(weight.flatten().tolist()) for weight in [*first, model[0].weight]}) == 5


def test_fresh_copies_keep_what_is_frozen():
    torch.manual_seed(0)
    model = net()
    with torch.no_grad():
        model[1].running_mean.fill_(5)
    model[0].requires_grad_(False)
    fresh = fresh_copy(model, 1)
    assert torch.equal(fresh[0].weight, model[0].weight)
    assert not torch.equal(fresh[3].weight, model[3].weight)
    assert not fresh[1].running_mean.any()
    assert not fresh[0].weight.requires_grad
    wrapped = Ensemble(members=2)(model, task="regression").fit(
        [line()]
    )  # where all of the model is frozen meanwhile
    member = wrapped.methods["ensemble"].others[0]
    assert torch.equal(member[0].weight, model[0].weight)
    assert not torch.equal(member[3].weight, fresh[3].weight)
    assert (
        nn.MultiheadAttention(4, 2).in_proj_weight.shape
        == fresh_copy(nn.MultiheadAttention(4, 2), 0).in_proj_weight.shape
    )


def test_layers_that_cannot_start_anew_are_named():
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.fc = nn.Parameter(torch.zeros(1)), nn.Linear(1, 2)

        def forward(self, x):
            return self.fc(x + self.token)

    outer = nn.Sequential(Token())
    with pytest.raises(InputError, match=r"0 \(Token\).*Ensemble\(make=.*Ensemble.of"):
        Ensemble()(outer, example=torch.ones(2, 1))
    made = Ensemble(members=3, make=lambda: nn.Sequential(Token()))(outer, example=torch.ones(2, 1))
    one, other = made.methods["ensemble"].others
    assert not torch.equal(one[0].fc.weight, other[0].fc.weight)
    with pytest.raises(InputError, match="gave the same"):
        Ensemble(make=lambda: outer)(outer, example=torch.ones(2, 1))
    with pytest.raises(InputError, match=r"\(2, 2\), as the model does; got \(2, 3\)"):
        Ensemble(make=lambda: nn.Linear(1, 3))(outer, example=torch.ones(2, 1))


def test_bootstrap_weights_are_poisson_and_stay_with_the_sample():
    torch.manual_seed(0)
    pictures = torch.rand(20_000, 1, 3, 3)
    weights = bootstrap_weights(pictures, 1)
    assert float(weights.mean()) == pytest.approx(1, abs=0.03)
    assert float(weights.var()) == pytest.approx(1, abs=0.05)
    assert float((weights == 0).float().mean()) == pytest.approx(0.368, abs=0.015)
    order = torch.randperm(len(pictures))
    assert torch.equal(bootstrap_weights(pictures[order], 1), weights[order])
    assert torch.equal(bootstrap_weights(pictures[:7], 1), weights[:7])
    other = bootstrap_weights(pictures, 2)
    assert abs(float(torch.corrcoef(torch.stack([weights, other]))[0, 1])) < 0.03
    small = torch.tensor([[0.0], [1.0], [2.0]]).repeat(1, 5).to(torch.bfloat16)
    assert bootstrap_weights(small, 0).shape == (3,)


def test_a_bootstrapped_member_does_not_see_what_it_did_not_draw():
    torch.manual_seed(0)
    x, y = torch.randn(64, 3), torch.randint(0, 2, (64,))
    model = nn.Linear(3, 2)
    wrapped = Ensemble(members=2, bootstrap=True)(model, example=x[:1])
    _, extra = wrapped(x, return_loss=True, targets=y)
    method = wrapped.methods["ensemble"]
    weights = bootstrap_weights(x, method.seeds[0])
    naive = sum(
        float(w) * cross_entropy(method.others[0](x[i : i + 1]), y[i : i + 1]) for i, w in enumerate(weights)
    )
    torch.testing.assert_close(extra, naive / 64)
    assert (weights == 0).any()


def test_untrained_members_tell_nothing_and_need_targets():
    wrapped = Ensemble()(net(2), example=torch.ones(2, 1)).eval()
    with pytest.raises(NotFittedError, match="starting weights"):
        wrapped(torch.ones(3, 1), return_risk=True)
    with pytest.raises(InputError, match=r"Expected targets.*got none"):
        wrapped(torch.ones(3, 1), return_loss=True)
    with pytest.raises(InputError, match="at least 2"):
        Ensemble(members=1)


# of trained models


def test_trained_models_predict_together():
    torch.manual_seed(0)
    x = torch.randn(10, 1)
    for outputs, task in ((3, "multiclass"), (1, "binary"), (1, "regression")):
        models = [net(outputs).eval() for _ in range(3)]
        wrapped = Ensemble.of(models, task=None if outputs == 3 else task)
        votes = torch.stack([model(x) for model in models])
        prediction, risk = wrapped.eval()(x, return_risk=True)
        expected = disagreement(votes, task)
        torch.testing.assert_close(risk.epistemic, expected.epistemic)
        assert {f"ensemble.{name}" for name in expected.raw} == set(risk.raw)
        as_shares = {
            "multiclass": lambda v: v.softmax(-1),
            "binary": torch.sigmoid,
            "regression": lambda v: v,
        }[task]
        torch.testing.assert_close(as_shares(prediction), as_shares(votes).mean(0))
        assert torch.equal(prediction, wrapped(x))
        assert len(list(wrapped.parameters())) == 3 * len(list(models[0].parameters()))


def test_members_run_once_for_prediction_and_risk():
    calls = []
    models = [net(2).eval() for _ in range(2)]
    for model in models:
        model.register_forward_hook(lambda *_: calls.append(1))
    wrapped = Ensemble.of(models).eval()
    wrapped.build(torch.ones(2, 1))
    calls.clear()
    wrapped(torch.ones(2, 1), return_risk=True)
    assert len(calls) == 2


def test_wrapped_members_are_averaged():
    torch.manual_seed(0)
    x, y = line(200)
    members = [
        method(net(), task="regression").fit([(x, y)])
        for method in (Histogram(bins=3, queue=200), Histogram(bins=3, queue=200), MVE(hidden=4))
    ]
    wrapped = Ensemble.of(members).eval()
    assert wrapped.task == "regression"
    _, risk = wrapped(x, return_risk=True)
    told = [member(x, return_risk=True)[1] for member in members]
    torch.testing.assert_close(risk.representation, (told[0].representation + told[1].representation) / 2)
    torch.testing.assert_close(risk.aleatoric, told[2].aleatoric)
    torch.testing.assert_close(
        risk.epistemic, torch.stack([m.model(x) for m in members]).std(0, correction=0)[:, 0]
    )
    assert "ensemble.histogram.log_density" in risk.raw
    wrapped.calibrate([x])
    ranks = wrapped.percentile(risk)
    assert ((ranks.representation >= 0) & (ranks.representation <= 1)).all()
    nested = Ensemble.of([Dropout(passes=3)(net(2)), net(2)]).eval()
    assert nested(x, return_risk=True)[1].epistemic.shape == (200,)


def test_an_ensemble_of_one_or_of_the_same_is_none():
    model = net()
    for models in ([], [model], [model, model]):
        with pytest.raises(InputError, match="two or more different models"):
            Ensemble.of(models)
    with pytest.raises(InputError, match="logits or values"):
        Ensemble.of([net(), net()]).eval()(torch.ones(2, 1))


def test_members_keep_their_mode():
    assert not any(module.training for module in Ensemble.of([net().eval(), net().eval()]).modules())
    assert all(module.training for module in Ensemble.of([net(), net()]).modules())
