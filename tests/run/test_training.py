"""How models are trained: what is named is loaded once, and kept for all models of a run."""

import numpy as np
import pytest
from torch import nn

from equipoise.errors import InputError
from equipoise.run import Engine, Training, tuned
from equipoise.run.folder import open_folder
from equipoise.run.identity import Identity
from equipoise.run.training import Start, Trainer
from equipoise.train import recipe
from equipoise.train.embedding import Embedded

CPU = Engine(device="cpu", progress=False)
TINY = tuned(
    recipe("equipoise"),
    ["width=4", "depth=2", "plain.epochs=1", "plain.batch_size=16", "debiased.batch_size=16"],
)


class Pooled(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


def test_auto_is_resolved_once():
    start = Training("mit-2021").start(Engine(device="auto"))
    assert start.engine.precision in ("32-true", "bf16-mixed")
    assert start.engine == start.engine.resolved(start.recipe)
    assert start.settings()["precision"] == start.engine.precision


def test_settings_name_what_was_brought_and_identity_its_digest():
    start = Training(TINY, encoder=nn.Flatten(), embedding=Pooled(), seed=3).start(CPU)
    settings = start.settings()
    assert (settings["encoder"], settings["embedding"], settings["seed"]) == ("Flatten", "Pooled", 3)
    assert set(start.brought()) == {"encoder", "embedding"}
    assert "encoder" not in start.settings(brings=False)
    assert Training(TINY).start(CPU).brought() == {}


def test_vectors_are_computed_once_and_leave_the_identity_alone(scene):
    table = scene(100)
    start = Training(TINY, embedding=Pooled()).start(CPU)
    ready = start.embedded(table)
    assert isinstance(ready.embedding.embedding, Embedded)
    assert ready.settings() == start.settings()
    assert ready.embedding.named == "Pooled"
    without = Training(TINY).start(CPU)
    assert without.embedded(table) is without


def test_a_column_or_a_network_not_both():
    with pytest.raises(InputError, match="`embedding` and `embedding_column`"):
        Training(TINY, embedding=Pooled(), embedding_column="v").start(CPU)


def test_each_model_lies_where_it_is_looked_for(scene, tmp_path):
    lines = []
    table = scene(100)
    with open_folder(tmp_path, Identity({})) as folder:
        folder.begin()
        trainer = Trainer(Start(TINY, CPU, 1), folder, lines.append, top="second")
        first = trainer.plain("first", "a first one", table, seed=2)
        again = trainer.keep("second", trainer.fit("second", table, validation=table.take([])), table)
    assert lines == ["Training: a first one."]
    assert (first.seed, again.seed) == (2, 1)
    assert (tmp_path / "models" / "first" / "config.json").exists()
    assert (tmp_path / "config.json").exists()
    assert np.asarray(again.validation.get("epoch", [])).size == 0
