import errno

import pytest
import torch
from safetensors.torch import save_file

from equipoise.errors import DataError, InputError
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
    with pytest.raises(DataError, match=r"version 'equipoise-checkpoint-1'.*got 'equipoise-checkpoint-99'"):
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
