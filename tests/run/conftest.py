"""Small pictures on disk: striped "faces" of two skins, one of them rare, and noise without stripes."""

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.run import Measuring, Output, Sources, Training

SIZE = 32
SMALL = ["--image-size=32", "--batch-size=16", "--epochs=1", "--tune=width=4", "--tune=latent=6"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def asked():
    """Single settings by the objects that jobs take: `debias(**asked(data=table, seed=1, out=folder))`."""

    def grouped(**settings):
        parts = {"sources": Sources, "training": Training, "measuring": Measuring, "output": Output}
        found = {}
        for name, kind in parts.items():
            mine = {one.name: settings.pop(one.name) for one in fields(kind) if one.name in settings}
            if mine:
                found[name] = kind(**mine)
        return {**found, **settings}

    return grouped


def draw(folder, count, *, kind, seed):
    """Write pictures and a manifest beside them; every eighth face is dark."""
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = ["path,skin,hat"]
    for i in range(count):
        image = chance.normal(128, 30, (SIZE, SIZE, 3))
        skin = "dark" if i % 8 == 0 else "light"
        if kind == "face":
            image[:, ::4] += 90 if skin == "light" else 35
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{skin},{'yes' if i % 2 else 'no'}" if kind == "face" else f"{i}.png,,")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "list.csv")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Paths of manifests: positives, negatives, and the same for testing."""
    root = tmp_path_factory.mktemp("pictures")
    return {
        "positives": draw(root / "faces", 96, kind="face", seed=0),
        "negatives": draw(root / "others", 96, kind="other", seed=1),
        "test_positives": draw(root / "test-faces", 48, kind="face", seed=2),
        "test_negatives": draw(root / "test-others", 48, kind="other", seed=3),
    }


@pytest.fixture(scope="session")
def flags(pictures):
    """The pictures and a small quick setting, as flags."""
    given = [f"--{name.replace('_', '-')}={path}" for name, path in pictures.items()]
    small = ["width=4", "latent=6", "resampling.warmup=0"]
    return [
        *given,
        "--image-size=32",
        "--batch-size=16",
        "--epochs=2",
        "--replicates=200",
        *[f"--tune={change}" for change in small],
        "--device=cpu",
    ]


@pytest.fixture(scope="session")
def models(pictures, tmp_path_factory):
    """Folders of a plain and of a debiased model."""
    root = tmp_path_factory.mktemp("models")
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    for method in ("plain", "debiased"):
        flags = ["--method", method, "--groups=skin", "--tune=resampling.warmup=0", "--device=cpu"]
        assert main(["train", *sources, *SMALL, *flags, f"--out={root / method}"]) == 0
    return root


@pytest.fixture(scope="session")
def test_flags(pictures):
    return ["--positives", pictures["test_positives"], "--negatives", pictures["test_negatives"]]
