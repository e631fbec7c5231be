"""The contract of generators: who belongs is told by features or columns alone, and nobody sees the half that tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equipoise.groups import Groups
from equipoise.slices.candidates import ClassView
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


def test_a_failing_pair_of_values_is_a_candidate():
    told = {candidate.told for generator in GENERATORS for candidate in generator(view())}
    assert "hat = 1 and bright = True" in told
    assert "hat = 0 and bright = False" not in told
