"""An encoder of the user's own, by name: trained with, and needed again by whoever uses the model."""

import json

import pytest
from torch import nn

from equipoise.cli import main
from equipoise.errors import InputError, MissingExtraError
from equipoise.run.encoder_source import encoder_source

BACKBONES = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, width=4, slope=0.1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, 4), nn.LeakyReLU(slope), nn.Flatten(), nn.Linear(width * 64, 6)
        )

    def forward(self, images):
        return self.layers(images)

def wider():
    return Small(width=5)

def steeper():
    return Small(slope=0.5)

def four_channels():
    return nn.Sequential(nn.Conv2d(4, 4, 3, 4), nn.Flatten())

class Breaks(nn.Module):
    def forward(self, images):
        if self.training:
            raise ValueError("no training here")
        return images.flatten(1)

size = 3
"""
SMALL = [
    "--image-size=32",
    "--batch-size=16",
    "--epochs=1",
    "--device=cpu",
    "--tune=resampling.warmup=0",
    "--quiet",
]


@pytest.fixture(autouse=True)
def _backbones(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "backbones"
    folder.mkdir(exist_ok=True)
    (folder / "my_encoders.py").write_text(BACKBONES)
    monkeypatch.syspath_prepend(folder)


@pytest.fixture(scope="module")
def sources(pictures):
    return ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]


@pytest.fixture(scope="module")
def used(sources, tmp_path_factory):
    """A folder of models: two with encoders, one without."""
    folder = tmp_path_factory.mktemp("encoders")
    (folder / "my_encoders.py").write_text(BACKBONES)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        vae = [
            "--encoder=my_encoders:Small",
            "--recipe=equipoise-latent",
            "--tune=latent=4",
            "--tune=width=4",
        ]
        for name, flags in {
            "own": ["--encoder=my_encoders:Small", "--method=plain"],
            "vae": vae,
            "ours": ["--method=plain", "--tune=width=4"],
        }.items():
            assert main(["train", *sources, *SMALL, *flags, f"--out={folder / name}"]) == 0
    return folder


@pytest.mark.parametrize("name", ["own", "vae"])
def test_a_model_is_scored_with_the_encoder_that_it_was_trained_with(used, sources, tmp_path, name):
    flags = ["--device=cpu", "--quiet", "--encoder=my_encoders:Small"]
    assert main(["score", str(used / name), *sources, *flags, f"--out={tmp_path / 's.parquet'}"]) == 0


def test_models_with_and_without_are_evaluated_together(used, sources, tmp_path):
    models = [str(used / name) for name in ("ours", "own", "vae")]
    flags = ["--encoder=my_encoders:Small", "--replicates=100", "--device=cpu", "--quiet"]
    assert main(["evaluate", *models, *sources, *flags, f"--out={tmp_path / 'e'}"]) == 0
    config = f"--config={tmp_path / 'e' / 'settings.toml'}"
    assert main(["evaluate", config, "--quiet", f"--out={tmp_path / 'again'}"]) == 0


@pytest.mark.slow
def test_a_model_with_an_encoder_is_audited(used, sources, tmp_path):
    flags = ["--encoder=my_encoders:Small", "--device=cpu", "--quiet", "--methods=neighbours,dropout"]
    assert main(["audit", str(used / "own"), *sources, *flags, f"--out={tmp_path / 'a'}"]) == 0


@pytest.mark.parametrize("command", ["score", "evaluate", "audit"])
@pytest.mark.parametrize(
    ("model", "flags", "words"),
    [
        ("own", [], ["trained with, Small", "got none", "--encoder"]),
        ("own", ["--encoder=my_encoders:wider"], ["Small of architecture", "got Small of architecture"]),
        ("own", ["--encoder=my_encoders:steeper"], ["Small of architecture", "got Small of architecture"]),
        ("own", ["--encoder=torch.nn:Flatten"], ["trained with, Small", "got Flatten"]),
        ("own", ["--encoder=my_encoders:size"], ["got int"]),
        ("own", ["--encoder=Small"], ["package.module:callable"]),
        ("own", ["--encoder=no_such_module_here:Net"], ["no_such_module_here", "Install it"]),
        ("ours", ["--encoder=my_encoders:Small"], ["encoder", "built by equipoise"]),
    ],
)
def test_another_encoder_is_refused_and_both_sides_named(
    used, sources, tmp_path, capsys, command, model, flags, words
):
    out = tmp_path / "out"
    assert main([command, str(used / model), *sources, *flags, "--device=cpu", f"--out={out}"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_model_of_an_earlier_version_tells_by_its_weights(used, sources, tmp_path, capsys):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("config.json", "model.safetensors"):
        (old / name).write_bytes((used / "own" / name).read_bytes())
    config = json.loads((old / "config.json").read_text())
    del config["encoder"]
    (old / "config.json").write_text(json.dumps(config))
    flags = ["--replicates=100", "--device=cpu", "--quiet", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", str(old), *sources, *flags, "--encoder=my_encoders:Small"]) == 0
    assert main(["evaluate", str(old), *sources, *flags, "--overwrite"]) == 2
    assert "in the file" in capsys.readouterr().err
    assert main(["evaluate", str(old), *sources, *flags, "--overwrite", "--encoder=my_encoders:wider"]) == 2
    assert (
        "layers.0.weight is (4, 3, 3, 3) in the file, (5, 3, 3, 3) in the network" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ("my_encoders:four_channels", "must take images"),
        ("my_encoders:Breaks", "no training here"),
        ("my_encoders:size", "got int"),
    ],
)
def test_an_encoder_that_cannot_be_trained_is_refused_before_anything_is(
    sources, tmp_path, capsys, monkeypatch, encoder, words
):
    flags = [f"--encoder={encoder}", f"--out={tmp_path / 'out'}"]
    assert main(["debias", *sources, *SMALL, *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_weights_that_are_drawn_are_the_same_at_every_start():
    first, again = (encoder_source("my_encoders:Small", seed=3).brought() for _ in range(2))
    assert first == again
    assert encoder_source("my_encoders:Small", seed=4).brought() != first
    assert encoder_source(None).brought() == {}
    assert encoder_source(nn.Flatten()).settings() == {"encoder": "Flatten"}
    with pytest.raises(InputError, match=r"package\.module:callable"):
        encoder_source("Small")
    with pytest.raises(MissingExtraError):
        encoder_source("no_such_module_here:Net")
