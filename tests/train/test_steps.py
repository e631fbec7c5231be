"""Recorded steps on the CPU: in place of a CUDA graph, torch's tracer records the operations of one step and plays
them again without Python on the same memory. What a graph freezes, this freezes too."""

import dataclasses
import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equipoise.errors import TrainingError
from equipoise.nn import DBVAE, Classifier, StandardCNN
from equipoise.resample import AdaptiveSampler
from equipoise.train import Engine, Optimisation, Recipe, Resampling, fit, loop, steps
from equipoise.train.recipe import AUGMENTATIONS
from equipoise.train.steps import RecordedSteps, recordable

HOW = Optimisation(
    learning_rate=3e-3, schedule="one-cycle", batch_size=16, epochs=3, augmentation=AUGMENTATIONS, clip=0.5
)
RECIPE = Recipe(
    "small",
    plain=HOW,
    debiased=HOW,
    objective="classifier",
    resampling=Resampling(rule="appearance", ess=0.6),
    width=4,
    depth=2,
    precision="32-true",
)


def traced(body):
    played = make_fx(lambda: body())()  # a bound method would be asked for its self
    assert len(played.graph.nodes) > 50
    calls = itertools.count()
    return lambda: next(calls) and played()  # tracing has made the first call already


@pytest.fixture
def recording(monkeypatch):
    """Lets the CPU record; gives the list of what was recorded."""
    made = []

    def recorded(body):
        made.append(traced(body))
        return made[-1]

    monkeypatch.setattr(loop, "recordable", lambda *_: True)
    monkeypatch.setattr(steps, "aside", lambda body: body())
    monkeypatch.setattr(steps, "recorded", recorded)
    monkeypatch.setattr(steps, "BLOCK", 5)  # 8 steps an epoch: a block of 5 and one of 3
    exact = steps.learning_rate  # the recorded step reads single precision
    monkeypatch.setattr(
        steps, "learning_rate", lambda *given: float(torch.tensor(exact(*given), dtype=torch.float32))
    )
    return made


def numbers(fitted):
    return fitted.history, fitted.validation, {k: v.clone() for k, v in fitted.model.state_dict().items()}


def assert_same(one, other):
    assert one[:2] == other[:2]
    assert one[2].keys() == other[2].keys()
    for name, value in one[2].items():
        assert torch.equal(value, other[2][name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "precision"),
    [
        ({}, "32-true"),
        ({"augmentation": (), "clip": None, "schedule": "constant"}, "32-true"),
        ({"optimizer": "adamw", "weight_decay": 0.05, "augmentation": ("flip", "light")}, "bf16-mixed"),
    ],
    ids=["all augmentations", "bare", "adamw in bf16"],
)
def test_recorded_steps_give_the_numbers_of_steps_one_by_one(scene, recording, changes, precision):
    recipe = dataclasses.replace(RECIPE, debiased=dataclasses.replace(HOW, **changes), precision=precision)
    table, validation = scene(128), scene(20, seed=5)
    one_by_one, recorded = (
        fit(table, recipe, validation=validation, seed=3, engine=Engine(compile=compiled, progress=False))
        for compiled in (False, True)
    )
    assert len(recording) == 1
    assert recorded.steps == 24
    assert_same(numbers(recorded), numbers(one_by_one))


@pytest.mark.slow
def test_a_recorded_run_resumes(scene, recording, tmp_path, monkeypatch):
    table = scene(128)
    whole = fit(table, RECIPE, seed=3, engine=Engine(compile=True, progress=False))
    saved = loop.write_checkpoint

    def stop_after_the_first(folder, epoch, checkpoint):
        saved(folder, epoch, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_checkpoint", stop_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        fit(table, RECIPE, seed=3, engine=Engine(compile=True, progress=False), folder=tmp_path)
    monkeypatch.setattr(loop, "write_checkpoint", saved)
    resumed = fit(
        table, RECIPE, seed=3, engine=Engine(compile=True, progress=False), folder=tmp_path, resume=True
    )
    assert_same(numbers(resumed), numbers(whole))
    again = fit(
        table, RECIPE, seed=3, engine=Engine(compile=False, progress=False), folder=tmp_path, resume=True
    )
    assert_same(numbers(again), numbers(whole))  # nothing of the recording is in a checkpoint


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_a_recorded_run(scene, recording):
    wild = dataclasses.replace(RECIPE, debiased=dataclasses.replace(HOW, learning_rate=1e30, clip=None))
    with pytest.raises(TrainingError, match=r"finite.*at step \d"):
        fit(scene(128), wild, engine=Engine(compile=True, progress=False))


class OnTheDevice(TorchDispatchMode):
    """Fails where an operation takes a tensor of the host, which a graph would freeze or refuse."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, out)):
            if isinstance(value, torch.Tensor) and value.device.type != "meta":
                raise RuntimeError(f"{operation} takes or gives a tensor on {value.device}")
        self.seen += 1
        return out


class Descent(torch.optim.Optimizer):
    """Plain descent: torch's fused optimizers know no meta device, the others read a rate on the host."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad


def stepping_on_meta(model, table):
    """Recorded steps on the meta device, whose tensors have no values that a host could read."""
    fabric = SimpleNamespace(
        device=torch.device("meta"),
        world_size=1,
        setup=lambda body, optimizer: (body, optimizer),
        backward=lambda loss: loss.backward(),
    )
    model.to("meta")
    return RecordedSteps(fabric, model, Descent(model.parameters(), {"lr": 0.1}), table, HOW, 100)


@pytest.mark.parametrize("kind", ["classifier", "db-vae"])
def test_a_step_takes_nothing_from_the_host_and_reads_nothing_back(scene, monkeypatch, kind):
    table, seen = scene(128), []

    def watched(body):
        with OnTheDevice() as mode:
            body()
        seen.append(mode.seen)

    monkeypatch.setattr(steps, "aside", watched)
    monkeypatch.setattr(steps, "recorded", lambda body: lambda: watched(body))
    small = {"width": 4, "depth": 2, "image_size": 16}
    model = Classifier(StandardCNN(1, **small)) if kind == "classifier" else DBVAE(latent=4, **small)
    taking = stepping_on_meta(model, table)
    taken = taking.taken(
        AdaptiveSampler(table.labels, batch_size=16), 0, chance=torch.Generator(), noise=torch.Generator()
    )
    if kind == "db-vae":  # its number of positives is read by the host, so fit does not record it
        with pytest.raises(TrainingError, match=r"recorded as a CUDA graph.*`compile`"):
            next(taken)
        return
    with pytest.raises(NotImplementedError, match="meta"):  # the losses of a block, read at its end
        next(taken)
    assert len(seen) == 8
    assert min(seen) > 50


def test_what_can_be_recorded(scene, monkeypatch):
    table = scene(128)  # 98 kB
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (200_000, 10**9))

    def asked(device="cuda", processes=1, scaler=None, pictures=table, **changes):
        precision = SimpleNamespace(scaler=scaler) if scaler else SimpleNamespace()
        fabric = SimpleNamespace(
            device=torch.device(device),
            world_size=processes,
            strategy=SimpleNamespace(precision=precision),
        )
        return recordable(fabric, dataclasses.replace(HOW, **changes), pictures)

    assert asked()
    assert asked(optimizer="adamw")
    assert not asked(device="cpu")
    assert not asked(processes=2)
    assert not asked(scaler="a gradient scaler")
    assert not asked(average=0.99)
    assert not asked(optimizer="adagrad")
    assert not asked(pictures=scene(140))


@pytest.mark.parametrize("objective", ["classifier", "db-vae"])
def test_only_classifiers_are_recorded(scene, recording, objective):
    rule = "appearance" if objective == "classifier" else "equipoise"
    recipe = dataclasses.replace(
        RECIPE, objective=objective, resampling=Resampling(rule=rule, ess=0.6), latent=4
    )
    asked = []
    network = torch.nn.Module.compile
    torch.nn.Module.compile = lambda self, *_, **__: asked.append(self)
    try:
        fit(scene(128), recipe, engine=Engine(compile=True, progress=False))
    finally:
        torch.nn.Module.compile = network
    assert bool(recording) == (objective == "classifier")
    assert bool(asked) == (objective == "db-vae")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_graph_gives_the_numbers_of_steps_one_by_one(scene):
    table = scene(240)
    one_by_one, recorded = (
        fit(table, RECIPE, seed=3, engine=Engine(compile=compiled, device="cuda", progress=False))
        for compiled in (False, True)
    )
    assert recorded.history["step"] == one_by_one.history["step"]
    assert recorded.history["total"] == pytest.approx(one_by_one.history["total"], rel=0.05)
