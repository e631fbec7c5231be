"""The main job on more than two classes: what is read, trained, measured and written is of every class."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main

INK = {"bar": (255, 0, 0), "disc": (0, 255, 0), "square": (0, 0, 255)}
SMALL = [
    *("--image-size=16", "--batch-size=12", "--epochs=2", "--device=cpu", "--replicates=100", "--quiet"),
    *("--tune=width=4", "--tune=depth=2", "--tune=latent=6"),
]


def draw(root, sizes, seed=0):
    """A folder a class, in folders of two sites."""
    chance = np.random.default_rng(seed)
    for name, size in sizes.items():
        for i in range(size):
            place = root / name / ("north" if i % 2 else "south")
            place.mkdir(parents=True, exist_ok=True)
            image = 0.5 * chance.integers(0, 255, (16, 16, 3)) + 0.5 * np.array(INK.get(name, (9, 9, 9)))
            Image.fromarray(image.astype(np.uint8)).save(place / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("pictures"), {"bar": 80, "disc": 80, "square": 80})


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    flags = ["--groups=label", "--positive-class=disc", f"--out={out}"]
    assert main(["debias", f"--data={pictures}", *SMALL, *flags]) == 0
    return out


@pytest.fixture(scope="module")
def record(run):
    return json.loads((run / "record.json").read_text())


def test_every_class_is_counted_and_measured(record):
    assert record["data"]["counts"]["train"] == {"bar": 64, "disc": 64, "square": 64}
    assert record["data"]["counts"]["test"] == {"bar": 16, "disc": 16, "square": 16}
    assert record["positive"] == "disc"
    for name in ("plain", "debiased"):
        classes = record["models"][name]["classes"]
        assert classes["classes"] == ["bar", "disc", "square"]
        assert set(classes["groups"]["label"]) == set(INK)
        assert record["models"][name]["numbers"]["positives"] == 16
    assert set(record["class_comparisons"]["differences"]) == {"debiased"}
    assert record["resampling"] is None


def test_the_numbers_are_those_of_the_scores_beside_them(run, record):
    found = pq.read_table(run / "scores.parquet")
    labels = np.array(found["label"].to_pylist())
    for name in ("plain", "debiased"):
        called = np.array(found[f"predicted_{name}"].to_pylist())
        each = np.stack([found[f"probability_{name}_{kind}"].to_numpy() for kind in INK], 1)
        assert (np.array(list(INK))[each.argmax(1)] == called).all()
        classes = record["models"][name]["classes"]
        assert classes["accuracy"]["value"] == pytest.approx((called == labels).mean())
        for kind in INK:
            expected = (called == labels)[labels == kind].mean()
            assert classes["recall"][kind]["value"] == pytest.approx(expected)
            assert classes["groups"]["label"][kind]["accuracy"]["value"] == pytest.approx(expected)
        detected = each[:, 1] >= 0.5
        assert record["models"][name]["numbers"]["tpr"]["value"] == pytest.approx(
            detected[labels == "disc"].mean()
        )
        assert record["models"][name]["numbers"]["fpr"]["value"] == pytest.approx(
            detected[labels != "disc"].mean()
        )


def test_what_is_rare_is_told_within_every_class(run, record):
    assert set(record["class_resampling"]) == set(INK)
    assert all(0 < one["ess"] <= 1 for one in record["class_resampling"].values())
    assert {"least_represented", "most_represented"} <= set(record["pictures"])
    page = (run / "report.html").read_text()
    assert "How the images of each class were drawn" in page
    assert "Detection of disc" in page


def test_saved_models_are_measured_again_with_the_same_numbers(run, record, pictures, tmp_path):
    out = tmp_path / "again"
    flags = ["--replicates=100", "--quiet", "--device=cpu", "--positive-class=disc"]
    assert main(["evaluate", str(run), f"--data={pictures}", *flags, f"--out={out}"]) == 0
    again = json.loads((out / "record.json").read_text())
    assert again["data"]["counts"]["test"] == {"bar": 80, "disc": 80, "square": 80}
    assert again["models"]["debiased"]["classes"]["accuracy"]["value"] > 0.6
    assert again["positive"] == "disc"


def test_test_classes_are_told_by_name(pictures, tmp_path):
    """Test pictures of two of the three classes, whose numbers by the alphabet would be others."""
    test = draw(tmp_path / "test", {"disc": 12, "square": 12}, seed=1)
    flags = [f"--data={pictures}", f"--test-data={test}", *SMALL, "--tune=plain.epochs=1"]
    assert main(["debias", *flags, f"--out={tmp_path / 'out'}"]) == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["data"]["counts"]["test"] == {"bar": 0, "disc": 12, "square": 12}
    recall = record["models"]["plain"]["classes"]["recall"]
    assert recall["bar"]["value"] is None
    assert recall["disc"]["n"] == recall["square"]["n"] == 12


def test_a_class_that_training_lacks_is_refused_before_anything_is_trained(pictures, tmp_path, capsys):
    test = draw(tmp_path / "test", {"disc": 12, "hat": 12}, seed=1)
    flags = [f"--data={pictures}", f"--test-data={test}", *SMALL]
    assert main(["debias", *flags, f"--out={tmp_path / 'out'}"]) == 2
    said = capsys.readouterr().err
    assert "hat" in said
    assert "Training 1" not in said
    assert not (tmp_path / "out" / "record.json").exists()


def test_a_positive_class_that_is_none_of_them_is_refused(pictures, tmp_path, capsys):
    flags = [f"--data={pictures}", *SMALL, "--positive-class=dsic"]
    assert main(["debias", *flags, f"--out={tmp_path / 'out'}"]) == 2
    assert re.search(
        r"--positive-class must be one of the 3 classes; got 'dsic'\. Nearest: disc", capsys.readouterr().err
    )


def test_a_sweep_wants_a_class_to_look_for(pictures, tmp_path, capsys):
    flags = [f"--data={pictures}", "--vary=ess=0.5,0.9", *SMALL]
    assert main(["sweep", *flags, f"--out={tmp_path / 'out'}"]) == 2
    assert "Name it with --positive-class" in capsys.readouterr().err
