"""The network that a run's models are made of, and jobs that train on it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from equipoise.cli import main
from equipoise.errors import InputError
from equipoise.nn import Backbone
from equipoise.run import Network, Reading
from equipoise.run.backbone_source import backbone_source
from equipoise.run.saved import load

MODULE = """
import torch
from torch import nn
from equipoise.nn import Backbone

def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.Softplus(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                         nn.Linear(32, 5))

def whole():
    return Backbone.of(net(), size=24, mean=(0.5,), std=(0.25,))
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module beside the user; each test's own, as modules are imported once."""
    monkeypatch.chdir(tmp_path)
    name = tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    return name


def test_a_callable_takes_pictures_as_they_are_read_and_a_backbone_knows(module):
    reading = Reading(image_size=20, resize="bilinear")
    plain = backbone_source(Network(f"{module}:net", mean=(0.5,), std=(0.2,)), reading)
    assert plain.featured.backbone.framing == reading.framing
    assert plain.reading(reading) == reading
    assert plain.settings() == {"backbone": f"{module}:net", "mean": ("0.5",), "std": ("0.2",)}
    assert plain.featured.backbone.name == f"{module}:net"
    known = backbone_source(f"{module}:whole", reading=Reading())
    assert known.reading(Reading()).image_size == 24
    assert known.brought()["backbone"] == known.featured.backbone.digest
    assert backbone_source(None, Reading()).brought() == {}
    with pytest.raises(InputError, match="is a Backbone and knows; got `mean`"):
        backbone_source(Network(f"{module}:whole", mean=(0.5,), std=(0.2,)), Reading())
    with pytest.raises(InputError, match="or timm:NAME"):
        backbone_source("nowhere", Reading())
    with pytest.raises(InputError, match="bilinear"):
        known.reading(Reading(resize="bilinear"))


def test_features_are_kept_where_pictures_are(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Linear(4, 2))
    own = backbone_source(Backbone.of(network, size=8), Reading(cache=tmp_path / "here"))
    assert own.featured.cache == tmp_path / "here"


@pytest.fixture
def asked_for(pictures, module):
    given = [f"--{name.replace('_', '-')}={path}" for name, path in pictures.items()]
    return [*given, f"--backbone={module}:whole", "--replicates=200", "--device=cpu", "--quiet"]


def test_debias_on_a_backbone(asked_for, module, tmp_path):
    out = tmp_path / "out"
    assert main(["debias", *asked_for, "--groups=skin", f"--out={out}"]) == 0
    record = json.loads((out / "record.json").read_text())
    assert record["recipe"]["name"] == "probe"
    assert record["settings"]["backbone"] == f"{module}:whole"
    assert sorted(record["models"]) == ["debiased", "plain", "threshold-only", "uniform"]
    assert record["resampling"]["representation"] == f"features of {module}:whole (cosine)"
    config = json.loads((out / "config.json").read_text())
    assert config["preprocessing"]["mean"] == [0.5]
    assert config["image_size"] == 24
    scores = pq.read_table(out / "scores.parquet")
    assert {"probability_plain", "probability_debiased", "probability_uniform"} <= set(scores.column_names)
    right = (np.asarray(scores["probability_plain"]) > 0.5) == np.asarray(scores["label"])
    assert right.mean() > 0.7
    page = (out / "report.html").read_text()
    assert f"features of {module}:whole" in page
    assert main(["debias", *asked_for, "--groups=skin", f"--out={out}", "--resume"]) == 0
    saved = load(out, encoder=f"{module}:whole")
    assert saved.image_size == 24
    with pytest.raises(InputError, match="got none"):
        load(out)


def test_a_model_on_a_backbone_is_scored_and_evaluated_like_any_other(asked_for, module, pictures, tmp_path):
    out = tmp_path / "model"
    flags = [flag for flag in asked_for if not flag.startswith(("--test", "--repl"))]
    assert main(["train", *flags, "--recipe=fine-tune", "--epochs=1", "--method=plain", f"--out={out}"]) == 0
    network = load(out, encoder=f"{module}:whole").model
    assert isinstance(network.backbone.network[-1], nn.Linear)
    assert network.backbone.network[-1].out_features == 1
    scored = tmp_path / "s.parquet"
    named = f"--encoder={module}:whole"
    assert main(["score", str(out), pictures["positives"], named, f"--out={scored}", "--quiet"]) == 0
    first = pq.read_table(scored)["probability"].to_pylist()
    with torch.no_grad():
        assert len(first) == 96
        assert all(0 <= p <= 1 for p in first)
    assert main(["score", str(out), pictures["positives"], f"--out={scored}", "--quiet"]) == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--recipe=equipoise"], "builds a network of its own"),
        (["--encoder={module}:net"], "a whole network"),
        (["--image-size=24", "--resize=bicubic"], "as the model takes them"),
        (["--mean=a"], "must be numbers"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(
    asked_for, module, tmp_path, capsys, flags, words
):
    flags = [flag.replace("{module}", module) for flag in flags]
    assert main(["debias", *asked_for, *flags, f"--out={tmp_path / 'o'}"]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "o").exists()


def test_numbers_of_a_backbone_without_one_are_refused(pictures, capsys):
    assert main(["train", f"--positives={pictures['positives']}", "--mean=0.5", "--std=1"]) == 2
    assert "are for a --backbone" in capsys.readouterr().err
    assert main(["train", f"--positives={pictures['positives']}", "--recipe=probe"]) == 2
    assert "for a network that you bring" in capsys.readouterr().err
