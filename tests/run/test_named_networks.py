"""Networks of every name in `score` and `evaluate`: the same classes, preprocessing and refusals in both."""

import json
import shutil
import sys
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from equipoise.cli import main
from equipoise.nn import Backbone
from equipoise.report.debias.record import read

KINDS = ("bee", "cow", "owl")
MODULE = """
import numpy as np
import torch
from torch import nn
from equipoise.nn import Backbone, Preprocessing
from equipoise.pictures.framing import Framing

class Colours(nn.Module):
    '''Logits are the mean of each channel: bees are red, cows green, owls blue.'''
    def __init__(self, order=(0, 1, 2), dictionary=False):
        super().__init__()
        self.last, self.unused, self.dictionary = nn.Linear(3, len(order)), nn.Linear(3, 3), dictionary
        with torch.no_grad():
            self.last.weight.copy_(20 * torch.eye(3)[list(order)])
            self.last.bias.zero_()
    def forward(self, images):
        found = self.last(images.mean((2, 3)))
        return {"scores": found} if self.dictionary else found

def network():
    return Colours()
def two():
    return Colours((0, 1))
def dictionary():
    return Colours(dictionary=True)
def turned():
    came = Preprocessing(Framing(8))
    return Backbone.tried(Colours((2, 1, 0)), came, class_names=("owl", "cow", "bee"), name="turned")
def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
def plain(picture):
    return picture.resize((8, 8), 2)
def numbers(picture):
    return torch.from_numpy(np.asarray(plain(picture), np.float32) / 127.5 - 0.5).permute(2, 0, 1)
def flipping(picture):
    return plain(picture).transpose(0) if torch.rand(()) < 0.5 else plain(picture)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of coloured pictures, a folder a class, and a module of networks."""
    folder = tmp_path_factory.mktemp("named")
    chance = np.random.default_rng(0)
    for number, kind in enumerate(KINDS):
        (folder / "photos" / kind).mkdir(parents=True)
        for i in range(6):
            image = chance.integers(0, 120, (20, 12, 3))
            image[..., number if i else (number + 1) % 3] += 120
            Image.fromarray(image.astype(np.uint8)).save(folder / "photos" / kind / f"{i}.png")
    for kind in KINDS[:2]:
        shutil.copytree(folder / "photos" / kind, folder / "two" / kind)
    for kind in KINDS:
        (folder / "thin" / kind).mkdir(parents=True)
        Image.new("RGB", (1, 4000)).save(folder / "thin" / kind / "1.png")
    shutil.copytree(folder / "photos", folder / "huge")
    Image.new("1", (10_000, 10_000)).save(folder / "huge" / "bee" / "9.png")
    save_file({"other": torch.ones(1)}, folder / "other.safetensors")
    onnx(folder / "m.onnx", 1)
    (folder / "their_networks_here.py").write_text(MODULE)
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])


THEIRS = "their_networks_here"


def scores(path):
    table = pq.read_table(path)
    return table, json.loads(table.schema.metadata[b"equipoise"])


def test_score_without_labels_numbers_classes_and_with_labels_names_them(tmp_path, capsys):
    out = tmp_path / "s.parquet"
    assert main(["score", f"{THEIRS}:network", "photos", "--image-size=8", f"--out={out}"]) == 0
    table, made = scores(out)
    assert [n for n in table.column_names if "_" in n] == [f"probability_{i}" for i in range(3)]
    assert made["probability"]["preprocessing"]["size"] == 8
    flags = [
        "--data=photos",
        "--image-size=8",
        "--resize=bilinear",
        "--mean=0.5",
        "--std=0.5",
        f"--out={out}",
    ]
    capsys.readouterr()
    assert main(["score", f"{THEIRS}:network", *flags]) == 0
    assert "its logits are taken to be of bee, cow, owl, in this order" in capsys.readouterr().err
    table, made = scores(out)
    right = np.array(table["label"].to_pylist()) == np.array(table["predicted"].to_pylist())
    assert right.mean() == pytest.approx(5 / 6)
    assert [f"probability_{kind}" in table.column_names for kind in KINDS] == [True] * 3
    told = made["probability"]["preprocessing"]
    assert (told["interpolation"], told["mean"], told["std"]) == ("bilinear", [0.5], [0.5])
    assert made["probability"]["model"] == f"{THEIRS}:network"


@pytest.mark.slow
def test_evaluate_compares_networks_whose_classes_stand_in_another_order(tmp_path, capsys):
    out = tmp_path / "out"
    names = [f"{THEIRS}:network", f"{THEIRS}:turned"]
    assert main(["evaluate", *names, "--data=photos", "--replicates=100", f"--out={out}"]) == 0
    record = read(out)
    assert list(record.models) == names
    assert [one.title for one in record.models.values()] == names
    one, other = (model.classes.accuracy for model in record.models.values())
    assert one.value == other.value == pytest.approx(5 / 6)
    assert record.settings["image_size"] == 8
    table, made = scores(out / "scores.parquet")
    for kind in KINDS:
        mine, theirs = (table[f"probability_{name}_{kind}"].to_numpy() for name in names)
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert set(made) == set(names)
    assert "their_networks_here:network" in (out / "report.html").read_text()
    again = ["evaluate", "--config", str(out / "settings.toml"), f"--out={tmp_path / 'again'}", "--quiet"]
    assert main(again) == 0
    capsys.readouterr()


def test_two_logits_of_two_classes_are_one_probability(tmp_path):
    out = tmp_path / "out"
    flags = ["--data=two", "--image-size=8", "--replicates=100", f"--out={out}"]
    assert main(["evaluate", f"{THEIRS}:two", *flags]) == 0
    assert read(out).models[f"{THEIRS}:two"].numbers.tpr.value == pytest.approx(5 / 6)
    table, _ = scores(out / "scores.parquet")
    found = table[f"logit_{THEIRS}:two"].to_numpy() > 0
    assert (found == (table["label"].to_numpy() == 1)).mean() >= 5 / 6


@pytest.mark.slow
def test_a_run_is_compared_with_a_network_and_windows_are_looked_at(models, test_flags, tmp_path):
    out = tmp_path / "out"
    folder = str(models / "plain")
    flags = [*test_flags, "--groups=skin", "--replicates=100", "--mean=0.5", "--std=0.5", f"--out={out}"]
    assert main(["evaluate", folder, f"{THEIRS}:two", *flags, "--windows"]) == 0
    record = read(out)
    assert list(record.models) == ["plain", f"{THEIRS}:two"]
    assert (record.settings["image_size"], list(record.settings["mean"])) == (32, ["0.5"])
    assert list(record.comparisons.differences) == [f"{THEIRS}:two"]


def test_weights_are_a_file_a_network_in_their_order(tmp_path, capsys):
    network = nn.ModuleDict({"last": nn.Linear(3, 3), "unused": nn.Linear(3, 3)})
    nn.init.zeros_(network["last"].weight)
    for number in range(2):
        with torch.no_grad():
            network["last"].bias.copy_(10 * torch.eye(3)[number])
        save_file(network.state_dict(), tmp_path / f"{number}.safetensors")
    files = [str(tmp_path / f"{number}.safetensors") for number in range(2)]
    out = tmp_path / "out"
    names, shown = [f"{THEIRS}:network"] * 2, ["--data=photos", "--image-size=8", "--replicates=100"]
    assert main(["evaluate", *names, "--weights", *files, *shown, f"--out={out}"]) == 0
    table, _ = scores(out / "scores.parquet")
    assert set(table[f"predicted_{THEIRS}:network"].to_pylist()) == {"bee"}
    assert set(table[f"predicted_{THEIRS}:network-2"].to_pylist()) == {"cow"}
    assert main(["evaluate", "--config", str(out / "settings.toml"), f"--out={out}", "--overwrite"]) == 0
    capsys.readouterr()
    assert main(["evaluate", *names, "--weights", files[0], *shown, f"--out={tmp_path / 'no'}"]) == 2
    assert "Expected --weights for each of 2 networks" in capsys.readouterr().err


def onnx(path, batch):
    pytest.importorskip("onnxruntime")
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(batch, 3, 8, 8),), path, dynamo=False)
    return network


def test_an_onnx_file_with_a_fixed_batch_takes_the_resizing_that_is_asked_for(tmp_path):
    network, out = onnx(tmp_path / "m.onnx", 4), tmp_path / "s.parquet"
    flags = ["--data=photos", "--resize=bilinear", "--mean=0.5", "--std=0.5", f"--out={out}"]
    assert main(["score", f"onnx:{tmp_path / 'm.onnx'}", *flags]) == 0
    table, made = scores(out)
    assert made["probability"]["model"] == "onnx:…/m.onnx"
    assert made["probability"]["preprocessing"]["interpolation"] == "bilinear"
    with Image.open("photos/bee/0.png") as picture:
        cut = picture.resize((8, 8), Image.Resampling.BILINEAR, box=(0, 4, 12, 16))
    images = torch.from_numpy(np.asarray(cut).copy()).permute(2, 0, 1)[None] / 255
    wanted = network((images - 0.5) / 0.5).softmax(1)[0]
    found = [table[f"probability_{kind}"][0].as_py() for kind in KINDS]
    np.testing.assert_allclose(found, wanted.detach(), atol=1e-5)


@pytest.mark.parametrize("transform", ["plain", "numbers"])
def test_a_transform_of_the_users_own_is_what_the_network_sees(transform, tmp_path):
    own = f"--transform={THEIRS}:{transform}"
    out = tmp_path / "out"
    flags = ["--data=photos", own, "--replicates=100", f"--out={out}"]
    assert main(["evaluate", f"{THEIRS}:network", *flags]) == 0
    table, made = scores(out / "scores.parquet")
    told = made[f"{THEIRS}:network"]["preprocessing"]
    assert (told["transform"], told["size"]) == (f"{THEIRS}:{transform}", 8)
    assert told["mean"] == ([] if transform == "plain" else pytest.approx([0.25] * 3))
    assert read(out).settings["transform"] == f"{THEIRS}:{transform}"
    assert f"{THEIRS}:{transform}" in (out / "report.html").read_text()
    import their_networks_here as theirs

    with Image.open("photos/bee/0.png") as picture:
        seen = theirs.numbers(picture) if transform == "numbers" else None
        flat = torch.from_numpy(np.asarray(theirs.plain(picture)).copy()).permute(2, 0, 1) / 255
    wanted = theirs.network()((flat if seen is None else seen)[None]).softmax(1)[0]
    found = [table[f"probability_{THEIRS}:network_{kind}"][0].as_py() for kind in KINDS]
    np.testing.assert_allclose(found, wanted.detach(), atol=1e-5)
    assert main(["evaluate", "--config", str(out / "settings.toml"), f"--out={out}", "--overwrite"]) == 0
    assert main(["score", f"{THEIRS}:network", *flags[:2], f"--out={tmp_path / 's.parquet'}"]) == 0
    again = scores(tmp_path / "s.parquet")[0]
    assert [again[f"probability_{kind}"][0].as_py() for kind in KINDS] == found


def test_a_transform_in_place_of_what_a_library_says(tmp_path):
    timm = pytest.importorskip("equipoise.nn.timm_networks")._timm()
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "w.safetensors")
    flags = ["--data=photos", f"--weights={tmp_path / 'w.safetensors'}", f"--out={tmp_path / 's.parquet'}"]
    assert main(["score", "timm:test_resnet", *flags, f"--transform={THEIRS}:numbers"]) == 0
    told = scores(tmp_path / "s.parquet")[1]["probability"]["preprocessing"]
    assert (told["size"], told["mean"]) == (8, pytest.approx([0.25] * 3))
    assert main(["score", "timm:test_resnet", *flags, f"--transform={THEIRS}:plain"]) == 0
    assert scores(tmp_path / "s.parquet")[1]["probability"]["preprocessing"]["mean"] == [0.5] * 3  # its own


def test_an_audit_behind_a_transform(tmp_path):
    flags = ["--methods=neighbours,last_layer", "--epochs=1", f"--out={tmp_path / 'out'}", "--quiet"]
    shutil.copytree("photos", tmp_path / "many")
    for kind in KINDS:
        for copy in range(2):
            for i in range(6):
                with Image.open(f"photos/{kind}/{i}.png") as picture:
                    picture.rotate(90 * (copy + 1), expand=True).save(
                        tmp_path / "many" / kind / f"{i}-{copy}.png"
                    )
    name = f"{THEIRS}:network"
    assert main(["audit", name, str(tmp_path / "many"), f"--transform={THEIRS}:numbers", *flags]) == 0
    assert f"{THEIRS}:numbers" in (tmp_path / "out" / "report.html").read_text()


BAD = {
    "other classes": (
        [f"{THEIRS}:two", "--image-size=8"],
        "has 2 logits; the pictures are of 3 classes (bee, cow, owl)",
    ),
    "another size": ([f"{THEIRS}:fixed", "--image-size=16"], "must take pictures of shape (2, 3, 16, 16)"),
    "no such layer": ([f"{THEIRS}:network", "--layer=none"], "has no layer 'none'"),
    "a layer never called": ([f"{THEIRS}:network", "--layer=unused"], "the model ran without it"),
    "weights of another": (
        [f"{THEIRS}:network", "--weights=other.safetensors"],
        "last.weight is missing in the file",
    ),
    "no logits": ([f"{THEIRS}:dictionary"], "a dict with the keys scores"),
    "no such output": ([f"{THEIRS}:dictionary", "--output=logits"], "has no 'logits'"),
    "a size that ONNX does not take": (["onnx:m.onnx", "--image-size=12"], "takes pictures of 8×8 pixels"),
    "weights of ONNX": (["onnx:m.onnx", "--weights=other.safetensors"], "holds its weights"),
    "another framing": ([f"{THEIRS}:turned", "--squash"], "as the model takes them"),
    "a transform by chance": (
        [f"{THEIRS}:network", f"--transform={THEIRS}:flipping"],
        "left to chance out of it",
    ),
    "a transform and a filter": (
        [f"{THEIRS}:network", f"--transform={THEIRS}:plain", "--resize=bilinear"],
        "Expected --transform, which makes squares itself, or --resize",
    ),
    "a transform and a size": (
        [f"{THEIRS}:network", f"--transform={THEIRS}:plain", "--image-size=16"],
        "Expected --image-size 8",
    ),
    "normalised twice": (
        [f"{THEIRS}:network", f"--transform={THEIRS}:numbers", "--mean=0.5", "--std=0.5"],
        "normalised twice",
    ),
    "a transform of a backbone": (
        [f"{THEIRS}:turned", f"--transform={THEIRS}:plain"],
        "knows how its pictures",
    ),
    "no transform": ([f"{THEIRS}:network", "--transform=plain"], "--transform package.module:callable"),
    "numbers": ([f"{THEIRS}:network", "--mean=half", "--std=1"], "--mean must be numbers"),
    "no hub": (["hf:nobody/nothing"], "The hub cannot be reached from here"),
    "no network": (["nowhere"], "Expected the folder of a run, or timm:NAME"),
    "huge": ([f"{THEIRS}:network", "--data=huge"], "10000 × 10000 pixels, more than"),
}


@pytest.mark.parametrize("command", ["score", "evaluate", "audit"])
@pytest.mark.parametrize("names", [("two", "--image-size=8"), ("turned",)])
def test_other_classes_are_told_before_a_picture_is_decoded(names, command, tmp_path, monkeypatch, capsys):
    network, *flags = names
    for kind in ("ant", "bee", "cow"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        (tmp_path / "photos" / kind / "1.png").write_bytes(b"decoded, it would be no picture")
    flags += [f"--data={tmp_path / 'photos'}", f"--out={tmp_path / 'out'}", "--max-rejected=0"]
    assert main([command, f"{THEIRS}:{network}", *flags]) == 2
    said = capsys.readouterr().err
    assert ("has 2 logits; the pictures are of 3 classes" if network == "two" else "ant (1 images)") in said


@pytest.mark.parametrize("command", ["score", "evaluate"])
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_told_before_anything_is_written(bad, command, tmp_path, monkeypatch, capsys):
    arguments, words = BAD[bad]
    if "hf:" in arguments[0]:
        pytest.importorskip("transformers")
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("equipoise.nn.hub._reachable", lambda endpoint: False)
    data = [] if any("--data" in one for one in arguments) else ["--data=photos"]
    out = tmp_path / ("s.parquet" if command == "score" else "out")
    assert main([command, *arguments, *data, f"--out={out}"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not out.exists() or not any(out.iterdir())


@pytest.mark.parametrize("command", ["score", "evaluate"])
def test_a_picture_of_one_by_four_thousand_is_scored(command, tmp_path):
    out = tmp_path / ("s.parquet" if command == "score" else "out")
    flags = ["--data=thin", "--image-size=8", "--crop=0.5", f"--out={out}"]
    assert main([command, f"{THEIRS}:network", *flags]) == 0
    assert pq.read_table(out if command == "score" else out / "scores.parquet").num_rows == 3


def test_libraries_of_networks_know_their_classes_and_preprocessing(tmp_path):
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32,
        patch_size=8, id2label={0: "owl", 1: "bee", 2: "cow"},
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    processor.save_pretrained(tmp_path / "vit")
    out = tmp_path / "out"
    names = [f"hf:{tmp_path / 'vit'}", f"{THEIRS}:network"]
    assert main(["evaluate", *names, "--data=photos", "--replicates=100", f"--out={out}"]) == 0
    table, made = scores(out / "scores.parquet")
    assert list(made) == ["hf:vit", f"{THEIRS}:network"]
    assert made["hf:vit"]["preprocessing"]["rule"] == "squash"
    backbone = Backbone.named(names[0])
    with Image.open("photos/bee/0.png") as picture:
        seen = picture.resize((32, 32), Image.Resampling.BILINEAR)
    images = torch.from_numpy(np.asarray(seen).copy()).permute(2, 0, 1)[None] / 255
    wanted = backbone(images).logits.softmax(1)[0]
    row = (
        table["path"]
        .to_pylist()
        .index("photos/bee/0.png" if "photos/bee/0.png" in table["path"].to_pylist() else "bee/0.png")
    )
    found = [table[f"probability_hf:vit_{kind}"][row].as_py() for kind in ("owl", "bee", "cow")]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
