"""Where a training step spends its time, as the benchmark takes it apart."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import step


def test_one_graph_takes_the_step_of_the_model():
    model = step.made()
    images, labels = torch.rand(8, 3, 64, 64), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    chance = torch.Generator().manual_seed(3)
    whole = model.losses(images, labels, generator=chance).total
    noise = torch.randn(4, step.LATENT, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(step.whole(model)(images, labels, noise), whole)


def test_convolutions_alone_are_all_of_them_and_learn(monkeypatch):
    seen = []
    made = step.made
    monkeypatch.setattr(step, "made", lambda: seen.append(made()) or seen[-1])
    step.convolutions(4, half=False)()
    learned = [name for name, value in seen[0].named_parameters() if value.grad is not None]
    assert len({name.rsplit(".", 1)[0] for name in learned}) == 8
