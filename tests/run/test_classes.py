"""One model of more than two classes: trained on a folder a class, saved with its meaning, read back, and compared."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.data import ImageTable
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
    ("labels", "classes", "ids"),
    [
        ([0, 1, 2], NAMED, [0, 1, 2]),
        ([1], NAMED, [1]),
        ([0, 1, 2], {}, [0, 1, 2]),  # numbers are ids
        ([0, 2], {**NAMED, "hat": 3}, [0, 2]),  # no picture of it
        ([0, 1], {"disc": 0, "bar": 1}, [1, 0]),
        ([0, 1], {"bar": 0, "square <b>": 1}, [0, 2]),
    ],
)
def test_images_get_the_ids_that_their_classes_have_in_the_model(trained, labels, classes, ids):
    saved = load(trained / "equipoise", device="cpu")
    found = saved.aligned(table_of(labels, classes))
    assert found.labels.tolist() == ids
    assert (
        found.class_names == tuple(INK)[: max(len(INK) if classes else 0, len(found.class_names))]
        or not classes
    )


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 3], {**NAMED, "hat": 3}, r"bar, disc, square <b>\); got others as well: hat \(1 images\)"),
        ([0, 1], {}, "the model's 3 classes, 'bar', 'disc', 'square <b>'; got 2 classes"),
        ([0, 4], {}, "got 5 classes, '0', '1', '2' and 2 more"),
    ],
)
def test_images_of_other_classes_are_refused(trained, labels, classes, words):
    with pytest.raises(InputError, match=words):
        load(trained / "equipoise", device="cpu").aligned(table_of(labels, classes))


@pytest.mark.parametrize(
    ("mine", "classes", "ids"),
    [
        (("negative", "positive"), {"cat": 0, "dog": 1}, [0, 1]),
        (("negative", "positive"), {"dog": 0, "cat": 1}, [0, 1]),
        (("cat", "dog"), {}, [0, 1]),
        (("cat", "dog"), {"dog": 0, "cat": 1}, [1, 0]),
        (("cat", "dog"), {"cat": 0, "horse": 1}, None),
    ],
)
def test_of_two_classes_names_tell_where_both_have_them(trained, mine, classes, ids):
    saved = dataclasses.replace(load(trained / "equipoise", device="cpu"), class_names=mine)
    if ids is not None:
        assert saved.aligned(table_of([0, 1], classes)).labels.tolist() == ids
    else:
        with pytest.raises(InputError, match="cat, dog"):
            saved.aligned(table_of([0, 1], classes))


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
    names = np.array(list(INK))
    assert found.column("predicted").to_pylist() == names[each.argmax(1)].tolist()
    right = np.array(found.column("predicted").to_pylist()) == np.array(found.column("label").to_pylist())
    assert right.mean() > 0.8


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
