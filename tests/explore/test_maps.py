"""Maps and neighbours against what they are by definition."""

import json

import numpy as np
import pytest

from equipoise.explore.columns import Column
from equipoise.explore.maps import Space, kept_features, principal, spaces


@pytest.mark.parametrize("shape", [(200, 5), (20, 60), (5, 1), (1, 3)])
def test_principal_axes_are_those_of_the_singular_values(rng, shape):
    vectors = (rng.normal(size=shape) * np.arange(1, shape[1] + 1)).astype(np.float32)
    found, shares = principal(vectors)
    left, values, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    count = min(2, *shape)
    assert np.abs(found[:, :count]) == pytest.approx(np.abs(left * values)[:, :count], abs=1e-2)
    total = max(float((values**2).sum()), 1e-30)
    assert shares[0] == pytest.approx(values[0] ** 2 / total, abs=1e-4)


def test_all_principal_axes_keep_distances(rng):
    vectors = rng.normal(size=(30, 5)).astype(np.float32)
    found, shares = principal(vectors, axes=5)
    assert np.linalg.norm(found[3] - found[9]) == pytest.approx(
        np.linalg.norm(vectors[3] - vectors[9]), rel=1e-4
    )
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert list(shares) == sorted(shares, reverse=True)


def test_neighbours_are_the_nearest(rng):
    vectors = rng.normal(size=(50, 4)).astype(np.float16)
    rows, far = Space("features", "", vectors).near(7, 5)
    away = np.linalg.norm(vectors.astype(np.float32) - vectors[7].astype(np.float32), axis=1)
    away[7] = np.inf
    assert rows.tolist() == np.argsort(away)[:5].tolist()
    assert far == pytest.approx(np.sort(away)[:5], rel=1e-5)
    assert len(Space("features", "", vectors[:1]).near(0, 5)[0]) == 0


def store(folder, values, **said):
    folder.mkdir(parents=True)
    np.save(folder / "features.npy", values)
    layout = {"format": "equipoise-features-1", "rows": len(values), "dimensions": values.shape[1]}
    (folder / "store.json").write_text(json.dumps(layout | said))


def test_kept_features_are_taken_as_they_are_or_not_at_all(tmp_path):
    values = np.ones((6, 3), np.float16)
    store(tmp_path / "features" / "good", values)
    store(tmp_path / "features" / "other", values, format="equipoise-features-9")
    store(tmp_path / "features" / "objects", np.empty((6, 3), object))
    assert kept_features(tmp_path, "good", 6).shape == (6, 3)
    assert kept_features(tmp_path, "good", 7) is None
    for name in ("other", "objects", "gone", None):
        assert kept_features(tmp_path, name, 6) is None


def test_a_column_that_is_constant_or_empty_moves_nothing(rng):
    def column(name, values):
        return Column(name, name, np.asarray(values, np.float32), None, "score")

    some = rng.normal(size=9)
    found = spaces([column("a", some), column("b", [np.nan] * 9), column("c", [2] * 9)], None)
    assert np.isfinite(found[0].vectors).all()
    assert found[0].vectors[:, 1:].tolist() == [[0, 0]] * 9
    assert spaces([column("a", some)], None) == []
