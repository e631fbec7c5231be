"""Which tables the models of `debias` are trained on and watched on."""

from types import SimpleNamespace

import numpy as np

from equipoise.data import ImageTable
from equipoise.data.split import Split
from equipoise.run.debias.job import train_all
from equipoise.run.training import Start
from equipoise.train import recipe


def table(first):
    images = np.full((64, 2, 2, 3), first, np.uint8)
    return ImageTable.from_arrays(images, np.arange(64) % 2)


def test_each_is_trained_on_the_training_side_watched_on_the_validation_side_and_kept():
    sides = Split(train=table(1), validation=table(2), test=table(3))
    trained, kept, said = [], [], []

    def fit(name, images, *, method, validation):
        trained.append((name, method, images, validation))
        return SimpleNamespace(name=name, notes=[f"note of {name}"])

    def keep(name, fitted, images):
        kept.append((name, fitted, images))
        return fitted

    start = Start(recipe("equipoise"), engine=None)
    trainer = SimpleNamespace(start=start, say=said.append, fit=fit, keep=keep)
    found = train_all(["plain", "debiased"], sides, trainer)
    assert trained == [(name, name, sides.train, sides.validation) for name in ("plain", "debiased")]
    assert [(name, fitted.name, images) for name, fitted, images in kept] == [
        (name, name, sides.train) for name in ("plain", "debiased")
    ]
    assert {name: fitted.name for name, fitted in found.items()} == {"plain": "plain", "debiased": "debiased"}
    assert said[-4:] == [
        "Training 1 of 2: plain classifier.",
        "note of plain",
        "Training 2 of 2: what is rare drawn more often.",
        "note of debiased",
    ]
