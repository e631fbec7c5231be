"""`equipoise augment` through the command line, on pictures in files and a generator in a module of the user's."""

import numpy as np
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.report import read_augment

GENERATOR = """
import torch
from torch import nn
from equipoise.latent import ModuleGenerator


class Renderer(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, latents):
        bright, blue = torch.sigmoid(self.scale * latents[:, :2]).T
        images = torch.full((len(latents), 3, 32, 32), 0.35)
        images[:, 0] += 0.3 * (1 - blue)[:, None, None]
        images[:, 2] += 0.3 * blue[:, None, None]
        images[:, :, 4:16, 4:16] += 0.25 * bright[:, None, None, None]
        images[:, :, 16:28, 16:28] += 0.25 * (1 - bright)[:, None, None, None]
        return (images + 0.02 * latents[:, 2:3, None, None]).clamp(0, 1)


def drawer():
    return ModuleGenerator(Renderer(), 4, output_range=(0, 1))
"""


def draw(folder, count, rare, seed):
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = ["path,bright,light"]
    for i in range(count):
        bright = i % 2
        blue = 1 - bright if (i // 2) % round(1 / rare) == 0 else bright
        image = np.full((32, 32, 3), 90.0) + chance.normal(0, 25, (32, 32, 3))
        image[..., 2 if blue else 0] += 76
        corner = slice(4, 16) if bright else slice(16, 28)
        image[corner, corner] += 64
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{'yes' if bright else 'no'},{'blue' if blue else 'red'}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "list.csv")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("augment")
    (root / "drawing.py").write_text(GENERATOR)
    draw(root / "train", 240, 0.1, 0)
    draw(root / "test", 96, 0.5, 1)
    return root


@pytest.fixture(autouse=True)
def _here(place, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(place / "cache"))
    monkeypatch.chdir(place)


def flags(**changes):
    given = {
        "target": "bright",
        "positive-class": "yes",
        "protected": "light",
        "generator": "drawing:drawer",
        "test-data": "test/list.csv",
        "image-size": 32,
        "epochs": 2,
        "batch-size": 16,
        "tune": "width=4",
        "latents": 400,
        "replicates": 100,
        "device": "cpu",
        "out": "run",
    }
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    return ["augment", "train/list.csv", *(f"--{n}={v}" for n, v in given.items() if v is not None)]


@pytest.mark.slow
def test_from_files_to_a_report(place, capsys):
    assert main(flags()) == 0
    printed = capsys.readouterr()
    assert "with pairs" in printed.out
    assert "Report: run/report.html" in printed.out
    assert "are as meant: target kept in" in printed.err
    record = read_augment(place / "run")
    assert record.command.startswith("equipoise augment train/list.csv --target=bright")
    assert record.generator.source == "drawing:drawer"
    assert record.protected["light"].sides == ["blue", "red"]
    page = (place / "run" / "report.html").read_text()
    assert "show_edits" in page
    # the settings of a run are a settings file; the finished run is shown
    assert main(["augment", "--config=run/settings.toml", "--out=run"]) == 0
    assert "holds this run already" in capsys.readouterr().err
    (place / "run" / "report.html").unlink()
    assert main(["report", "run"]) == 0
    assert (place / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protected": "shade"}, "Expected a column 'shade' for --protected"),
        ({"target": "dark"}, "dark"),
        ({"variant": "turn"}, "--variant must be one of complement"),
        ({"generator": "drawing:painter"}, "drawing has no 'painter'"),
        ({"generator": "drawing:Renderer"}, "A generator needs latent, sample and decode"),
        ({"protected": None}, "--protected"),
    ],
)
def test_what_is_wrong_is_said_in_words(changes, message, capsys):
    assert main(flags(out="wrong", **changes)) == 2
    assert message in capsys.readouterr().err
