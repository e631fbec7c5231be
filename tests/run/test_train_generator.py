"""`equipoise train-generator`, through the command line."""

import json

import pytest

from equipoise.cli import main
from equipoise.latent import check_generator
from equipoise.train.saved_generator import load_generator

SMALL = {"image-size": 32, "batch-size": 8, "steps": 4, "width": 4, "discriminator-width": 4, "latent": 6}
SMALL |= {"look-every": 2, "device": "cpu", "precision": "32-true"}


def command(source, out, **changes):
    values = SMALL | {name.replace("_", "-"): value for name, value in changes.items()} | {"out": out}
    return ["train-generator", source, *(f"--{name}={value}" for name, value in values.items())]


@pytest.fixture(scope="module")
def classifier(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("classifier") / "plain"
    flags = ["--image-size=32", "--batch-size=16", "--epochs=1", "--tune=width=4", "--method=plain"]
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    assert main(["train", *sources, *flags, "--device=cpu", f"--out={out}"]) == 0
    return out


@pytest.mark.slow
def test_it_leaves_a_generator_and_its_grids(pictures, classifier, tmp_path, capsys):
    out = tmp_path / "generator"
    assert main(command(pictures["positives"], out, score_with=classifier)) == 0
    printed = capsys.readouterr()
    assert "4 steps in" in printed.out
    assert "not FID or KID" in printed.out
    assert "Step 2 of 4" in printed.err
    assert check_generator(load_generator(out)) == (3, 32, 32)
    assert {path.name for path in (out / "pictures").iterdir()} == {"step-000002.png", "step-000004.png"}
    assert (out / "checkpoints" / "generator" / "scores.csv").read_text().startswith("step,kernel_distance")
    assert set(json.loads((out / "config.json").read_text())["scores"]) == {
        "step",
        "kernel_distance",
        "frechet_distance",
    }
    weights = (out / "model.safetensors").read_bytes()
    assert (
        main(["train-generator", f"--config={out / 'settings.toml'}", f"--out={out}"]) == 0
    )  # nothing left to do
    assert (out / "model.safetensors").read_bytes() == weights
    assert main(command(pictures["positives"], out, score_with=classifier, seed=1)) == 2
    assert "seed: 0 there, 1 now" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_stops_by_time_says_so_and_goes_on(pictures, tmp_path, capsys):
    out = tmp_path / "generator"
    assert main(command(pictures["positives"], out, minutes=1e-9)) == 0
    assert "Stopped by --minutes; the same command goes on to 4 steps." in capsys.readouterr().out
    assert load_generator(out).latent == 6
    assert main(command(pictures["positives"], out)) == 0
    assert "Stopped" not in capsys.readouterr().out
    whole = tmp_path / "whole"
    assert main(command(pictures["positives"], whole)) == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 48}, "image_size must be 16, 32, 64 or 128; got 48"),
        ({"batch_size": 200}, "A batch of 200 needs as many images; got 96"),
        ({"minutes": 0}, "minutes must be above 0; got 0"),
        ({"augment": "flip"}, "augment must be of colour, translation, cutout; got flip"),
    ],
)
def test_what_cannot_be_trained(pictures, tmp_path, capsys, changes, message):
    assert main(command(pictures["positives"], tmp_path / "out", **changes)) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_another_size_cannot_score(pictures, classifier, tmp_path, capsys):
    other = command(pictures["positives"], tmp_path / "out", image_size=64, score_with=classifier)
    assert main(other) == 2
    assert "Expected a model for images of 64 pixels and 3 channels" in capsys.readouterr().err


def test_the_flags_have_the_defaults_of_the_library():
    from dataclasses import asdict

    from equipoise.cli.train_generator import Generating
    from equipoise.train.gan import GAN

    assert asdict(Generating()) == asdict(GAN())
