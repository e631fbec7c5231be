"""docs/own-loops.md runs as it stands: plain PyTorch, Lightning, and the Trainer of transformers."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "own-loops.md"
NEEDS = {"plain": (), "lightning": ("pytorch_lightning",), "transformers": ("transformers", "accelerate")}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def blocks():
    first, *loops = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {name: f"{first}\n{loop}" for name, loop in zip(NEEDS, loops, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("loop", NEEDS)
def test_the_sampler_decides_what_batches_hold(loop, capsys, monkeypatch, tmp_path):
    for module in NEEDS[loop]:
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(blocks()[loop], f"{PAGE.name}: {loop}", "exec"), found)
    assert f"{loop}: 10 batches by weights" in capsys.readouterr().out
    draws = found["sampler"].draws
    # the second of two epochs of ten batches was drawn by weights, eight of each of three classes a batch
    assert {kind: (one.batches, int(one.counts.sum())) for kind, one in draws.items()} == dict.fromkeys(
        range(3), (10, 80)
    )
