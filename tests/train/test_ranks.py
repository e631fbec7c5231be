"""Training in two processes that `torchrun` started ends as in one, and what one of them must not do by itself."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import equipoise
from equipoise.data import ImageTable
from equipoise.errors import InputError, TrainingError
from equipoise.nn import Backbone, features
from equipoise.processors import launched
from equipoise.run.output import Output
from equipoise.train import Engine, Featured, Optimisation, Recipe, Resampling, predict, recipe, steps
from equipoise.train.augmentation import augmented
from equipoise.train.shared_pass import share_pass

SMALL = Optimisation(
    learning_rate=2e-3, batch_size=12, epochs=2, augmentation=("flip", "shift", "light", "erase")
)
TINY = Recipe(
    "tiny",
    plain=SMALL,
    debiased=SMALL,
    resampling=Resampling(rule="equipoise", ess=0.7, max_weight=5.0),
    width=4,
    depth=2,
    latent=4,
    norm_momentum=0.1,
)
ENGINE = Engine(device="cpu", precision="32-true")
CLOSE = 1e-4
"""Largest difference of a probability."""


class Calls(list):
    """Of a network and of all its copies together."""

    def __deepcopy__(self, memo):
        return self


class Tiny(nn.Module):
    """Two layers with batch norm between them."""

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Softplus(), nn.AdaptiveAvgPool2d(2)
        )
        self.last = nn.Linear(16, classes)
        self.calls = Calls()

    def forward(self, images):
        self.calls.append(len(images))
        return self.last(self.body(images).flatten(1))


def three(rows=48):
    chance = np.random.default_rng(0)
    labels = np.arange(rows) % 3
    images = chance.integers(0, 80, (rows, 16, 16, 3)) + 55 * labels[:, None, None, None]
    return ImageTable.from_arrays(images.clip(0, 255).astype(np.uint8), labels, {})


def backbone(classes=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Backbone.of(Tiny(classes), size=16, mean=(0.5,), std=(0.25,))


def told(fitted, test):
    return predict(fitted.model, test), fitted.history, fitted.validation, fitted.weights, fitted.steps


def assert_same(one, other, close=CLOSE):
    """Probabilities, then history, validation and weights of two fits."""
    assert np.abs(one[0] - other[0]).max() < close
    for first, second in zip(one[1:4], other[1:4], strict=True):
        assert first.keys() == second.keys()
        for name, values in first.items():
            np.testing.assert_allclose(values, second[name], rtol=1e-3, atol=1e-4)
    assert one[4] == other[4]


WAYS = {
    "plain": {"method": "plain"},
    "latent codes": {},
    "harvested codes": {
        "recipe": dataclasses.replace(
            TINY,
            resampling=Resampling(rule="equipoise", ess=0.7, max_weight=5.0, harvest=True, warmup=1),
        )
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_train_the_model_of_one(scene, by_two, way):
    table, test = scene(48), scene(30, seed=5)
    how = {"recipe": TINY, "engine": ENGINE, "validation": test} | WAYS[way]
    alone = told(equipoise.fit(table, **how), test)
    first, second = by_two(lambda rank: told(equipoise.fit(table, **how), test))
    assert_same(first, alone)
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_of_three_classes_too_whose_images_are_shared_unevenly(by_two):
    table = three()
    chosen = dataclasses.replace(TINY, vae_classes=("0", "2"))
    alone = told(equipoise.fit(table, chosen, engine=ENGINE), table)
    assert_same(by_two(lambda rank: told(equipoise.fit(table, chosen, engine=ENGINE), table))[0], alone)


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "kept"])
def test_each_process_runs_the_network_over_its_own_pictures(scene, by_two, tmp_path, kept):
    table, brought = scene(101), backbone()
    alone = features(brought, table)

    def work(rank):
        brought.network.calls.clear()
        featured = Featured(brought, tmp_path / "cache" if kept else None)
        share_pass(featured, table, ENGINE.resolved())
        store = featured.of(table)
        share_pass(featured, table, ENGINE.resolved())  # they are there
        return np.array(store.features), np.array(store.logits), sum(brought.network.calls), store.folder

    first, second = by_two(work)
    for found in (first, second):
        assert np.abs(found[0].astype(float) - alone.features).max() < 1e-2
        assert np.abs(found[1] - alone.logits).max() < 1e-4
        assert (found[3] is not None) == kept
    assert np.array_equal(first[0], second[0])
    tried = 12  # pictures by which a batch size and quicker layers are found
    assert first[2] <= 51 + tried
    assert second[2] <= 50 + tried
    if kept:
        assert (
            features(brought, table, cache=tmp_path / "cache", device=torch.device("cpu")).folder == first[3]
        )


def test_a_pass_that_ended_early_is_gone_on_with(scene, by_two, tmp_path, monkeypatch):
    table, brought = scene(100), backbone()
    monkeypatch.setattr("equipoise.train.shared_pass.usual_batch_size", lambda *_: 10)

    def broken(rank):
        real = ImageTable.batch

        def batch(self, positions):
            if positions[-1] >= 60:
                raise KeyError("gone")
            return real(self, positions)

        monkeypatch.setattr(ImageTable, "batch", batch)
        share_pass(Featured(brought, tmp_path), table, ENGINE.resolved())

    def whole(rank):
        read, real = [], ImageTable.batch
        monkeypatch.setattr(ImageTable, "batch", lambda self, rows: read.append(rows[0]) or real(self, rows))
        featured = Featured(brought, tmp_path)
        share_pass(featured, table, ENGINE.resolved())
        return [int(row) for row in read if row], np.array(featured.of(table).features)

    assert all(isinstance(error, KeyError) for error in by_two(broken))
    (rows, first), (others, _) = by_two(whole)
    assert sorted(rows + others) == [60, 70, 80, 90]
    assert np.abs(first.astype(float) - features(brought, table).features).max() < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["probe", "fine-tune"])
def test_two_processes_train_what_a_backbone_is_given_as_one_does(scene, by_two, name):
    table, test, brought = scene(48), scene(30, seed=5), backbone()
    chosen = recipe(name)
    if name == "fine-tune":
        chosen = dataclasses.replace(
            chosen, debiased=dataclasses.replace(chosen.debiased, batch_size=12, epochs=2)
        )
    how = {"backbone": brought, "engine": ENGINE, "validation": test}
    alone = told(equipoise.fit(table, chosen, **how), test)
    first, second = by_two(lambda rank: told(equipoise.fit(table, chosen, **how), test))
    assert_same(first, alone, close=1e-3)
    assert np.array_equal(first[0], second[0])


def test_the_first_process_alone_writes_and_both_go_on(scene, by_two, tmp_path, monkeypatch):
    table, test = scene(48), scene(30, seed=5)
    whole = told(equipoise.fit(table, TINY, engine=ENGINE), test)

    def work(rank):
        written = []
        monkeypatch.setattr(
            "equipoise.train.loop.write_history", lambda path, history: written.append(path.name)
        )
        short = dataclasses.replace(TINY, debiased=dataclasses.replace(SMALL, epochs=2))
        real = equipoise.train.loop._Run.epoch

        def broken(self, epoch, *arguments):
            if epoch == 1:
                raise KeyboardInterrupt
            real(self, epoch, *arguments)

        monkeypatch.setattr(equipoise.train.loop._Run, "epoch", broken)
        with pytest.raises(KeyboardInterrupt):
            equipoise.fit(table, short, engine=ENGINE, folder=tmp_path)
        monkeypatch.setattr(equipoise.train.loop._Run, "epoch", real)
        return told(equipoise.fit(table, short, engine=ENGINE, folder=tmp_path, resume=True), test), written

    (first, written), (second, none) = by_two(work)
    assert_same(first, whole)
    assert np.array_equal(first[0], second[0])
    assert written
    assert not none


def test_other_tables_or_settings_are_refused_in_each_process(scene, by_two):
    tables = scene(48), scene(48, seed=1)
    for found in by_two(lambda rank: equipoise.fit(tables[rank], TINY, engine=ENGINE)):
        assert isinstance(found, InputError)
        assert "the table, recipe, method and seed to be the same in all 2 processes" in str(found)
        assert "rank 1 than" in str(found)


def test_a_folder_that_one_process_does_not_see_is_refused(scene, by_two, tmp_path):
    table = scene(48)
    equipoise.fit(table, TINY, engine=ENGINE)

    def work(rank):
        equipoise.fit(table, TINY, engine=ENGINE, folder=tmp_path / "0")
        return equipoise.fit(table, TINY, engine=ENGINE, folder=tmp_path / str(rank), resume=True)

    assert all("what training goes on from" in str(found) for found in by_two(work))


def test_a_lost_process_is_told_by_the_other(scene, by_two):
    table = scene(48)

    def work(rank):
        real, taken = steps.Steps._update, []

        def update(self, *arguments):
            taken.append(1)
            if rank == 1 and len(taken) == 3:
                raise KeyError("lost")
            return real(self, *arguments)

        steps.Steps._update = update
        try:
            return equipoise.fit(table, TINY, method="plain", engine=ENGINE)
        except KeyError:
            torch.distributed.destroy_process_group()
            raise

    first, second = by_two(work)
    assert isinstance(second, KeyError)
    assert isinstance(first, TrainingError)
    assert "all 2 processes to go on; another one stopped" in str(first)


@pytest.fixture
def started(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "4")


def test_processes_are_those_that_were_started(started):
    assert launched() == 4
    assert Engine(device="cpu").resolved().processes == 4
    assert Engine(device="cpu", processes=4).resolved().processes == 4
    with pytest.raises(InputError, match=r"WORLD_SIZE 4\); got `processes` 2"):
        Engine(device="cpu", processes=2).resolved()


def test_jobs_that_write_a_folder_are_for_one_process(started, tmp_path):
    with pytest.raises(InputError, match=r"got 4 that were started together \(WORLD_SIZE\)"):
        Output(tmp_path)


@pytest.mark.parametrize("size", ["", "1", "0", "two"])
def test_without_a_launcher_there_is_one_process(monkeypatch, size):
    monkeypatch.setenv("WORLD_SIZE", "4")  # of something else
    assert launched() == 1
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", size)
    assert launched() == 1


def test_an_image_is_changed_alike_whichever_process_has_it():
    images = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    names = ("flip", "shift", "zoom", "light", "colour", "erase")
    whole = augmented(images, names, generator=torch.Generator().manual_seed(1))
    for rank in range(2):
        chance = torch.Generator().manual_seed(1)
        own = augmented(images[rank::2], names, generator=chance, rank=rank, replicas=2)
        assert torch.equal(own, whole[rank::2])


SCRIPT = """
import os, sys
import numpy as np
sys.path[:0] = sys.argv[2:]
from conftest import discs
from test_ranks import ENGINE, TINY, backbone, dataclasses, recipe, told
import equipoise

table, test = discs(48), discs(30, seed=5)
tune = recipe("fine-tune")
tune = dataclasses.replace(tune, debiased=dataclasses.replace(tune.debiased, batch_size=12, epochs=1))
if os.environ.get("DIES") == os.environ.get("RANK", "none"):
    real = equipoise.train.loop._Run.validate
    equipoise.train.loop._Run.validate = lambda self, epoch, events: os._exit(7)
found = {
    "scratch": told(equipoise.fit(table, TINY, engine=ENGINE, validation=test, folder=sys.argv[1]), test)[0],
    "probe": told(equipoise.fit(table, "probe", backbone=backbone(), engine=ENGINE), test)[0],
    "fine-tune": told(equipoise.fit(table, tune, backbone=backbone(), engine=ENGINE), test)[0],
}
np.savez(os.path.join(sys.argv[1], os.environ.get("RANK", "alone")), **found)
"""


def by_torchrun(folder, dies="nobody"):
    (folder / "script.py").write_text(SCRIPT)
    here = Path(__file__).parent
    asked = ["--standalone", "--nproc-per-node", "2", "script.py", str(folder), str(here), str(here.parent)]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *asked],
        cwd=folder,
        env={**os.environ, "DIES": dies, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_torchrun(tmp_path, scene):
    done = by_torchrun(tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in range(2))
    table, test = scene(48), scene(30, seed=5)
    alone = predict(equipoise.fit(table, TINY, engine=ENGINE).model, test)
    assert np.abs(first["scratch"] - alone).max() < CLOSE
    for name in first.files:
        assert np.array_equal(first[name], second[name])


@pytest.mark.slow
def test_torchrun_ends_when_a_process_dies(tmp_path):
    done = by_torchrun(tmp_path, dies="1")
    assert done.returncode
    assert "exitcode  : 7" in done.stderr


def plain_backbone():
    """Of layers that new processes can load."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Softplus(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        return Backbone.of(nn.Sequential(*body, nn.Linear(16, 2)), size=16)


@pytest.mark.slow
def test_new_processes_make_the_features_and_the_model_of_one(scene, tmp_path):
    table, test = scene(48), scene(30, seed=5)
    alone = told(equipoise.fit(table, TINY, engine=ENGINE), test)
    two = dataclasses.replace(ENGINE, processes=2)
    assert_same(told(equipoise.fit(table, TINY, engine=two), test), alone)
    for cache in (None, tmp_path):
        paces = []
        featured = Featured(plain_backbone(), cache, paces.append)
        share_pass(featured, table, two.resolved())
        store = featured.of(table)
        assert np.abs(store.features.astype(float) - features(plain_backbone(), table).features).max() < 1e-2
        assert (store.folder is not None) == (cache is not None)
        assert [pace.waiting for pace in paces] == [True]  # the pass was not here
    again = Featured(plain_backbone(), tmp_path, paces.append)
    share_pass(again, table, two.resolved())
    assert len(paces) == 1  # nor a second time
