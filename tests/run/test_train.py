"""`train` through the command line."""

import json
import tomllib

from equipoise.cli import main

SMALL = ["--image-size=32", "--batch-size=16", "--epochs=1", "--tune=width=4", "--tune=latent=6"]


def test_train_leaves_a_model(models, capsys):
    names = {path.name for path in (models / "debiased").iterdir()}
    wanted = {
        "checkpoints",
        "config.json",
        "density.safetensors",
        "model.safetensors",
        "rejected.csv",
        "resampling.json",
        "settings.toml",
    }
    assert names == wanted
    # what its last layer sees has a density too
    assert "density.safetensors" in {path.name for path in (models / "plain").iterdir()}


def test_train_says_whom_the_weights_favour(pictures, tmp_path, capsys):
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    flags = ["--groups=skin", "--tune=resampling.warmup=0", f"--out={tmp_path / 'out'}"]
    assert main(["train", *sources, *SMALL, *flags]) == 0
    output = capsys.readouterr().out
    assert "12 steps" in output
    assert "effective sample size" in " ".join(output.split())
    assert "dark (12.5 % of the images)" in output


def test_a_trained_model_is_not_trained_again(models, pictures, capsys):
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    before = (models / "plain" / "model.safetensors").read_bytes()
    flags = ["--method=plain", "--groups=skin", "--tune=resampling.warmup=0", f"--out={models / 'plain'}"]
    assert main(["train", *sources, *SMALL, *flags, "--seed=5"]) == 2
    assert "seed: 0 there, 5 now" in capsys.readouterr().err
    assert main(["train", *sources, *SMALL, *flags]) == 0
    assert (models / "plain" / "model.safetensors").read_bytes() == before


def test_how_pictures_were_framed_stands_with_the_model_and_its_settings(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    framed = [*sources, *SMALL, "--method=plain", "--resize=bilinear", "--crop=36", f"--out={out}"]
    assert main(["train", *framed, "--cache-limit=0"]) == 0
    words = json.loads((out / "config.json").read_text())["preprocessing"]
    assert (words["crop"], words["resized"], words["resampling"]) == ("centre square", 36, "bilinear")
    settings = tomllib.loads((out / "settings.toml").read_text())
    assert (settings["resize"], settings["crop"]) == ("bilinear", 36)
    assert "squash" not in settings
    assert main(["train", *framed]) == 0  # the limit is no part of what a run is
    other = [flag.replace("bilinear", "bicubic") for flag in framed]
    assert main(["train", *other]) == 2
    assert "resize: 'bilinear' there, 'bicubic' now" in capsys.readouterr().err
