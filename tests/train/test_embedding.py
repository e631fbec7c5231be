"""An embedding that the user brings decides what is rare."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.density import normalised
from equipoise.errors import InputError
from equipoise.nn import embed
from equipoise.resample import effective_sample_size, sampling_weights
from equipoise.train import Engine, Optimisation, Recipe, Resampling, fit, steps
from equipoise.train import loop as loop_module
from equipoise.train.embedding import column_vectors, embedding_vectors

QUICK = Optimisation(learning_rate=2e-3, batch_size=16, epochs=2)
TINY = Recipe(
    "tiny",
    plain=QUICK,
    debiased=QUICK,
    resampling=Resampling(rule="appearance", ess=0.5, max_weight=10.0, renew="once"),
    width=4,
    depth=2,
    latent=6,
    norm_momentum=0.1,
)


def with_rule(**changes):
    return dataclasses.replace(TINY, resampling=dataclasses.replace(TINY.resampling, **changes))


class MeanColour(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, images):
        return self.scale * images.mean((2, 3))


def weights_of(fitted):
    return torch.cat([p.detach().reshape(-1) for p in fitted.model.parameters()])


def with_column(table, values, name="vector"):
    attributes = table.attributes.append_column(name, values)
    return ImageTable.from_arrays(table.batch(np.arange(len(table))), table.labels, attributes)


def test_the_rare_under_the_embedding_are_drawn_more_often(scene):
    table = scene(600, rare=0.08, noise=0.05)
    blue = np.array([value == "blue" for value in table.column("colour")])[table.positives]
    fitted = fit(table, TINY, embedding=MeanColour())
    assert effective_sample_size(fitted.weights[1]) == pytest.approx(0.5, abs=0.01)
    assert fitted.weights[1][blue].mean() * len(blue) > 2.5
    vectors = embed(MeanColour(), table, rows=table.positives)
    expected = sampling_weights(normalised(vectors, "cosine"), rule="neighbours", ess=0.5, max_weight=10.0)
    np.testing.assert_array_equal(fitted.weights[1], expected)


def test_a_network_an_array_and_a_column_are_one_and_the_same(scene):
    table = scene()
    module = MeanColour()
    vectors = embed(module, table)
    column = with_column(table, pa.array(vectors.tolist(), pa.list_(pa.float32(), 3)))
    fits = [
        fit(table, TINY, embedding=module),
        fit(table, TINY, embedding=vectors),
        fit(table, TINY, embedding=torch.from_numpy(vectors)),
        fit(column, TINY, embedding="vector"),
    ]
    for other in fits[1:]:
        assert torch.equal(weights_of(fits[0]), weights_of(other))
        np.testing.assert_array_equal(fits[0].weights[1], other.weights[1])
    assert float(module.scale.detach()) == 1.0
    assert module.training


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule", ["equipoise", "neighbours", "histogram", "mixture", "clusters", "max", "product"]
)
def test_every_rule_on_codes_takes_an_embedding(scene, rule):
    recipe = with_rule(rule=rule, clusters=4, classes="both", normalisation="standardised", warmup=1)
    fitted = fit(scene(), recipe, embedding=MeanColour())
    assert effective_sample_size(fitted.weights[1]) == pytest.approx(0.5, abs=0.01)
    assert effective_sample_size(fitted.weights[0]) == pytest.approx(0.5, abs=0.01)
    again = fit(scene(), recipe, embedding=MeanColour())
    assert torch.equal(weights_of(fitted), weights_of(again))


def test_weights_are_made_once_and_what_draws_uniformly_does_not_look(scene, monkeypatch):
    made = []
    real = loop_module.Rarity.weights
    monkeypatch.setattr(loop_module.Rarity, "weights", lambda *a: made.append(1) or real(*a))
    fit(scene(), with_rule(rule="equipoise", renew="every-epoch", harvest=True), embedding=MeanColour())
    assert len(made) == 1
    fitted = fit(scene(), TINY, method="uniform", embedding=MeanColour())
    assert 1 not in fitted.weights
    assert torch.equal(weights_of(fitted), weights_of(fit(scene(), TINY, method="uniform")))


def test_resume_with_an_embedding(scene, tmp_path, monkeypatch):
    recipe = with_rule(classes="both", rule="clusters", clusters=4)
    whole = fit(scene(), recipe, embedding=MeanColour(), folder=tmp_path / "whole")
    real, calls = steps.augmented, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(steps, "augmented", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(scene(), recipe, embedding=MeanColour(), folder=tmp_path / "part")
    monkeypatch.setattr(steps, "augmented", real)
    with pytest.raises(InputError, match="embedding differ"):
        fit(scene(), recipe, embedding=MeanColour(2.0), folder=tmp_path / "part", resume=True)
    resumed = fit(scene(), recipe, embedding=MeanColour(), folder=tmp_path / "part", resume=True)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    np.testing.assert_array_equal(whole.weights[1], resumed.weights[1])
    np.testing.assert_array_equal(whole.weights[0], resumed.weights[0])


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float16()), pa.list_(pa.int64())],
)
def test_columns_of_vectors(scene, kind):
    values = [[i, 2 * i] for i in range(40)]
    if pa.types.is_floating(kind.value_type):
        values = [[np.float16(x) for x in row] for row in values]
    table = with_column(scene(40), pa.chunked_array([pa.array(values[:7], kind), pa.array(values[7:], kind)]))
    np.testing.assert_array_equal(
        column_vectors(table, "vector", np.arange(40)), np.array(values, np.float32)
    )
    part = table.take([5, 3])
    np.testing.assert_array_equal(column_vectors(part, "vector", np.arange(2)), [[5, 10], [3, 6]])
    np.testing.assert_array_equal(embedding_vectors("vector", table, np.array([39, 0])), [[39, 78], [0, 0]])


def test_only_what_is_weighted_needs_a_vector(scene):
    table = scene()
    vectors = embed(MeanColour(), table)
    values = [vector.tolist() if label else None for vector, label in zip(vectors, table.labels, strict=True)]
    column = with_column(table, pa.array(values))
    np.testing.assert_array_equal(
        fit(column, TINY, embedding="vector").weights[1], fit(table, TINY, embedding=vectors).weights[1]
    )
    with pytest.raises(InputError, match="one for every image that is weighted; got none in row 0"):
        fit(column, with_rule(classes="both"), embedding="vector")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array(["a"] * 40), "Expected lists of numbers in column 'vector'.* got string"),
        (pa.array([["a"]] * 40), "got list<item: string>"),
        (pa.array([[1.0, 2.0]] * 39 + [[1.0]]), "got one of length 1 in row 39 and one of length 2 in row 0"),
        (pa.array([[1.0]] * 39 + [None]), "got none in row 39"),
        (pa.array([None] + [[1.0]] * 39), "got one of length 1 in row 1 and none in row 0"),
        (pa.array([[]] * 40, pa.list_(pa.float32())), "got one of length 0 in row 0"),
        (
            pa.array([[1.0, 2.0]] * 20 + [[1.0, None]] * 20),
            "finite; got NaN or infinity in column .* image 20",
        ),
    ],
)
def test_columns_that_hold_no_vectors(scene, values, message):
    with pytest.raises(InputError, match=message):
        embedding_vectors("vector", with_column(scene(40), values), np.arange(40))


@pytest.mark.parametrize(
    ("embedding", "recipe", "message"),
    [
        (np.zeros((239, 3)), TINY, r"each of 240 images, shape \(240, d\); got shape \(239, 3\)"),
        (np.zeros(240), TINY, r"got shape \(240,\)"),
        (np.full((240, 2), np.inf), TINY, "finite; got NaN or infinity in the embedding for image 1"),
        (lambda images: images, TINY, "must be a torch nn.Module, vectors of numbers, or a column's name"),
        ("vectors", TINY, "Expected a column 'vectors' of vectors; the table has colour"),
        (nn.Flatten(0), TINY, "one vector an image"),
        (MeanColour(), with_rule(rule="capsa"), "got 'capsa', which needs the errors of a reconstruction"),
    ],
)
def test_embeddings_that_cannot_be_used(scene, embedding, recipe, message):
    with pytest.raises(InputError, match=message):
        fit(scene(), recipe, embedding=embedding)


@pytest.mark.slow
def test_two_processes_weigh_by_an_embedding(scene):
    one = fit(scene(), TINY, embedding=MeanColour(), engine=Engine(device="cpu"))
    two = fit(scene(), TINY, embedding=MeanColour(), engine=Engine(device="cpu", processes=2))
    np.testing.assert_array_equal(one.weights[1], two.weights[1])
