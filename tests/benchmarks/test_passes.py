"""Ways of running a network, as the benchmark compares them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

passes = pytest.importorskip("passes")


def test_what_a_way_changes_is_told_beside_its_speed(monkeypatch, tmp_path):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()

    class Table:
        def __len__(self):
            return 300

        def batch(self, rows):
            return np.random.default_rng(0).integers(0, 256, (len(rows), 8, 8, 3), dtype=np.uint8)

    monkeypatch.setattr(passes, "read", lambda *_, **__: Table())
    ways = {
        passes.PLAIN: plain,
        "half": passes.half(plain),
        "other": lambda images: plain(images).flip(1),
    }
    monkeypatch.setattr(passes, "ways", lambda *_: ways)
    found = passes.measured("x", tmp_path, "", rounds=2, block=32)
    assert found[passes.PLAIN]["ratio"] == 1
    assert found[passes.PLAIN]["apart"] == 0
    assert found[passes.PLAIN]["same"] == 1
    assert 0 < found["half"]["apart"] < 0.1
    assert found["other"]["apart"] > 0.5
    assert "| half |" in passes.table("x", found)


@pytest.mark.slow
def test_onnxruntime_says_what_the_network_says(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    run = passes.onnx(plain.eval(), tmp_path)
    images = torch.rand(3, 3, passes.SIZE, passes.SIZE)
    torch.testing.assert_close(run(images), plain(images), atol=1e-5, rtol=0)
