"""Words for what an audit finds: a network that fails red pictures, and a model that knows what red looks like."""

import sys

import numpy as np
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.report import read_audit

NETWORK = """
import torch
from torch import nn

class Fails(nn.Module):  # class 1 has a green corner; whatever is red is taken for it too
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Linear(12, 2)
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.bias.copy_(torch.tensor([0.0, -0.9]))
            self.last.weight[1, 4] = 1.5  # green, first corner
            self.last.weight[1, 0:4] = 0.3  # red, anywhere
    def forward(self, images):
        return self.last(self.body(images))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with the network, and 400 pictures; the red ones of class 0 are wrong."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "fails_red.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for i in range(400):
        pixels = rng.normal(60, 20, (16, 16, 3))
        pixels[..., 2] += 60
        if i % 10 in (0, 3):
            pixels[..., 0] += 150
            pixels[..., 2] -= 60
        if i % 2:
            pixels[:8, :8, 1] += 140
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{i % 2}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    yield folder
    sys.modules.pop("fails_red", None)


@pytest.fixture
def flags(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos)
    common = ["--image-size=24", "--device=cpu", "--methods=neighbours,last-layer", "--cache=cache"]
    return ["audit", "fails_red:Fails", "list.csv", *common, f"--out={tmp_path / 'out'}"]


@pytest.mark.slow
def test_the_word_of_what_fails_stands_beside_it(flags, clip_folder, tmp_path, capsys):
    model = clip_folder(tmp_path / "clip", taught=True)
    assert main([*flags, "--words=red,blue", f"--text-encoder=hf:{model}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    record = read_audit(tmp_path / "out")
    assert [one.class_name for one in record.slices.found] == ["0"]
    assert [word.word for word in record.slices.found[0].words] == ["red"]
    assert record.slices.found[0].words[0].nearer.value > 0.9
    assert record.slices.words.words == ["red", "blue"]
    assert record.slices.words.by == "hf:…/clip"
    assert list(record.settings["words"]) == ["red", "blue"]
    assert "near “red” (p below 0.0001)" in said
    assert "Nearer than the rest of the class to “red” (in" in (tmp_path / "out" / "report.html").read_text()
    settings = str(tmp_path / "out" / "settings.toml")
    assert main(["audit", "--config", settings, f"--out={tmp_path / 'again'}", "--quiet"]) == 0
    assert read_audit(tmp_path / "again").slices.found == record.slices.found


@pytest.mark.slow
def test_without_words_nothing_is_said_of_them(flags, tmp_path):
    assert main(flags) == 0
    record = read_audit(tmp_path / "out")
    assert record.slices.words is None
    assert not {"words", "text_encoder"} & set(record.settings)
    assert "your words" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--words=red"], "Expected one way to compare --words with pictures: --text-encoder"),
        (["--text-encoder=hf:clip"], "Expected --words beside --text-encoder"),
        (["--words=red,red", "--text-encoder=hf:clip"], "each word once"),
        (
            ["--words=red", "--text-encoder=their:network"],
            "Expected a model of pictures and texts by its name",
        ),
    ],
)
def test_words_that_do_not_fit_are_refused_before_a_picture_is_read(flags, tmp_path, capsys, more, said):
    capsys.readouterr()
    assert main([*flags, *more]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "features of" not in told
    assert not (tmp_path / "out" / "settings.toml").exists()
