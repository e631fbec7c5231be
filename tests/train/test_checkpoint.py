import errno
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from equipoise.errors import DataError, InputError
from equipoise.train import Engine, Optimisation, Recipe, Resampling, fit
from equipoise.train.checkpoint import (
    Checkpoint,
    flat_optimizer,
    latest_checkpoint,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)

SETTINGS = {"recipe": {"latent": 3}, "seed": 0}


def some(epoch=0):
    return Checkpoint({"model.w": torch.arange(3.0), "other.w": torch.ones(1)}, {"epoch": epoch}, SETTINGS)


def test_round_trip_and_parts(tmp_path):
    path = write_checkpoint(tmp_path, 0, some())
    back = read_checkpoint(path, SETTINGS)
    assert back.state == {"epoch": 0}
    assert list(back.part("model")) == ["w"]
    assert torch.equal(back.part("model")["w"], torch.arange(3.0))


def test_the_last_two_stay(tmp_path):
    for epoch in range(4):
        write_checkpoint(tmp_path, epoch, some(epoch))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-0002.safetensors", "epoch-0003.safetensors"]
    assert latest_checkpoint(tmp_path).name == "epoch-0003.safetensors"
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_other_settings_are_refused_by_name(tmp_path):
    path = write_checkpoint(tmp_path, 0, some())
    with pytest.raises(InputError, match=r"other settings \(seed differ\)"):
        read_checkpoint(path, SETTINGS | {"seed": 1})


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "epoch-0000.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"format": "equipoise-checkpoint-99"})
    with pytest.raises(
        DataError,
        match=r"version 'equipoise-checkpoint-2' or 'equipoise-checkpoint-1'.*got 'equipoise-checkpoint-99'",
    ):
        read_checkpoint(path, SETTINGS)


def test_a_broken_file_is_a_clear_error(tmp_path):
    path = write_checkpoint(tmp_path, 0, some())
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="Delete this file to continue from the one before"):
        read_checkpoint(path, SETTINGS)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 0, some())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(DataError, match="disk is full"):
        write_checkpoint(tmp_path, 1, some(1))
    assert [p.name for p in tmp_path.iterdir()] == ["epoch-0000.safetensors"]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.Adagrad, torch.optim.Adadelta])
def test_an_optimizer_goes_on_exactly(kind):
    def start():
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 2)
        return layer, kind(layer.parameters(), lr=0.1)

    def step(layer, optimizer, value):
        optimizer.zero_grad()
        layer(torch.full((3, 4), value)).square().sum().backward()
        optimizer.step()

    layer, optimizer = start()
    for value in (1.0, 2.0):
        step(layer, optimizer, value)
    tensors, rest = flat_optimizer(optimizer)
    other, resumed = start()
    other.load_state_dict(layer.state_dict())
    restore_optimizer(resumed, {k: v.clone() for k, v in tensors.items()}, rest)
    step(layer, optimizer, 3.0)
    step(other, resumed, 3.0)
    assert torch.equal(layer.weight, other.weight)


def changed(path, *, tensors=lambda found: found, state=lambda found: found, keep_digest=False):
    """Write a checkpoint again with something changed in it."""
    with safe_open(path, framework="pt") as file:
        header, found = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header["state"] = json.dumps(state(json.loads(header["state"])))
    if not keep_digest:
        del header["digest"]  # as one who edits, or the first version, would leave it
    save_file(tensors(found), path, metadata=header)


def without(*names):
    return lambda found: {name: value for name, value in found.items() if name not in names}


def renamed(old, new):
    return lambda found: {name.replace(old, new): value for name, value in found.items()}


def reshaped(name):
    return lambda found: found | {name: found[name].reshape(-1)[:1].repeat(3)}


def a_weight(found):
    return next(name for name in sorted(found) if name.startswith("model.") and found[name].ndim > 1)


BROKEN = {
    "a weight missing": {"tensors": lambda found: without(a_weight(found))(found)},
    "all weights under another name": {"tensors": renamed("model.", "net.")},
    "a moment missing": {"tensors": without("optimizer.0.exp_avg")},
    "moments under another name": {"tensors": renamed("optimizer.", "optimiser.")},
    "a moment of another shape": {"tensors": reshaped("optimizer.0.exp_avg")},
    "weights of the sampler": {"tensors": reshaped("sampler.weights")},
    "no epoch": {"state": without("epoch")},
    "no optimizer": {"state": without("optimizer")},
    "no history": {"state": without("history")},
    "a history of another kind": {"state": lambda found: found | {"history": [1, 2]}},
    "an epoch that is text": {"state": lambda found: found | {"epoch": "last"}},
    "an epoch that its steps deny": {"state": lambda found: found | {"epoch": 7}},
    "a state that is a list": {"state": lambda found: [found]},
    "a sampler of another batch": {
        "state": lambda found: found | {"sampler": found["sampler"] | {"rows": 3}}
    },
    "a number that changed on the disk": {
        "tensors": lambda found: found | {a_weight(found): found[a_weight(found)] + 1},
        "keep_digest": True,
    },
}


@pytest.fixture
def interrupted(scene, tmp_path_factory):
    """A folder with the checkpoints of a run, and the run."""
    folder = tmp_path_factory.mktemp("checkpoints")
    way = Optimisation(batch_size=16, epochs=2)
    chosen = Recipe(
        "tiny", plain=way, debiased=way, resampling=Resampling("appearance", ess=0.8, renew="once"),
        objective="classifier", width=4, depth=2,
    )  # fmt: skip
    table = scene(160)

    def run(**options):
        return fit(table, chosen, engine=Engine(device="cpu", progress=False), **options)

    run(folder=folder)
    return folder, run


@pytest.mark.parametrize("what", BROKEN)
def test_a_checkpoint_that_cannot_be_continued_says_what_is_wrong(interrupted, tmp_path, what):
    folder, run = interrupted
    path = tmp_path / latest_checkpoint(folder).name
    path.write_bytes((folder / path.name).read_bytes())
    changed(path, **BROKEN[what])
    with pytest.raises(DataError, match=r"whole checkpoint of this run at .*Delete this file"):
        run(folder=tmp_path, resume=True)


@pytest.mark.parametrize("damage", ["cut", "emptied", "text", "flipped"])
def test_damaged_files(interrupted, tmp_path, damage):
    folder, run = interrupted
    path = tmp_path / latest_checkpoint(folder).name
    content = (folder / path.name).read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 64]) + content[-8:]
    path.write_bytes({"cut": content[:-100], "emptied": b"", "text": b"hello", "flipped": flipped}[damage])
    with pytest.raises(DataError, match="Delete this file"):
        run(folder=tmp_path, resume=True)


def test_a_checkpoint_of_the_first_version_has_no_digest_and_is_continued(interrupted, tmp_path):
    folder, run = interrupted
    path = tmp_path / latest_checkpoint(folder).name
    path.write_bytes((folder / path.name).read_bytes())
    changed(path)
    assert run(folder=tmp_path, resume=True).steps == 20
