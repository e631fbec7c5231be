"""The numbers of a record are those of `fairness`, under the names and titles that people read."""

import dataclasses
from dataclasses import asdict

import numpy as np
import pytest

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.probabilities import from_logits
from equipoise.run.debias.numbers import Truth, measure


@pytest.fixture(scope="module")
def scene():
    """Images with two attributes, and scores of three models."""
    rng = np.random.default_rng(5)
    labels = np.arange(300) % 2
    columns = {
        "skin": rng.choice(["dark", "light"], 300).tolist(),
        "hat": rng.choice(["yes", "no"], 300).tolist(),
    }
    table = ImageTable.from_arrays(rng.integers(0, 256, (300, 2, 2, 3), dtype=np.uint8), labels, columns)
    return table, lambda name: from_logits(np.random.default_rng(len(name)).normal(2 * labels, 1))


def measured(scene, names, said=None):
    table, scores = scene
    say = (said if said is not None else []).append
    return measure(
        {name: scores(name) for name in names},
        Truth.of(table, ["skin", "hat"]),
        fpr=0.05,
        replicates=100,
        seed=2,
        say=say,
    )


@pytest.mark.slow
def test_they_are_what_evaluate_and_compare_return(scene):
    table, scores = scene
    found = measured(scene, ["plain", "debiased", "uniform"])
    groups = [table.groups("skin"), table.groups("hat")]
    options = {"fpr": 0.05, "replicates": 100, "seed": 2}
    for name in ("plain", "debiased", "uniform"):
        assert repr(asdict(found.models[name].numbers)) == repr(
            asdict(fairness.evaluate(scores(name), table.labels, groups, **options))
        )
    moved = fairness.threshold_only(scores("plain"), table.labels, groups, like=scores("debiased"), **options)
    assert repr(asdict(found.models["threshold-only"].numbers)) == repr(asdict(moved))
    several = {name: scores(name) for name in ("plain", "debiased", "uniform")}
    compared = fairness.compare(several, table.labels, groups, baseline="plain", **options)
    assert repr(asdict(found.comparisons)) == repr(asdict(compared))
    assert compared.differences.keys() == {"debiased", "uniform"}


def test_the_threshold_only_control_is_the_plain_model_at_the_debiased_models_false_positives(scene):
    """By hand, on scores whose false positives differ: 0 of the plain model, 30 of the debiased one."""
    table, _ = scene
    negative = table.labels == 0
    plain, debiased = (np.where(negative, -2.0, 1.0) + np.linspace(0, 0.9, 300) for _ in range(2))
    debiased[np.flatnonzero(negative)[:30]] = 3
    scores = {"plain": from_logits(plain), "debiased": from_logits(debiased)}
    found = measure(scores, Truth.of(table, ["skin"]), fpr=0.05, replicates=100, seed=0, say=print).models
    above = {name: (one.numbers.fpr.value, one.numbers.tpr.value) for name, one in found.items()}
    assert above["plain"] == (0, 1)
    assert above["debiased"] == (0.2, 1)
    assert above["threshold-only"] == (0.2, 1)
    assert found["threshold-only"].numbers.auroc == found["plain"].numbers.auroc
    assert found["threshold-only"].numbers.auroc != found["debiased"].numbers.auroc


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (["plain"], ["plain"]),
        (["plain", "plain-2"], ["plain", "plain 2"]),
        (
            ["uniform", "plain-same-steps", "plain-same-steps-3"],
            ["uniform, same losses", "plain, same steps", "plain, same steps 3"],
        ),
        (["mine", "debiased-12"], ["mine", "debiased 12"]),
    ],
)
def test_titles_name_the_method_and_nothing_else(scene, names, titles):
    found = measured(scene, names)
    assert [model.title for model in found.models.values()] == titles
    assert [model.role for model in found.models.values()] == [
        name if name in ("plain", "debiased") else "control" for name in names
    ]
    assert (found.comparisons is None) == (len(names) == 1)
    if found.comparisons:
        assert found.comparisons.baseline == names[0]


@pytest.mark.slow
def test_no_title_names_a_network(scene):
    titles = [model.title for model in measured(scene, ["plain", "debiased", "uniform"]).models.values()]
    assert not any(word in title for title in titles for word in ("VAE", "CNN"))


def test_images_and_positives_of_a_group_are_counted_apart(scene):
    table, _ = scene
    groups = measured(scene, ["plain"]).models["plain"].numbers.groups["skin"]
    column = np.array(table.column("skin"))
    for name, numbers in groups.items():
        assert numbers.n == (column == name).sum()
        assert numbers.positives == ((column == name) & (table.labels == 1)).sum() == numbers.tpr.n
        assert numbers.n > numbers.positives
    fields = {field.name for field in dataclasses.fields(numbers)}
    assert {"n", "positives", "small"} <= fields
