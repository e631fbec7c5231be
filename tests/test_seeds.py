import numpy as np
import pytest
import torch

from equipoise import density, run
from equipoise.data import split
from equipoise.errors import InputError
from equipoise.risk import label_noise
from equipoise.seeds import checked_seed, child_seed
from equipoise.train import fit
from equipoise.train.gan import train_gan


def test_a_child_depends_on_seed_and_path_only():
    assert child_seed(3, "a", 1) == child_seed(3, "a", "1") == child_seed(3, "a", 1)
    seeds = {child_seed(s, *path) for s in (0, 1) for path in [(), ("a",), ("a", "b"), ("ab",), ("b", "a")]}
    assert len(seeds) == 10


def test_children_are_valid_seeds():
    assert all(0 <= child_seed(s, "x") < 2**63 for s in (0, 1, 2**62))


def test_a_known_child_stays_what_it_was():
    assert child_seed(0, "split") == 3692668185207323792


def test_negative_seeds_are_refused():
    with pytest.raises(InputError, match="0 or larger; got -1"):
        child_seed(-1)


@pytest.mark.parametrize(
    "seed", [1.5, 1.0, None, True, np.True_, "7", -3, 2**63, 2**70, np.int64(-1), [0], np.nan]
)
def test_what_is_no_seed_is_refused_and_named(seed):
    with pytest.raises(InputError, match="A seed must be"):
        checked_seed(seed)
    with pytest.raises(InputError, match="A seed must be"):
        child_seed(seed, "split")


@pytest.mark.parametrize("seed", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_any_whole_number_is_the_same_seed(seed):
    assert checked_seed(seed) == 3
    assert type(checked_seed(seed)) is int
    assert child_seed(seed, "split") == child_seed(3, "split")


@pytest.mark.parametrize("seed", [1.5, None, True, -1, 2**70])
@pytest.mark.parametrize(
    "call",
    [
        lambda table, seed: split(table, fractions=(0.5, 0.25, 0.25), seed=seed),
        lambda table, seed: fit(table, seed=seed),
        lambda table, seed: train_gan(table, seed=seed),
        lambda table, seed: run.debias(run.Sources(data=table), training=run.Training(seed=seed)),
        lambda table, seed: run.train(run.Sources(data=table), training=run.Training(seed=seed)),
        lambda table, seed: run.audit(torch.nn.Flatten(), run.Sources(data=table), seed=seed),
        lambda table, seed: run.augment(
            run.Sources(data=table), run.Attributes("label", ["colour"]), training=run.Training(seed=seed)
        ),
        lambda table, seed: run.evaluate("nowhere", run.Sources(data=table), seed=seed),
        lambda table, seed: run.sweep({"latent": [3]}, training=run.Training(seed=seed)),
        lambda table, seed: run.train_generator(table, seed=seed),
        lambda table, seed: density.Mixture(3, seed=seed),
        lambda table, seed: label_noise(np.zeros((20, 2)), np.arange(20) % 2, seed=seed),
    ],
)
def test_every_public_function_refuses_what_is_no_seed(scene, tmp_path, monkeypatch, call, seed):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="A seed must be"):
        call(scene(40), seed)
    assert not list(tmp_path.rglob("*.safetensors"))
