"""A cluster of this machine for the time of a command."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main

pytest.importorskip("ray.data")

NETWORK = """
import torch

def network():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                               torch.nn.Linear(4, 3))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(240)
def test_score_on_ray_from_the_command_line(tmp_path, monkeypatch, capfd):
    """The network is a callable beside the user, its weights drawn; the pictures stay encoded and are decoded there."""
    import ray

    (tmp_path / "mynetwork.py").write_text(NETWORK)
    chance = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(90):
        pixels = chance.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number:02}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    command = [
        "score",
        "mynetwork:network",
        "pictures",
        "--image-size=16",
        "--cache=cache",
        "--cache-limit=0.0",
    ]
    assert main([*command, "--out=here.parquet"]) == 0
    assert main([*command, "--out=there.parquet", "--on=ray"]) == 0
    assert "90 images scored" in capfd.readouterr().out
    assert not ray.is_initialized()
    one, other = (pq.read_table(tmp_path / name) for name in ("here.parquet", "there.parquet"))
    assert one.column_names == other.column_names
    assert one.column("path").equals(other.column("path"))
    numbers = [name for name in one.column_names if name.startswith("probability_")]
    assert len(numbers) == 3
    for name in numbers:
        assert np.abs(one.column(name).to_numpy() - other.column(name).to_numpy()).max() < 1e-5
    assert not (tmp_path / "there.parquet.shards").exists()
