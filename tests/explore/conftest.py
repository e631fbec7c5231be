"""Runs to look around in: small, with pictures whose colour says which they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.explore import Exploration, opened
from equipoise.explore.pictures import Wanted

MARKUP = "<img src=x onerror=alert(1)>"


def columns(count, *, seed=0):
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 2
    return {
        "path": [f"imgs/{row:06d}.png" for row in range(count)],
        "label": label,
        "probability_plain": np.clip(label * 0.5 + rng.random(count) * 0.6, 0, 1),
        "probability_debiased": np.clip(label * 0.4 + rng.random(count) * 0.65, 0, 1),
        "log_density": rng.normal(-100, 10, count),
        "skin": rng.choice(["light", "dark", MARKUP], count),
        "age": rng.normal(40, 12, count),
    }


def colour(row):
    return (row * 20 % 256, 255 - row * 20 % 256, 100)


@pytest.fixture
def markup():
    return MARKUP


@pytest.fixture
def table_file(tmp_path):
    """Makes a table of predictions beside its pictures, and gives the file; only the first pictures are there."""

    def make(count=12, *, pictures=None, name="scores.parquet", folder="place", **more):
        place = tmp_path / folder
        (place / "imgs").mkdir(parents=True, exist_ok=True)
        for row in range(count if pictures is None else pictures):
            Image.new("RGB", (40, 20), colour(row)).save(place / "imgs" / f"{row:06d}.png")
        pq.write_table(pa.table(columns(count) | more), place / name)
        return place / name

    return make


@pytest.fixture
def run_folder(tmp_path, table_file, monkeypatch):
    """Makes the folder of a finished run whose pictures lie in `place/imgs` of the current folder."""
    from equipoise.run import Measuring, Output, PredictionTables, evaluate_predictions

    monkeypatch.chdir(tmp_path)

    def make(count=12, *, settings='data = "place/imgs"\n', **more):
        table = table_file(count, **{"path": [f"place/imgs/{row:06d}.png" for row in range(count)], **more})
        evaluate_predictions(
            PredictionTables((table,), score_column="probability_plain"),
            measuring=Measuring(replicates=100),
            output=Output("run"),
        )
        folder = tmp_path / "run"
        (folder / "scores.parquet").write_bytes(table.read_bytes())
        (folder / "settings.toml").write_text(settings)
        return folder

    return make


@pytest.fixture
def exploring():
    """Explores a folder or a table, with its pictures found."""
    begun = []

    def begin(place, **wanted):
        found = opened(place)
        table = {"table": str(place)} if found.kind == "table" else {}
        one = Exploration(found, Wanted(found.settings, **{**table, **wanted}))
        begun.append(one)
        assert one.pictures.ready.wait(30)
        return one

    yield begin
    for one in begun:
        one.close()


@pytest.fixture
def umap_stub(tmp_path_factory, monkeypatch):
    """A module `umap`, here and in other processes, whose `fit_transform(vectors)` does as told; gives its calls."""
    folder = tmp_path_factory.mktemp("stub")
    monkeypatch.syspath_prepend(folder)
    had = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([had] if had else [])]))

    def make(body):
        lines = [
            "class UMAP:",
            "    def __init__(self, **said):",
            "        self.said = ' '.join(f'{name}={value}' for name, value in said.items())",
            "    def fit_transform(self, vectors):",
            f"        with open({str(folder / 'calls')!r}, 'a') as calls:",
            "            print(self.said, vectors.shape, file=calls)",
            f"        {body}",
        ]
        (folder / "umap.py").write_text("\n".join(lines))
        return lambda: (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []

    return make


@pytest.fixture
def damaged():
    """Changes a value of a JSON file."""

    def change(file: Path, **values):
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return change
