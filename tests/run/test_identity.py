"""Which runs are the same: equal ones are shown or continued, all others refused, whatever it is that differs."""

import json
import tomllib
from copy import deepcopy

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from equipoise.errors import DataError, InputError
from equipoise.run import (
    Engine,
    Measuring,
    Output,
    Scoring,
    Sources,
    Training,
    audit,
    debias,
    evaluate,
    train,
    train_generator,
    tuned,
)
from equipoise.run.folder import open_folder
from equipoise.run.identity import Identity, earlier_identity, model_digest
from equipoise.train import GAN, recipe

TINY = tuned(
    recipe("equipoise"),
    [
        "width=4",
        "depth=2",
        "plain.epochs=1",
        "debiased.epochs=1",
        "plain.batch_size=16",
        "debiased.batch_size=16",
    ],
)
CPU = Engine(device="cpu", progress=False)
QUICK = {"recipe": TINY, "engine": CPU, "replicates": 100}


def encoder(seed=0, slope=0.1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.LeakyReLU(slope), nn.Flatten(), nn.Linear(196, 6))


class Pooled(nn.Module):
    def __init__(self, by=1.0):
        super().__init__()
        self.by = by

    def forward(self, images):
        return images.mean((2, 3)) * self.by


@pytest.fixture
def table(scene):
    return scene(200)


OTHERS = {
    "encoder": (
        {"encoder": encoder(0)},
        [{"encoder": encoder(1)}, {"encoder": encoder(0, slope=0.3)}, {"encoder": nn.Flatten()}, {}],
    ),
    "nothing": ({}, [{"encoder": encoder(0)}, {"embedding": Pooled()}]),
    "embedding": (
        {"embedding": Pooled(1.0)},
        [
            {"embedding": Pooled(2.0)},
            {"embedding": nn.Sequential(encoder(0))},
            {"embedding": nn.Flatten()},
            {},
        ],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("brought", OTHERS)
def test_a_finished_run_is_shown_to_its_like_alone(asked, table, tmp_path, scene, brought):
    first, others = OTHERS[brought]
    record = debias(**asked(data=table, out=tmp_path, **QUICK, **first))
    before = (tmp_path / "record.json").read_bytes()
    again = debias(**asked(data=scene(200), out=tmp_path, **QUICK, **deepcopy(first)))
    assert again.models == record.models
    for other in others:
        with pytest.raises(InputError, match=r"(encoder|embedding): .* there, .* now.*`overwrite`"):
            debias(**asked(data=table, out=tmp_path, **QUICK, **other))
    renamed = scene(200)
    colours = [None if value is None else f"{value}ish" for value in renamed.column("colour")]
    object.__setattr__(renamed, "attributes", pa.table({"colour": colours}))
    for data in (table.take(np.arange(len(table))[::-1]), scene(200, noise=0.1), renamed):
        with pytest.raises(InputError, match="the same sources hold other images now"):
            debias(**asked(data=data, out=tmp_path, **QUICK, **first))
    assert (tmp_path / "record.json").read_bytes() == before


def test_how_fast_and_where_it_runs_is_no_part_of_it():
    settings = Engine(device="cpu", precision="32-true").settings()
    faster = Engine(device="cuda", precision="32-true", tensorboard=True, progress=False).settings()
    first = Identity({**settings, "workers": 1, "cache": "here"})
    assert Identity({**faster, "workers": 8, "cache": "there"}).differences(first, finished=False) == []
    other = Engine(device="cpu", precision="bf16-mixed").settings()
    assert Identity({**other, "workers": 1, "cache": "here"}).differences(first, finished=False) == [
        "precision: '32-true' there, 'bf16-mixed' now"
    ]


def test_an_unfinished_run_of_another_encoder_is_not_continued(asked, table, tmp_path, monkeypatch):
    from equipoise.train import loop

    def stop(*_):
        raise KeyboardInterrupt

    options = {"recipe": TINY, "engine": CPU, "data": table, "out": tmp_path}
    save = loop._save
    monkeypatch.setattr(loop, "_save", lambda *given: (save(*given), stop()))
    with pytest.raises(KeyboardInterrupt):
        train(**asked(encoder=encoder(0), **options))
    monkeypatch.setattr(loop, "_save", save)
    with pytest.raises(InputError, match="encoder: "):
        train(**asked(encoder=encoder(1), resume=True, **options))
    assert train(**asked(encoder=encoder(0), resume=True, **options)).fit.steps > 0


def test_a_run_before_identities_is_continued_where_nothing_was_brought(asked, table, tmp_path):
    debias(**asked(data=table, out=tmp_path, **QUICK))
    settings = (tmp_path / "settings.toml").read_text()
    (tmp_path / "settings.toml").write_text(settings.partition("\n[identity]")[0])
    debias(**asked(data=table, out=tmp_path, **QUICK))
    there = json.loads((tmp_path / "record.json").read_text())["versions"]["equipoise"]
    (tmp_path / "settings.toml").write_text(
        settings.partition("\n[identity]")[0] + 'encoder = "Sequential"\n'
    )
    with pytest.raises(InputError, match=rf"encoder: not noted by equipoise {there}, which wrote it"):
        debias(**asked(data=table, out=tmp_path, encoder=encoder(), **QUICK))


def test_an_unfinished_run_of_another_version_is_named(tmp_path):
    with open_folder(tmp_path, Identity({"a": 1}, versions={"equipoise": "0.0.1", "torch": "1.0"})) as folder:
        folder.settled({"train": "1"}).begin()
        (tmp_path / "checkpoints").mkdir()
    with (
        pytest.raises(InputError, match=r"equipoise: '0\.0\.1' there.*torch: '1\.0' there"),
        open_folder(tmp_path, Identity({"a": 1}), resume=True),
    ):
        pass
    (tmp_path / "record.json").write_text("{}")
    with open_folder(tmp_path, Identity({"a": 1})) as folder:
        assert folder.finished  # its record says what it was made with


def test_the_table_reads_back_and_other_versions_of_it_are_refused(tmp_path):
    brought = {"encoder": "12", 'odd "name"': "é"}
    whole = Identity({"groups": ("a", "b"), "epochs": None, "seed": 3}).of(
        {"train": "ab", "test of seed 1": "cd"}, brought
    )
    (tmp_path / "settings.toml").write_text(whole.text(), encoding="utf-8")
    back = earlier_identity(tmp_path)
    assert (back.brought, back.data, back.versions) == (brought, whole.data, whole.versions)
    assert back.settings == {"groups": ["a", "b"], "seed": 3}
    assert whole.differences(back, finished=False) == []
    (tmp_path / "settings.toml").write_text(whole.text().replace("version = 1", "version = 99", 1))
    with pytest.raises(DataError, match=r"identity version 1.*got 99"):
        earlier_identity(tmp_path)
    (tmp_path / "settings.toml").write_text("identity = 3")
    with pytest.raises(DataError, match=r"identity version 1.*got 3"):
        earlier_identity(tmp_path)
    assert tomllib.loads(whole.text())["identity"]["brought"] == brought


@pytest.fixture
def models(table, tmp_path):
    """Two models that differ in their seed, in folders of the same name."""
    for seed in (0, 1):
        train(
            Sources(data=table),
            method="plain",
            training=Training(TINY, seed=seed),
            engine=CPU,
            output=Output(tmp_path / f"{seed}"),
        )
    return tmp_path


@pytest.mark.parametrize("job", ["evaluate", "generator", pytest.param("audit", marks=pytest.mark.slow)])
def test_a_model_of_the_same_name_and_other_weights_is_another(models, table, job):
    used, out = models / "used", models / "out"
    small = GAN(latent=4, width=4, discriminator_width=4, steps=2, batch_size=8)
    quick = Scoring(methods=["neighbours", "dropout"], epochs=1)
    data, where = Sources(data=table), {"engine": CPU, "output": Output(out)}
    jobs = {
        "evaluate": lambda: evaluate(used, data, measuring=Measuring(replicates=100), **where),
        "audit": lambda: audit(used, data, scoring=quick, **where),
        "generator": lambda: train_generator(table, small, score_with=used, **where),
    }
    (models / "0").rename(used)
    jobs[job]()
    used.rename(models / "0")
    (models / "1").rename(used)
    with pytest.raises(InputError, match=r"(model|score_with)( 1)?: .* there, .* now"):
        jobs[job]()


def test_a_models_digest_is_of_what_its_files_hold(models):
    assert model_digest(models / "0") != model_digest(models / "1")
    before = model_digest(models / "0")
    (models / "0" / "history.csv").write_text("something else")
    assert model_digest(models / "0") == before
    (models / "0" / "density.safetensors").unlink()
    assert model_digest(models / "0") != before
