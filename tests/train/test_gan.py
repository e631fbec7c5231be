import dataclasses

import numpy as np
import pytest
import torch

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError, TrainingError
from equipoise.latent import check_generator
from equipoise.nn.small_gan import SmallDiscriminator
from equipoise.train import gan_run as module
from equipoise.train.gan import GAN, train_gan
from equipoise.train.gan_run import squared_gradient
from equipoise.train.saved_generator import load_generator, save_generator

SMALL = GAN(latent=8, width=4, discriminator_width=4, steps=6, batch_size=8, r1_every=2, look_every=2)
STILL = {"device": "cpu", "precision": "32-true", "progress": False}


@pytest.fixture(scope="module")
def halves():
    """Grey pictures of 16 pixels whose upper half is bright and whose lower half is dark."""
    rng = np.random.default_rng(0)
    images = np.full((64, 16, 16, 1), 40.0)
    images[:, :8] = 210
    images += rng.normal(0, 8, images.shape)
    return ImageTable.from_arrays(np.clip(images, 0, 255).astype(np.uint8), np.ones(64, np.int64))


def flat(images):
    return images.flatten(1)


def same(first, second):
    one, two = first.network.state_dict(), second.network.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_it_learns_where_it_is_bright(halves):
    how = dataclasses.replace(SMALL, steps=150, average=0.9, look_every=75, learning_rate=2e-3, augment=())
    trained = train_gan(
        halves.take(np.arange(48)), how, held_out=halves.take(np.arange(48, 64)), features=flat, **STILL
    )
    with torch.no_grad():
        images = trained.network(torch.randn(32, 8, generator=torch.Generator().manual_seed(0)))
    assert images[:, :, :8].mean() > images[:, :, 8:].mean() + 0.3
    assert trained.scores["step"] == [75, 150]
    assert set(trained.history) == {"step", "discriminator", "generator", "real", "generated", "penalty"}
    assert trained.history["step"] == [50, 100, 150]


def test_the_same_seed_gives_the_same_weights(halves):
    first, again = (train_gan(halves, SMALL, seed=3, **STILL) for _ in range(2))
    assert same(first, again)
    assert first.finished
    assert not same(first, train_gan(halves, SMALL, seed=4, **STILL))


def test_the_learning_rate_falls_to_zero_at_the_end(halves, monkeypatch):
    rates = [
        dataclasses.replace(SMALL, learning_rate=0.4, steps=8, decay=0.5).rate(step) for step in range(9)
    ]
    assert rates == pytest.approx([0.4] * 5 + [0.3, 0.2, 0.1, 0])
    assert dataclasses.replace(SMALL, decay=0.0).rate(5) == SMALL.learning_rate
    used = []
    step = module.Run.step
    monkeypatch.setattr(
        module.Run,
        "step",
        lambda run, at: (step(run, at), used.append(run.optimizers[1].param_groups[0]["lr"]))[0],
    )
    train_gan(halves, SMALL, **STILL)
    assert used == [SMALL.rate(step) for step in range(6)]


@pytest.mark.parametrize("at", [2, 3])
def test_a_resumed_run_has_the_same_numbers(halves, tmp_path, monkeypatch, at):
    """Stopped at a look, and by time between two."""
    whole = train_gan(halves, SMALL, held_out=halves, features=flat, folder=tmp_path / "whole", **STILL)
    steps = iter(range(1000))
    real_step = module.Run.step

    def step(self, number):
        if next(steps) == at - 1:
            monkeypatch.setattr(module.time, "perf_counter", lambda: 1e9)
        return real_step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(module.Run, "step", step)
        stopped = train_gan(
            halves, SMALL, held_out=halves, features=flat, folder=tmp_path / "part", minutes=60, **STILL
        )
    monkeypatch.undo()
    assert (stopped.steps, stopped.finished) == (at, False)
    resumed = train_gan(
        halves, SMALL, held_out=halves, features=flat, folder=tmp_path / "part", resume=True, **STILL
    )
    assert same(whole, resumed)
    assert (resumed.history, resumed.scores) == (whole.history, whole.scores)
    for name in ("history.csv", "scores.csv"):
        assert (tmp_path / "part" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_sample_grids_are_drawn(halves, tmp_path):
    train_gan(halves, SMALL, pictures=tmp_path, **STILL)
    grids = sorted(path.name for path in tmp_path.iterdir())
    assert grids == ["step-000002.png", "step-000004.png", "step-000006.png"]


def test_a_saved_generator_is_a_generator(halves, tmp_path):
    trained = train_gan(halves, SMALL, **STILL)
    save_generator(trained, tmp_path)
    loaded = load_generator(tmp_path)
    assert check_generator(loaded) == (1, 16, 16)
    latents = loaded.sample(5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded.decode(latents), trained.network(latents))
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"Expected the weights of a trained generator"):
        load_generator(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "equipoise-model-1"}')
    with pytest.raises(DataError, match=r"version 'equipoise-generator-1'.*got 'equipoise-model-1'"):
        load_generator(tmp_path)


def test_what_is_not_finite_stops_the_run(halves, tmp_path, monkeypatch):
    real_step = module.Run.step

    def step(self, number):
        if number == 3:
            self.discriminator.score.bias.data.fill_(torch.nan)
        return real_step(self, number)

    monkeypatch.setattr(module.Run, "step", step)
    with pytest.raises(
        TrainingError, match=r"discriminator nan.*at step 3\. The last good checkpoint is .*0001"
    ):
        train_gan(halves, SMALL, folder=tmp_path, **STILL)


def test_the_penalty_is_that_of_a_loop():
    start = torch.Generator().manual_seed(0)
    judge = SmallDiscriminator(width=2, image_size=16, channels=1, generator=start)
    judge.score.weight.data[0, -1] = 0  # what looks at other images of the batch
    images = torch.rand(3, 1, 16, 16, generator=start)
    expected = []
    for image in images:
        centred = (image[None] * 2 - 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(judge((centred + 1) / 2).sum(), centred)
        expected.append(float(gradient.square().sum()))
    assert squared_gradient(judge, images).item() == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be 1 or larger; got 0"),
        ({"batch_size": 1}, "batch_size must be 2 or larger; got 1"),
        ({"r1_every": 51}, "r1_every must be at most 50; got 51"),
        ({"decay": 1.1}, r"decay must lie in \[0, 1\]; got 1.1"),
        ({"average": 1.0}, r"average in \[0, 1\); got 0.001, 0.01 and 1.0"),
        ({"augment": ("flip",)}, "augment must be of colour, translation, cutout; got flip"),
    ],
)
def test_settings_that_are_not_possible(arguments, message):
    with pytest.raises(InputError, match=message):
        GAN(**arguments)


def test_too_few_images(halves):
    with pytest.raises(InputError, match="A batch of 8 needs as many images; got 4"):
        train_gan(halves.take(np.arange(4)), SMALL, **STILL)


def test_another_precision(halves):
    with pytest.raises(
        InputError, match="precision must be one of auto, 32-true, bf16-mixed; got '16-mixed'"
    ):
        train_gan(halves, SMALL, precision="16-mixed")
