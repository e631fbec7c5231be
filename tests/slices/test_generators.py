"""The contract of generators: who belongs is told by features or columns alone, and nobody sees the half that tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equipoise.groups import Groups
from equipoise.slices.candidates import ClassView
from equipoise.slices.context import context, line_of_context
from equipoise.slices.generators import GENERATORS

ROWS = 600


def view(seed: int = 0) -> ClassView:
    """Each image stands twice with equal features and columns; one of the two may be wrong."""
    rng = np.random.default_rng(1)
    places = np.repeat(rng.normal(size=(ROWS // 2, 6)), 2, axis=0).astype(np.float32)
    hat = np.repeat(rng.integers(0, 3, ROWS // 2), 2)
    finding = np.arange(ROWS) % 4 < 3
    wrong = (rng.random(ROWS) < np.where((places[:, 0] > 0.7) & (hat == 1), 0.8, 0.1)) & finding
    return ClassView(
        places=places,
        shared=places,
        pull=np.linspace(0.5, 0.1, 6),
        line=np.linspace(0.5, 0.1, 6),
        finding=finding,
        wrong=wrong,
        surprise=np.where(wrong, 0.9, 0.1) * finding,
        columns=(
            Groups.from_column(hat.tolist(), attribute="hat"),
            Groups.from_column((places[:, 0] > 0.7).tolist(), attribute="bright"),
        ),
        generator=np.random.default_rng(seed),
    )


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda one: one.__name__)
def test_equal_images_belong_together_whatever_the_model_said_of_them(generator):
    found = list(generator(view()))
    assert found
    for candidate in found:
        assert candidate.rows.shape == (ROWS,)
        assert candidate.rows.dtype == bool
        assert (candidate.rows[::2] == candidate.rows[1::2]).all()


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda one: one.__name__)
def test_places_of_the_half_that_tests_move_no_border(generator):
    one = view()
    moved = replace(one, places=np.where(one.finding[:, None], one.places, one.places + 9))
    moved = replace(moved, shared=moved.places)
    for before, after in zip(generator(view()), generator(moved), strict=True):
        assert (before.rows[one.finding] == after.rows[one.finding]).all()


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda one: one.__name__)
def test_a_class_without_errors_is_no_trouble(generator):
    list(generator(replace(view(), wrong=np.zeros(ROWS, bool), surprise=np.zeros(ROWS))))


@pytest.fixture(scope="module")
def contexts():
    """Two classes on two kinds of ground, told by the sum of two axes; each axis pulls by itself, one hardly."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [1500, 500])
    water = rng.random(2000) < np.where(labels == 1, 0.7, 0.3)
    shared = rng.normal(size=(2000, 8))
    shared[:, 1] += np.where(water, 2, -2) - 1.5 * shared[:, 0]
    for label in (0, 1):
        shared[labels == label] -= shared[labels == label].mean(axis=0)
    return shared.astype(np.float32), labels, water


def test_the_line_of_context_ends_where_both_classes_fall_into_two_though_it_starts_aside(contexts):
    shared, labels, water = contexts
    start = np.array([0, 0.3, 0.1, 0, 0, 0.1, 0, 0])

    def right(line):
        sides = np.concatenate([shared[labels == label] @ line > 0 for label in (0, 1)])
        return max((sides == water).mean(), (sides != water).mean())

    line = line_of_context(shared, start, labels)
    assert right(start / shared.std(axis=0)) < 0.8
    assert right(line) > 0.86
    assert 0.8 < line[0] / line[1] < 1.6  # 1.5 tells the grounds best
    few = line_of_context(shared[:19], start, labels[:19])
    assert few.tolist() == [0.0] * 8


def test_the_sign_of_the_pull_is_the_sign_of_the_line(contexts):
    shared, labels, _ = contexts
    start = np.array([0, 0.3, 0.1, 0, 0, 0.1, 0, 0])
    np.testing.assert_allclose(
        line_of_context(shared, -start, labels),
        -line_of_context(shared, start, labels),
        rtol=1e-9,
        atol=1e-12,
    )


def test_clusters_along_the_line_are_the_grounds(contexts):
    shared, labels, water = contexts
    mine = labels == 0
    one = replace(
        view(),
        places=shared[mine],
        shared=shared[mine],
        columns=(),
        line=line_of_context(shared, np.array([0, 0.3, 0, 0, 0, 0, 0, 0]), labels),
        finding=np.ones(1500, bool),
    )
    found = list(context(one))
    assert [candidate.source for candidate in found] == ["context"] * 9
    alike = [float((candidate.rows == water[mine]).mean()) for candidate in found[:2]]
    assert max(alike) > 0.85
    assert min(alike) < 0.15


def test_a_failing_pair_of_values_is_a_candidate():
    told = {candidate.told for generator in GENERATORS for candidate in generator(view())}
    assert "hat = 1 and bright = True" in told
    assert "hat = 0 and bright = False" not in told
