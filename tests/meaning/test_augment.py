"""`augment` with a generator whose pictures say by themselves what they are: a bright corner, red or blue light."""

import numpy as np
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.latent import read_pairs
from equipoise.run.training import Trainer

pytestmark = pytest.mark.slow

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
        images = torch.full((len(latents), 3, 16, 16), 0.35)
        images[:, 0] += 0.3 * (1 - blue)[:, None, None]
        images[:, 2] += 0.3 * blue[:, None, None]
        images[:, :, 2:8, 2:8] += 0.25 * bright[:, None, None, None]
        images[:, :, 8:14, 8:14] += 0.25 * (1 - bright)[:, None, None, None]
        return (images + 0.02 * latents[:, 2:3, None, None]).clamp(0, 1)


def drawer():
    return ModuleGenerator(Renderer(), 4, output_range=(0, 1))
"""


def bright(images):
    """Whether the upper left corner is the brighter one."""
    return images[:, 2:8, 2:8].mean((1, 2, 3)) > images[:, 8:14, 8:14].mean((1, 2, 3))


def blue(images):
    return images[..., 2].mean((1, 2)) > images[..., 0].mean((1, 2))


def drawn(cells, seed):
    """Cells (bright, blue) → count; pictures, their target and their light."""
    chance = np.random.default_rng(seed)
    rows = [cell for cell, count in cells.items() for _ in range(count)]
    images = chance.normal(90, 25, (len(rows), 16, 16, 3))
    for image, (is_bright, is_blue) in zip(images, rows, strict=True):
        image[..., 2 if is_blue else 0] += 76
        corner = slice(2, 8) if is_bright else slice(8, 14)
        image[corner, corner] += 18
    order = chance.permutation(len(rows))
    target = np.array([one[0] for one in rows])[order]
    light = np.array(["blue" if one[1] else "red" for one in rows])[order]
    return np.clip(images, 0, 255).astype(np.uint8)[order], target, light


TEST = {(1, 1): 23, (1, 0): 19, (0, 1): 27, (0, 0): 49}


@pytest.fixture(scope="module")
def trained():
    """Name of a classifier → the table that it was trained on."""
    return {}


@pytest.fixture(scope="module")
def run(writes, trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("augment")
    (root / "drawing_corners.py").write_text(GENERATOR)
    train = {(1, 1): 82, (1, 0): 30, (0, 1): 28, (0, 0): 150}
    for name, cells, seed in (("train", train, 0), ("test", TEST, 1)):
        images, target, light = drawn(cells, seed)
        words = ["yes" if one else "no" for one in target]
        shapes = ["round" if i % 5 == 0 else "square" for i in range(len(target))]
        writes(root / name, images, bright=words, light=light.tolist(), shape=shapes)
    flags = [
        "train/list.csv",
        "--target=bright",
        "--positive-class=yes",
        "--protected=light",
        "--groups=shape",
    ]
    flags += ["--generator=drawing_corners:drawer", "--test-data=test/list.csv", "--latents=400"]
    flags += ["--validation-share=0.4"]
    flags += ["--image-size=16", "--epochs=2", "--batch-size=16", "--tune=width=4", "--tune=depth=2"]
    flags += ["--replicates=100", "--device=cpu", "--precision=32-true", "--quiet", "--out=out"]
    fit = Trainer.fit

    def watched(self, name, table, **options):
        trained[name] = table
        return fit(self, name, table, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(Trainer, "fit", watched)
        assert main(["augment", *flags]) == 0
    return root / "out"


@pytest.fixture(scope="module")
def found(run, recorded):
    return recorded(run, "augment.json")


@pytest.fixture(scope="module")
def columns(run, scores):
    return scores(run)


def logits(columns, name):
    return columns[f"logit_{name}"]


def test_cells_are_counted_by_target_and_group(found):
    assert found["data"]["cells"]["test"]["light"] == {"blue": [27, 23], "red": [49, 19]}
    trained = found["data"]["cells"]["train"]["light"]
    held = found["data"]["cells"]["validation"]["light"]
    whole = {g: [a + b for a, b in zip(trained[g], held[g], strict=True)] for g in trained}
    assert whole == {"blue": [28, 82], "red": [150, 30]}
    assert sum(map(sum, held.values())) == 116
    assert list(found["data"]["cells"]["test"]["shape"]) == ["round", "square"]
    assert sum(found["data"]["cells"]["test"]["shape"]["round"]) == 24


def test_pairs_are_of_one_target_and_two_lights(run, found):
    pairs = read_pairs(run / "pairs")
    images = pairs.batch(np.arange(len(pairs)))
    is_bright, is_blue = bright(images).reshape(-1, 2), blue(images).reshape(-1, 2)
    assert (is_bright[:, 0] == is_bright[:, 1]).mean() > 0.9
    assert (is_blue[:, 0] != is_blue[:, 1]).mean() > 0.7
    assert (pairs.labels == bright(images)).mean() > 0.75
    assert len(pairs) == 2 * found["pairs"]["count"]
    assert found["pairs"]["share"] == pytest.approx(0.67, abs=0.01)
    assert found["planes"]["bright"]["auroc"]["value"] > 0.9


def test_all_models_of_the_target_take_equally_many_steps(found):
    trained = {name: model["steps"] for name, model in found["models"].items()}
    cells = found["data"]["cells"]["train"]["light"]
    count = sum(map(sum, cells.values())) + 2 * found["pairs"]["count"]
    assert list(trained)[:4] == ["plain", "augmented", "unedited", "balanced"]
    assert set(trained.values()) == {2 * (count // 16)}


def test_a_model_finds_what_has_the_target(columns):
    for name in ("plain", "augmented", "balanced"):
        values, has = logits(columns, name), columns["label"] == 1
        assert (values[has][:, None] > values[~has]).mean() > 0.6


def test_accuracies_of_cells_are_those_of_their_own_scores(found, columns):
    for name in ("plain", "augmented", "unedited", "balanced"):
        model = found["models"][name]
        says = columns[f"probability_{name}"] >= model["threshold"]
        for attribute in ("light", "shape"):
            cells = model["numbers"][attribute]["metrics"]["cells"]
            assert len(cells) == 4
            for cell in cells:
                mine = (columns["label"] == cell["target"]) & (columns[attribute] == cell["group"])
                assert cell["n"] == mine.sum()
                right = (says == (columns["label"] == 1))[mine].mean()
                assert cell["accuracy"]["value"] == pytest.approx(right)


def test_the_worst_cell_and_the_rate_of_misses(found):
    for model in found["models"].values():
        numbers = model["numbers"]["light"]["metrics"]
        lowest = min(numbers["cells"], key=lambda cell: cell["accuracy"]["value"])
        assert numbers["worst_cell_accuracy"]["value"] == lowest["accuracy"]["value"]
        assert lowest["group"] in numbers["worst_cell"]
        for group, rate in numbers["fnr"].items():
            has = next(c for c in numbers["cells"] if c["target"] == 1 and c["group"] == group)
            assert rate["value"] == pytest.approx(1 - has["accuracy"]["value"])


def test_changes_are_a_model_minus_plain(found):
    plain = found["models"]["plain"]
    assert plain["changes"] == {}
    for name in ("augmented", "unedited", "balanced", "thresholds"):
        model = found["models"][name]
        for attribute in ("light", "shape"):
            before, after, change = (
                plain["numbers"][attribute]["metrics"],
                model["numbers"][attribute]["metrics"],
                model["changes"][attribute],
            )
            for key in ("ap", "deo"):
                assert change[key]["value"] == pytest.approx(after[key]["value"] - before[key]["value"])


def test_the_direction_of_leaning(found):
    """Plain takes the light for the target, and blue goes with the target in training."""
    numbers = found["models"]["plain"]["numbers"]["light"]["metrics"]
    cells = {(c["target"], c["group"]): c["accuracy"]["value"] for c in numbers["cells"]}
    assert cells[1, "blue"] > cells[1, "red"]
    assert cells[0, "red"] > cells[0, "blue"]
    assert numbers["ba"]["value"] > 0
    by_hand = abs((1 - cells[1, "blue"]) - (1 - cells[1, "red"]))
    assert numbers["deo"]["value"] == pytest.approx(by_hand)


def test_histograms_are_of_the_class_and_group_that_they_name(found, columns):
    edges = found["edges"]
    for title, label in (("positives", 1), ("negatives", 0)):
        for group in ("blue", "red"):
            mine = (columns["label"] == label) & (columns["light"] == group)
            wanted = np.histogram(columns["probability_plain"][mine], edges)[0]
            assert found["models"]["plain"]["numbers"]["light"]["histograms"][title][group] == wanted.tolist()


def test_the_saved_models_are_those_that_were_measured(run, columns, scores, tmp_path):
    for folder, name in (("", "augmented"), ("models/plain", "plain"), ("models/balanced", "balanced")):
        out = tmp_path / "scores.parquet"
        pictures = run.parent / "test" / "list.csv"
        assert main(["score", str(run / folder), str(pictures), "--quiet", f"--out={out}"]) == 0
        np.testing.assert_allclose(scores(out)["logit"], logits(columns, name), atol=1e-5)


def test_a_protected_attribute_has_a_classifier_of_its_own(found):
    protected = found["protected"]["light"]
    assert protected["sides"] == ["blue", "red"]
    assert protected["classifier_accuracy"]["value"] > 0.8
    assert found["models"]["thresholds"]["sees"] == "in use"


def pictures_of(table):
    return table.batch(np.arange(len(table)))


def known(images):
    return {image.tobytes() for image in images}


def test_each_model_is_trained_on_what_its_name_says(run, trained, found):
    real, held_out = (
        known(np.asarray(Image.open(path)) for path in (run.parent / side).glob("*.png"))
        for side in ("train", "test")
    )
    pairs = read_pairs(run / "pairs")
    is_first = np.asarray(pairs.column("side")) == "original"
    first, edited = (known(pictures_of(pairs)[mine]) for mine in (is_first, ~is_first))
    shares = {}
    for name, table in trained.items():
        images = [image.tobytes() for image in pictures_of(table)]
        assert not held_out.intersection(images)
        shares[name] = [np.mean([image in part for image in images]) for part in (real, first, edited)]
    for name in ("attribute-0", "attribute-1", "plain", "balanced"):
        assert shares[name] == [1, 0, 0]
    made = found["pairs"]["share"]
    assert shares["augmented"] == pytest.approx([1 - made, made / 2, made / 2], abs=0.01)
    assert shares["unedited"] == pytest.approx([1 - made, made, 0], abs=0.01)


def test_cells_are_drawn_equally_often_where_that_is_said_and_nowhere_else(trained):
    for name, even in (("plain", False), ("balanced", True), ("augmented", True), ("attribute-1", True)):
        table = trained[name]
        images = pictures_of(table)
        cells = np.bincount(2 * bright(images) + blue(images), minlength=4) / len(table)
        assert (cells.min() > 0.2) == even, name


def test_labels_are_those_of_the_attribute(trained):
    for name, wanted in (
        ("attribute-0", bright),
        ("attribute-1", lambda images: ~blue(images)),
        ("plain", bright),
    ):
        agree = trained[name].labels == wanted(pictures_of(trained[name]))
        assert agree.mean() > 0.95, name


def test_a_threshold_calls_as_many_images_positive_as_have_the_target(found, columns):
    cells = found["data"]["cells"]["validation"]["light"]
    share = sum(has for _, has in cells.values()) / sum(map(sum, cells.values()))
    assert share < 0.4
    for name in ("plain", "balanced"):  # of the test images about as many have it
        says = columns[f"probability_{name}"] >= found["models"][name]["threshold"]
        assert abs(says.mean() - share) < abs(says.mean() - (1 - share))
