import pytest
import torch
from torch import nn

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import MVE, VAE, Compose, Dropout, Histogram, LastLayer, Neighbours


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def data(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, 4), torch.randint(0, 3, (count,))


def test_each_says_what_it_says_alone():
    model, (x, y) = network(), data()
    methods = {"histogram": Histogram(bins=3, queue=200), "dropout": Dropout(passes=3), "mve": MVE(hidden=4)}

    def fitted(method):
        return method(model).fit([(x, y)], generator=torch.Generator().manual_seed(0)).eval()

    together = fitted(Compose(*methods.values()))
    _, risk = together(x, return_risk=True)
    for kind, name in zip(("representation", "epistemic", "aleatoric"), methods, strict=True):
        alone = fitted(methods[name])(x, return_risk=True)[1]
        torch.testing.assert_close(getattr(risk, kind), getattr(alone, kind))
        for score, values in alone.raw.items():
            torch.testing.assert_close(risk.raw[score], values)
    assert list(together.methods) == list(methods)


def test_all_see_one_pass_of_the_model():
    model, (x, y) = network(), data()
    wrapped = Compose(Neighbours(k=3), LastLayer(), MVE(hidden=4))(model)
    wrapped.fit([(x, y)]).eval()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    wrapped(x, return_risk=True)
    assert len(calls) == 1


def test_the_same_kind_is_put_together_by_percentiles():
    model, (x, y) = network(), data()
    methods = Histogram(bins=3, queue=200), Neighbours(k=3)
    new = 2 * torch.randn(30, 4)
    scores = {}
    for rule in ("mean", "max"):
        wrapped = Compose(*methods, rule=rule)(model).fit([(x, y)]).eval()
        with pytest.raises(NotFittedError, match="calibrate"):
            wrapped(new, return_risk=True)
        wrapped.calibrate(x.split(50))
        scores[rule] = wrapped(new, return_risk=True)[1]
        assert wrapped.percentile(scores[rule]).representation is scores[rule].representation
    raw = [scores["mean"].raw[name] for name in ("histogram.log_density", "neighbours.log_density")]
    held = Compose(*methods)(model).fit([(x, y)]).eval().calibrate([x])
    ranks = torch.stack(
        [
            held.percentiles(f"{name}.representation", -values)
            for name, values in zip(("histogram", "neighbours"), raw, strict=True)
        ]
    )
    torch.testing.assert_close(scores["mean"].representation, ranks.mean(0))
    torch.testing.assert_close(scores["max"].representation, ranks.amax(0))
    assert (scores["max"].representation >= scores["mean"].representation).all()
    assert not torch.equal(scores["max"].representation, scores["mean"].representation)


def test_calibration_is_saved():
    model, (x, y) = network(), data()
    methods = Histogram(bins=3, queue=200), Neighbours(k=3)
    wrapped = Compose(*methods)(model).fit([(x, y)]).calibrate([x]).eval()
    other = Compose(*methods)(model).eval()
    other.load_state_dict(wrapped.state_dict())
    one, its = (w(x, return_risk=True)[1].representation for w in (wrapped, other))
    assert torch.equal(one, its)


def test_two_of_a_method_have_two_names():
    wrapped = Compose(Histogram(bins=3, queue=50), Histogram(bins=5, queue=50))(network())
    assert list(wrapped.methods) == ["histogram", "histogram_2"]
    assert wrapped.methods["histogram"] is not wrapped.methods["histogram_2"]


def test_the_extra_loss_is_the_sum():
    model, (x, y) = network(), data()
    alone = [method(model, example=x[:2]).eval() for method in (VAE(latent=2), MVE(hidden=4))]
    together = Compose(VAE(latent=2), MVE(hidden=4))(model, example=x[:2]).eval()

    def extra(wrapped):
        return wrapped(x, return_loss=True, targets=y, generator=torch.Generator().manual_seed(0))[1]

    vae, both = alone[0], together
    first = extra(vae)
    seen = extra(both) - first
    assert torch.isfinite(seen)
    draws = torch.Generator().manual_seed(0)
    vae(x, return_loss=True, generator=draws)
    torch.testing.assert_close(seen, alone[1](x, return_loss=True, targets=y, generator=draws)[1])


def test_errors_say_what_to_do():
    for methods, match in (
        ((), "none"),
        ((Histogram,), "the class Histogram"),
        ((Histogram(), "dropout"), "str"),
    ):
        with pytest.raises(InputError, match=match):
            Compose(*methods)
    with pytest.raises(InputError, match="rule must be one of mean, max; got 'min'"):
        Compose(Histogram(), rule="min")(network())
