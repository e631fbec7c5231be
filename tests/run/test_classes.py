"""One model of more than two classes: trained on a folder a class, saved with its meaning, read back, and compared."""

import dataclasses
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.data import ImageTable, read
from equipoise.errors import DataError, InputError
from equipoise.run.representation import Representation, represent, represented_rows
from equipoise.run.saved import load
from equipoise.train import fit, predict, recipe, save_model

INK = {"bar": (255, 0, 0), "disc": (0, 255, 0), "square <b>": (0, 0, 255)}
SMALL = [
    "--image-size=16",
    "--batch-size=16",
    "--epochs=2",
    "--tune=width=4",
    "--tune=depth=2",
    "--tune=latent=6",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder a class."""
    root, chance = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    for name, ink in INK.items():
        (root / name).mkdir()
        for i in range(62):
            image = 0.5 * chance.integers(0, 255, (16, 16, 3)) + 0.5 * np.array(ink)
            Image.fromarray(image.astype(np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def _reading(folders):
    with pytest.MonkeyPatch.context() as patch:
        job = sys.modules["equipoise.run.train"]
        patch.setattr(job, "read_training", lambda *_: read(folders, image_size=16, channels=3))
        yield


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """Folders of models by recipe, and of one whose VAE two classes carry."""
    root = tmp_path_factory.mktemp("trained")
    for name, more in (
        ("equipoise", []),
        ("equipoise-latent", ["--vae-classes=bar,square <b>"]),
    ):
        flags = [f"--recipe={name}", *SMALL, "--device=cpu", *more]
        assert main(["train", "--data", str(folders), *flags, f"--out={root / name}"]) == 0
    return root


def test_train_tells_how_each_class_was_drawn(trained):
    told = json.loads((trained / "equipoise" / "resampling.json").read_text())
    assert sorted(told["classes"]) == sorted(INK)
    assert all(one["batch"] == 6 and one["images"] == 62 for one in told["classes"].values())
    named = json.loads((trained / "equipoise-latent" / "resampling.json").read_text())
    assert sorted(named["classes"]) == ["bar", "square <b>"]
    assert "vae_classes=" in (trained / "equipoise-latent" / "settings.toml").read_text()
    assert "vae_classes" not in (trained / "equipoise" / "settings.toml").read_text()


def test_a_run_with_named_classes_is_the_same_run_when_it_is_said_again(folders, trained, capsys):
    flags = ["train", "--data", str(folders), "--recipe=equipoise-latent", *SMALL, "--device=cpu"]
    out = f"--out={trained / 'equipoise-latent'}"
    assert main([*flags, "--vae-classes=bar,square <b>", out]) == 0
    assert main([*flags, "--vae-classes=bar", out]) == 2
    assert "vae_classes" in capsys.readouterr().err
    assert main([*flags, "--vae-classes=hat", "--overwrite", out]) == 2
    assert "'bar', 'disc', 'square <b>'; got 'hat'" in capsys.readouterr().err


def test_a_model_says_what_goes_in_and_what_comes_out(trained):
    config = json.loads((trained / "equipoise" / "config.json").read_text())
    assert config["classes"] == list(INK)
    assert (config["outputs"], config["threshold"]) == (3, None)
    assert config["preprocessing"] == {
        "crop": "centre square",
        "image_size": 16,
        "resampling": "lanczos",
        "channels": 3,
        "colour": "RGB",
        "pixels": [0.0, 1.0],
    }
    saved = load(trained / "equipoise", device="cpu")
    assert saved.class_names == tuple(INK)
    assert saved.preprocessing == config["preprocessing"]
    assert load(trained / "equipoise-latent", device="cpu").model.vae_classes == (0, 2)


def test_models_of_versions_that_knew_two_classes_are_read(scene, tmp_path):
    small = dataclasses.replace(recipe("equipoise"), width=4, depth=2)
    fitted = fit(
        scene(), dataclasses.replace(small, plain=dataclasses.replace(small.plain, epochs=1)), method="plain"
    )
    save_model(fitted, tmp_path, image_size=16, channels=3)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["classes"], config["outputs"], config["threshold"]) == (["negative", "positive"], 1, 0.5)
    for name in ("classes", "outputs", "threshold", "preprocessing"):
        del config[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    saved = load(tmp_path, device="cpu")
    assert (saved.class_names, saved.threshold) == (("negative", "positive"), 0.5)
    np.testing.assert_array_equal(predict(saved.model, scene()), predict(fitted.model, scene()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["a"]}, "list of two or more names"),
        ({"classes": ["a", 2, "c"]}, "list of two or more names"),
        ({"classes": ["a", "b"]}, "'outputs' as 1"),
        ({"classes": ["a", "b", "c", "d"], "outputs": 4}, "do not fit the network"),
        ({"outputs": 1}, "'outputs' as 3"),
        ({"threshold": 0.3}, "'threshold' as None"),
        ({"preprocessing": {"crop": "none"}}, "which is all that this version does; got {'crop': 'none'}"),
        ({"preprocessing": None}, "'preprocessing' as"),
    ],
)
def test_what_this_version_does_not_do_is_refused(trained, tmp_path, change, words):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((trained / "equipoise" / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises((DataError, InputError), match=words):
        load(tmp_path, device="cpu")


def table_of(labels, classes):
    images = np.zeros((len(labels), 16, 16, 3), np.uint8)
    return dataclasses.replace(ImageTable.from_arrays(images, np.array(labels)), classes=classes)


NAMED = {name: number for number, name in enumerate(INK)}


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 1, 2], NAMED, None),
        ([1], NAMED, None),
        ([0, 1, 2], {}, None),  # numbers are ids
        ([0, 2], {**NAMED, "hat": 3}, None),  # no picture of it
        (
            [0, 3],
            {**NAMED, "hat": 3},
            r"'bar', 'disc', 'square <b>', numbered alike; got 'hat = 3' of the data's 4",
        ),
        ([0, 1], {"disc": 0, "bar": 1}, "got 'disc = 0', 'bar = 1' of the data's 2 classes"),
        ([0, 1], {}, "got 'negative = 0', 'positive = 1'"),
        ([0, 4], {}, "got '4 = 4' of the data's 5 classes"),
    ],
)
def test_images_of_other_classes_are_refused(trained, labels, classes, words):
    saved = load(trained / "equipoise", device="cpu")
    if words is None:
        saved.check_classes(table_of(labels, classes))
    else:
        with pytest.raises(InputError, match=words):
            saved.check_classes(table_of(labels, classes))


@pytest.mark.parametrize(
    ("mine", "classes", "fits"),
    [
        (("negative", "positive"), {"cat": 0, "dog": 1}, True),
        (("cat", "dog"), {}, True),
        (("cat", "dog"), {"dog": 1}, True),
        (("cat", "dog"), {"dog": 0, "cat": 1}, False),
        (("cat", "dog"), {"cat": 0, "horse": 1}, False),
    ],
)
def test_of_two_classes_positives_and_negatives_are_any(trained, mine, classes, fits):
    saved = dataclasses.replace(load(trained / "equipoise", device="cpu"), class_names=mine)
    if fits:
        saved.check_classes(table_of([0, 1], classes))
    else:
        with pytest.raises(InputError, match="the model's 2 classes, 'cat', 'dog'"):
            saved.check_classes(table_of([0, 1], classes))


def test_score_and_evaluate_refuse_images_of_other_classes(trained, tmp_path, pictures, capsys):
    sides = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    assert main(["score", str(trained / "equipoise"), *sides, f"--out={tmp_path / 's.parquet'}"]) == 2
    assert "the model's 3 classes" in capsys.readouterr().err
    assert main(["evaluate", str(trained / "equipoise"), *sides, f"--out={tmp_path / 'e'}"]) == 2
    assert "the model's 3 classes" in capsys.readouterr().err


def test_scores_of_each_class(trained, folders, tmp_path):
    out = tmp_path / "scores.parquet"
    assert main(["score", str(trained / "equipoise"), "--data", str(folders), f"--out={out}"]) == 0
    found = pq.read_table(out)
    each = np.stack([found.column(f"probability_{name}").to_numpy() for name in INK], 1)
    np.testing.assert_allclose(each.sum(1), 1)
    assert (each.argmax(1) == found.column("label").to_numpy()).mean() > 0.8
    odds = np.log(each[:, 0] / (1 - each[:, 0]))
    np.testing.assert_allclose(found.column("logit_bar").to_numpy(), odds, atol=1e-6)


def test_density_is_of_the_classes_that_carry_the_vae(trained, folders):
    table = table_of([0, 1, 2, 2, 0], NAMED)
    plain, latent = (load(trained / name, device="cpu") for name in ("equipoise", "equipoise-latent"))
    assert represented_rows(plain.model, table).tolist() == [0, 1, 2, 3, 4]
    assert represented_rows(latent.model, table).tolist() == [0, 2, 3, 4]
    assert isinstance(latent.seen, Representation)
    chance = np.random.default_rng(0)
    noisy = ImageTable.from_arrays(chance.integers(0, 255, (60, 16, 16, 3), np.uint8), np.arange(60) % 3)
    found, common = represent(latent.model, noisy, device="cpu")
    assert common.shape == (40,)
    np.testing.assert_allclose(found.log_density(noisy)[represented_rows(latent.model, noisy)], common)
