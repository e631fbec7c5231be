"""Weights that lie in a file."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from equipoise.errors import DataError, InputError
from equipoise.nn.weights import fill, read_weights

from .networks import small


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("wrapped", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
@pytest.mark.parametrize("legacy", [True, False])
def test_what_torch_saves(tmp_path, wrapped, prefix, legacy):
    theirs = small()
    weights = {f"{prefix}{name}": value for name, value in theirs.state_dict().items()}
    kept = weights if wrapped is None else {wrapped: weights, "epoch": 3}
    torch.save(kept, tmp_path / "w.bin", _use_new_zipfile_serialization=not legacy)
    ours = small()
    torch.nn.init.zeros_(ours.last.weight)
    fill(ours, read_weights(tmp_path / "w.bin"), tmp_path / "w.bin")
    assert torch.equal(ours.last.weight, theirs.last.weight)


def test_nothing_else_is_unpickled(tmp_path, capsys):
    torch.save({"state_dict": Evil()}, tmp_path / "w.pt")
    with pytest.raises(DataError, match="runs code when it is opened"):
        read_weights(tmp_path / "w.pt")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError):
        read_weights(tmp_path / "w.pkl")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "safetensors"),
        (b"hello there, no weights", "safetensors"),
        (b"PK\x03\x04broken", "Expected weights"),
    ],
)
def test_damaged_files(tmp_path, content, words):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_weights(tmp_path / "w")
    with pytest.raises(DataError, match="No such file"):
        read_weights(tmp_path / "nowhere")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="tensors by name"):
        read_weights(tmp_path / "list.pt")


def test_weights_of_another_network_name_both_sides(tmp_path):
    save_file(small(5).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"last\.weight is \(5, 6\) in the file, \(3, 6\) in the network"):
        fill(small(3), read_weights(tmp_path / "w.safetensors"), "w.safetensors")
    with pytest.raises(DataError, match="finite"):
        fill(small(), {**small().state_dict(), "last.bias": torch.full((3,), torch.nan)}, "w")
