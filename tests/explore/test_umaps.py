"""UMAP in the background: begun when it is asked for, kept, and every way in which there is none."""

import importlib.util
import sys
import time

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.explore import umaps
from equipoise.explore.maps import Space
from equipoise.explore.umaps import MEANING, Umaps


@pytest.fixture
def vectors(rng):
    return rng.normal(size=(40, 3)).astype(np.float32)


@pytest.fixture
def begun():
    made = []

    def begin(vectors, home):
        made.append(Umaps({"features": Space("features", "", vectors)}, home))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def ended(one, seconds=60):
    end = time.monotonic() + seconds
    while (said := one.said("features"))["state"] == "computing":
        assert "s so far" in said["text"]
        assert time.monotonic() < end
        time.sleep(0.02)
    return said


def test_it_is_computed_apart_and_kept_beside_the_run(vectors, begun, tmp_path, umap_stub):
    calls = umap_stub("return vectors[:, :2] * 2")
    one = begun(vectors, tmp_path / "explored")
    assert one.said("features")["state"] == "computing"
    assert ended(one) == {"state": "ready", "text": MEANING}
    found = one.positions("features")
    assert found.shape == (40, 2)
    assert calls() == ["random_state=0 n_jobs=1 (40, 3)"]
    again = begun(vectors, tmp_path / "explored")
    ended(again)
    assert np.array_equal(again.positions("features"), found)
    assert len(calls()) == 1  # as it was kept
    other = begun(
        vectors + np.arange(3, dtype=np.float32) * np.arange(40, dtype=np.float32)[:, None],
        tmp_path / "explored",
    )
    ended(other)
    assert len(calls()) == 2
    assert len(list((tmp_path / "explored").iterdir())) == 1  # the old one is of other vectors


def test_damaged_positions_are_computed_again(vectors, begun, tmp_path, umap_stub):
    calls = umap_stub("return vectors[:, :2]")
    ended(begun(vectors, tmp_path))
    file = next(tmp_path.glob("umap-*.npy"))
    for content in (b"", b"no", file.read_bytes()[:-9]):
        file.write_bytes(content)
        assert ended(begun(vectors, tmp_path))["state"] == "ready"
    np.save(file, np.full((40, 2), np.nan, np.float32))
    assert ended(begun(vectors, tmp_path))["state"] == "ready"
    assert len(calls()) == 5


def test_without_the_extra_it_says_what_to_install(vectors, begun, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    one = begun(vectors, tmp_path)
    said = ended(one)
    assert said["state"] == "none"
    assert "pip install 'equipoise[umap]'" in said["text"]
    with pytest.raises(InputError, match="not installed"):
        one.positions("features")


@pytest.mark.parametrize(
    "body", ["raise ValueError('no luck <b>')", "return vectors[:3, :2]", "import os; os._exit(3)"]
)
def test_what_fails_is_said(vectors, begun, tmp_path, umap_stub, body):
    umap_stub(body)
    said = ended(begun(vectors, tmp_path))
    assert said["state"] == "none"
    assert "could not be computed" in said["text"]
    assert ("no luck <b>" in said["text"]) == ("luck" in body)
    assert list(tmp_path.glob("umap-*")) == []


def test_too_few_too_many_and_not_finite(vectors, begun, tmp_path, monkeypatch, umap_stub):
    calls = umap_stub("return vectors[:, :2]")
    assert "20 to 300,000 rows; there are 5" in ended(begun(vectors[:5], tmp_path))["text"]
    monkeypatch.setattr(umaps, "MOST", 30)
    assert "PCA shows them" in ended(begun(vectors, tmp_path))["text"]
    monkeypatch.undo()
    vectors[3, 1] = np.inf
    assert "finite" in ended(begun(vectors, tmp_path))["text"]
    assert calls() == []
    with pytest.raises(InputError, match="one of the maps features"):
        begun(vectors, tmp_path).said("nothing")


def test_a_folder_that_cannot_be_written_to_costs_time_alone(vectors, begun, tmp_path, umap_stub):
    umap_stub("return vectors[:, :2]")
    (tmp_path / "file").write_text("")
    assert ended(begun(vectors, tmp_path / "file" / "explored"))["state"] == "ready"


def test_it_ends_with_the_explorer(vectors, begun, tmp_path, umap_stub):
    calls = umap_stub("import time; time.sleep(600)")
    one = begun(vectors, tmp_path)
    one.said("features")
    end = time.monotonic() + 30
    while not calls():
        assert time.monotonic() < end
        time.sleep(0.02)
    one.close()
    assert one._process.poll() is not None
    assert one.said("features")["state"] == "none"


@pytest.mark.slow
def test_umap_itself_parts_what_is_apart_and_repeats(begun, tmp_path):
    if importlib.util.find_spec("umap") is None:  # it is imported in a process of its own only
        pytest.skip("umap-learn is not installed")
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(120, 8)) + np.repeat([0, 20], 60)[:, None]).astype(np.float32)
    one = begun(vectors, tmp_path / "a")
    assert ended(one, 250)["state"] == "ready"
    first, second = np.split(one.positions("features"), 2)
    apart = np.linalg.norm(first.mean(0) - second.mean(0))
    assert apart > 2 * max(np.linalg.norm(half - half.mean(0), axis=1).mean() for half in (first, second))
    again = begun(vectors, tmp_path / "b")
    ended(again, 250)
    assert np.array_equal(again.positions("features"), one.positions("features"))
