import copy
import io
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import (
    MVE,
    VAE,
    Compose,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    LastLayer,
    Method,
    Neighbours,
    Risk,
)
from equipoise.risk.seen import supervised_loss


def network(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, outputs))


def data(count: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, 4), torch.randint(0, 3, (count,))


class Returning(nn.Module):
    """Returns its logits within something."""

    def __init__(self, form):
        super().__init__()
        self.body, self.form = network(), form

    def forward(self, x, *, scale=1.0):
        return self.form(self.body(x) * scale)


FORMS = {
    "tuple": (lambda y: (y.sum(), y), 1),
    "dict": (lambda y: {"logits": y, "values": 2 * y}, "logits"),
    "dict with the name of a method": (lambda y: {"loss": None, "values": y}, "values"),
    "function": (lambda y: {"scores": [y]}, lambda returned: returned["scores"][0]),
}


@pytest.mark.parametrize("form", FORMS)
def test_predictions_within_something(form):
    shape, output = FORMS[form]
    model = Returning(shape).eval()
    x, y = data()
    with pytest.raises(InputError, match=r"as one tensor; got a (tuple|dict).*output='logits', output=0"):
        Histogram(bins=3, queue=100)(model).train()(x)
    methods = Compose(Histogram(bins=3, queue=100), MVE(hidden=4), Dropout(passes=2))

    def fitted(model, output):
        wrapped = methods(model.eval(), output=output)
        return wrapped.fit([(x, y)], generator=torch.Generator().manual_seed(0)).eval()

    wrapped = fitted(model, output)
    returned, risk = wrapped(x, return_risk=True)
    bare = model(x)
    assert type(returned) is type(bare)
    assert not isinstance(returned, dict) or returned.keys() == bare.keys()
    assert torch.equal(wrapped.prediction_of(returned), model.body(x))
    for one, other in zip(risk[:3], fitted(model.body, None)(x, return_risk=True)[1][:3], strict=True):
        torch.testing.assert_close(one, other)


def test_an_output_that_is_not_there():
    x, _ = data()
    for form, output in ((lambda y: (y,), 4), (lambda y: {"a": y}, "b"), (lambda y: (y,), "logits")):
        with pytest.raises(InputError, match=f"which has no {output!r}"):
            Histogram()(Returning(form), output=output, example=x)
    with pytest.raises(InputError, match="as one tensor; got a int"):
        Histogram()(Returning(lambda y: (y, 3)), output=1, example=x)


def test_keywords_reach_the_model_at_every_pass():
    x, _ = data()
    wrapped = Dropout(passes=4)(Returning(lambda y: y).eval(), task="regression")
    once, twice = (wrapped(x, return_risk=True, scale=scale)[1].epistemic for scale in (1.0, 2.0))
    torch.testing.assert_close(twice, 2 * once)


def test_layers_by_name():
    x, _ = data()
    model = network().eval()
    inputs = Neighbours(k=3, metric="euclidean")(model, layer="0").fit([x])
    kept = inputs.methods["neighbours"].kept.filled()
    assert kept.shape == (100, 6)
    assert (
        torch.cdist(kept, model[0](x), compute_mode="donot_use_mm_for_euclid_dist").min(1).values.max() < 1e-3
    )
    with pytest.raises(InputError, match=r"no layer 'fc'. Choose one of: 0, 1, 2, 3\."):
        Histogram()(model, layer="fc")


def test_a_layer_that_is_not_called_or_gives_something_else():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.pair = nn.Linear(4, 2), nn.Linear(4, 2), nn.Identity()

        def forward(self, x):
            self.pair((x, x))
            return self.used(x)

    x, _ = data()
    with pytest.raises(InputError, match="'unused' to be called"):
        Histogram()(Odd(), layer="unused", example=x)
    with pytest.raises(InputError, match="float tensor as the output of layer 'pair'; got tuple"):
        Histogram()(Odd(), layer="pair", example=x)


def test_a_last_layer_that_cannot_be_found_is_asked_for():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 8)

        def forward(self, x):
            return self.fc(x)[:, :3]

    x, _ = data()
    with pytest.raises(InputError, match=r"'fc' with another size. Name the layer.*layer=..., one of: fc"):
        Histogram()(Product(), example=x)
    assert Histogram(bins=3, queue=100)(Product(), layer="fc").fit([x]).eval()(x, return_risk=True)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_features_that_are_no_numbers(bad):
    x, y = data()
    broken = x.clone()
    broken[7, 0] = bad
    wrapped = Neighbours(k=3)(network().eval()).fit([x]).eval()
    with pytest.raises(InputError, match=r"Features must be finite.*broken input"):
        wrapped(broken, return_risk=True)
    with pytest.raises(InputError, match="must be finite"):
        wrapped.train()(broken)
    with pytest.raises(InputError, match="must be finite"):
        Dropout(passes=2)(network().eval())(broken, return_risk=True)
    with pytest.raises(InputError, match="must be finite"):
        Histogram(bins=3, queue=100)(network()).fit([(broken, y)])


def test_what_it_cannot_wrap():
    with pytest.raises(InputError, match=r"nn\.Module to wrap; got function"):
        Histogram()(lambda x: x)
    with pytest.raises(InputError, match="task must be one of"):
        Histogram()(network(), task="ranking")
    wrapped = Histogram()(network())
    with pytest.raises(InputError, match="one at a time"):
        wrapped(torch.ones(2, 4), return_risk=True, return_loss=True)
    with pytest.raises(InputError, match="tensor as first input; got nothing"):
        wrapped(return_risk=True)
    with pytest.raises(InputError, match="epochs must be at least 1"):
        wrapped.fit([torch.ones(2, 4)], epochs=0)
    with pytest.raises(InputError, match=r"got none\. Give a list or a data loader"):
        wrapped.fit([])
    with pytest.raises(InputError, match=r"got none\. Give a list or a data loader"):
        wrapped.calibrate([])
    with pytest.raises(InputError, match=r"A batch must be .*; got a dict with the keys image"):
        wrapped.fit([{"image": torch.ones(2, 4)}])


def test_a_single_output_needs_a_task():
    x, y = data()
    for method in (MVE(), Dropout(), Ensemble(), LastLayer()):
        with pytest.raises(InputError, match=r"\(100, 1\) may be logits or values. Wrap with task='binary'"):
            method(network(1))(x, return_loss=True, targets=y)


def test_parameters_before_they_are_there():
    x, _ = data()
    wrapped = VAE(latent=2)(network())
    with pytest.raises(NotFittedError, match="example=inputs"):
        torch.optim.SGD(wrapped.parameters(), 0.1)
    with pytest.raises(NotFittedError, match="example=inputs"):
        wrapped.to("cpu").named_parameters()
    wrapped(x, return_loss=True)
    assert torch.optim.SGD(wrapped.parameters(), 0.1)


def test_layers_made_on_the_way_have_the_mode_of_the_whole():
    x, y = data()
    methods = Compose(VAE(latent=2), MVE(hidden=4), Ensemble(members=2))
    for training in (False, True):
        fitted = methods(network().train(training)).fit([(x, y)])
        called = methods(network().train(training))
        called(x, return_loss=True, targets=y)
        given = methods(network().train(training), example=x)
        for wrapped in (fitted, called, given):
            assert {module.training for module in wrapped.modules()} == {training}


def test_a_first_call_in_inference_mode_does_not_stop_training():
    x, y = data()
    wrapped = Compose(VAE(latent=2), MVE(hidden=4), Ensemble(members=2), Dropout(passes=2))(network().eval())
    with torch.inference_mode(), pytest.raises(NotFittedError):
        wrapped(x, return_risk=True)
    wrapped.fit([(x, y)]).calibrate([x])
    with torch.inference_mode():
        wrapped(x, return_risk=True)
    returned, extra = wrapped.train()(x, return_loss=True, targets=y)
    (cross_entropy(returned, y) + extra).backward()
    assert all(parameter.grad is not None for parameter in wrapped.parameters())


def test_modes_of_single_modules_survive():
    x, y = data()
    model = network().train()
    model[1].eval()  # a batch norm that its owner has frozen
    wrapped = Compose(Histogram(bins=3, queue=100), MVE(hidden=4))(model)
    model[1].eval()
    wrapped.fit([(x, y)]).calibrate([x])
    assert [module.training for module in model.modules()] == [True, True, False, True, True]


def test_risks_while_training_do_not_touch_other_passes():
    x, y = data()
    bare, wrapped = network().train(), Compose(Dropout(passes=3), Ensemble(members=2), LastLayer())(network())
    wrapped.fit([(x, y)]).train().calibrate([x])
    bare(x)
    wrapped(x, return_risk=True)
    assert torch.equal(bare[1].running_mean, wrapped.model[1].running_mean)
    assert int(wrapped.model[1].num_batches_tracked) == 1


def test_a_method_of_ones_own():
    class Norm(Method):
        """Representation risk: length of the features."""

        label, kinds, uses_features = "norm", ("representation",), True

        def risk(self, seen):
            return Risk(
                representation=seen.needed_features().norm(dim=1), raw={"norm": seen.inputs.norm(dim=1)}
            )

    x, _ = data()
    model = network().eval()
    _, risk = Norm()(model)(x, return_risk=True)
    torch.testing.assert_close(risk.representation, model[:3](x).norm(dim=1))
    torch.testing.assert_close(risk.raw["norm.norm"], x.norm(dim=1))


def test_supervised_loss_is_the_usual_one():
    torch.manual_seed(0)
    logits, classes = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    torch.testing.assert_close(
        supervised_loss(logits, classes, "multiclass").mean(), cross_entropy(logits, classes)
    )
    values = torch.randn(5, 2)
    naive = torch.tensor([float((a - b).square().mean()) for a, b in zip(logits[:, :2], values, strict=True)])
    torch.testing.assert_close(supervised_loss(logits[:, :2], values, "regression"), naive)
    for one in (logits[:, 0], logits[:, :1]):
        binary = supervised_loss(one, classes.clamp(max=1), "binary")
        shares = logits[:, 0].sigmoid()
        torch.testing.assert_close(binary, -torch.where(classes > 0, shares, 1 - shares).log())


EXPORTED = {
    "Histogram": Histogram(bins=3, queue=100),
    "HistogramVAE": HistogramVAE(latent=3, bins=3, queue=100, active=False, epistemic=True),
    "VAE": VAE(latent=3),
    "Neighbours": Neighbours(k=3),
    "Neighbours, euclidean": Neighbours(k=0.1, metric="euclidean"),
    "Dropout": Dropout(passes=3),
    "Ensemble": Ensemble(members=2),
    "LastLayer": LastLayer(),
    "MVE": MVE(hidden=4),
}


class Told(nn.Module):
    """Prediction and risks as a tuple of tensors: what a graph can return."""

    def __init__(self, wrapped):
        super().__init__()
        self.wrapped = wrapped

    def forward(self, x):
        prediction, risk = self.wrapped(x, return_risk=True)
        return prediction, *(values for values in risk[:3] if values is not None)


def exported(method) -> tuple[torch.export.ExportedProgram, Told]:
    x, y = data()
    told = Told(method(network()).fit([(x, y)])).eval()
    batch = torch.export.Dim("batch")
    return torch.export.export(told, (x[:4],), dynamic_shapes={"x": {0: batch}}), told


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", EXPORTED)
def test_exported_programs_tell_the_same(method):
    program, told = exported(EXPORTED[method])
    x = data()[0][:7]
    for _ in range(2):
        for ours, its in zip(told(x), program.module()(x), strict=True):
            torch.testing.assert_close(ours, its, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_what_has_not_learned_is_not_exported():
    x, _ = data()
    for method in (Histogram(), Neighbours(), Ensemble(members=2)):
        told = Told(method(network(), example=x)).eval()
        with pytest.raises(NotFittedError):
            torch.export.export(told, (x,))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", EXPORTED)
def test_onnx_tells_the_same(method):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    program, told = exported(EXPORTED[method])
    file = io.BytesIO()
    torch.onnx.export(program, dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    x = data()[0][:7]
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for ours, its in zip(told(x), found, strict=True):
        torch.testing.assert_close(ours.detach(), torch.from_numpy(its), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", EXPORTED)
def test_compiled_models_tell_the_same(method):
    x, y = data()
    wrapped = EXPORTED[method](network()).fit([(x, y)]).eval()
    with torch.no_grad():
        expected = wrapped(x, return_risk=True)
        found = torch.compile(wrapped)(x, return_risk=True)
    torch._dynamo.reset()
    torch.testing.assert_close(found[0], expected[0])
    for its, ours in zip(found[1][:3], expected[1][:3], strict=True):
        if ours is not None:
            torch.testing.assert_close(its, ours, rtol=1e-4, atol=1e-5)


WORKERS = """
import sys, torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn.functional import cross_entropy
from equipoise.risk import MVE, VAE, Compose, Ensemble, Histogram, HistogramVAE, Neighbours

def work(fabric, folder):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    methods = (Histogram(bins=3, queue=60), VAE(latent=2), HistogramVAE(latent=2, bins=3, queue=60, active=False),
               MVE(hidden=4), Ensemble(members=2), Neighbours(k=3, reference=60))
    wrapped = Compose(*methods)(model, example=torch.ones(2, 4)).train()
    parallel, optimizer = fabric.setup(wrapped, torch.optim.SGD(wrapped.parameters(), 0.05))
    own = torch.Generator().manual_seed(fabric.global_rank)
    for _ in range(6):
        x, y = torch.randn(20, 4, generator=own), torch.randint(0, 3, (20,), generator=own)
        optimizer.zero_grad()
        prediction, extra = parallel(x, return_loss=True, targets=y, generator=own)
        fabric.backward(cross_entropy(prediction, y) + extra)
        optimizer.step()
    wrapped.eval().calibrate([torch.randn(20, 4, generator=own)])
    _, risk = wrapped(torch.randn(5, 4, generator=own), return_risk=True)
    assert all(torch.isfinite(values).all() for values in risk[:3])
    told = {name: p.detach() for name, p in wrapped.named_parameters()}
    torch.save(told, f"{folder}/{fabric.global_rank}.pt")

if __name__ == "__main__":
    Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn").launch(work, sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_stay_in_step(tmp_path):
    (tmp_path / "workers.py").write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, "workers.py", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
    start = copy.deepcopy(network().state_dict())
    assert not torch.equal(one["model.0.weight"], start["0.weight"])


def test_a_method_that_runs_the_model_while_fitting_leaves_it_without_gradients():
    class Asking(MVE):
        def loss(self, seen, targets, generator):
            return super().loss(seen, targets, generator) + seen.again().square().mean()

    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    Asking()(network).fit([(torch.randn(8, 3), torch.arange(8) % 2)])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_fitting_reads_no_more_than_a_method_needs():
    x, y = data(40)
    reads = []

    def batches():
        for part in zip(x.split(10), y.split(10), strict=True):
            reads.append(len(part[0]))
            yield part

    class Again:
        def __iter__(self):
            return batches()

    Dropout(passes=2)(network()).fit(Again())
    assert reads == [10]  # it has no statistics: one batch to find its places
    reads.clear()
    Compose(Dropout(passes=2), LastLayer())(network()).fit(Again())
    assert reads == [10] * 4
