"""Rows by cell: counts are known exactly."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.resample import cell_rows


def test_cells_are_drawn_equally_often_and_rows_within_one():
    cells = np.repeat([0, 1, 2], [50, 7, 3])
    rows = cell_rows(cells, 91, seed=3)
    by_cell = np.bincount(cells[rows])
    assert len(rows) == 91
    assert by_cell.max() - by_cell.min() <= 1
    for cell in range(3):
        times = np.bincount(rows, minlength=60)[cells == cell]
        assert times.max() - times.min() <= 1


def test_one_cell_makes_a_table_longer():
    times = np.bincount(cell_rows(np.zeros(10, int), 25), minlength=10)
    assert sorted(set(times.tolist())) == [2, 3]


def test_rows_without_a_cell_are_never_drawn():
    rows = cell_rows([-1, 0, 1, -1, 1], 40)
    assert set(rows.tolist()) == {1, 2, 4}


def test_the_seed_decides():
    cells = [0] * 20 + [1] * 5
    assert np.array_equal(cell_rows(cells, 30, seed=1), cell_rows(cells, 30, seed=1))
    assert not np.array_equal(cell_rows(cells, 30, seed=1), cell_rows(cells, 30, seed=2))


@pytest.mark.parametrize(("cells", "count"), [([-1, -1], 3), ([], 3), ([0, 1, 2], 2), ([0.5, 1.0], 4)])
def test_what_cannot_be_drawn_is_refused(cells, count):
    with pytest.raises(InputError, match="at least one cell"):
        cell_rows(cells, count)
