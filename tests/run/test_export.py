"""`export`: what is written is read again by name, and says the same; what cannot be is refused and leaves nothing."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone
from equipoise.nn.export import write_onnx
from equipoise.nn.preprocessing import Preprocessing
from equipoise.pictures.framing import Framing
from equipoise.run import Engine, Measuring, Output, Reading, Sources, evaluate, export
from equipoise.run.model_source import Network, model_source, run_backbone

MODULE = """
import torch
from torch import nn
class Small(nn.Module):
    def __init__(self, chance=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.drop = nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.Dropout(0.5)
        self.last, self.chance = nn.Linear(6, 3), chance
    def forward(self, images):
        found = self.norm(self.conv(images)).relu().mean((2, 3))
        if self.chance:
            found = found + torch.rand_like(found)
        return {"scores": self.last(self.drop(found))}
network = Small
def drawing():
    return Small(True)
"""
THEIRS = "their_exports_here"
SHAPED = ["--output=scores", "--image-size=16", "--resize=bilinear", "--mean=0.4", "--std=0.2"]


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    (tmp_path / f"{THEIRS}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop(THEIRS, None)


@pytest.mark.slow
def test_onnx_is_read_again_by_name_with_its_preprocessing_and_classes(tmp_path, capsys):
    pytest.importorskip("onnxscript")
    assert main(["export", f"{THEIRS}:network", "--format=onnx", "--out=m.onnx", *SHAPED]) == 0
    said = capsys.readouterr()
    assert "Written: " in said.out
    assert "torchvision" not in said.out + said.err
    wanted = model_source(Network(f"{THEIRS}:network", output="scores", mean=(0.4,), std=(0.2,)))
    found = Backbone.named("onnx:m.onnx")
    assert found.network.batch is None
    assert found.framing == Framing(16, interpolation="bilinear")
    for count in (1, 5):
        images = torch.rand(count, 3, 16, 16)
        with torch.no_grad():
            logits = wanted.network.eval()(images)["scores"]
        assert torch.allclose(found(images).logits, logits, atol=1e-5)
    inside = model_source("onnx:m.onnx").preprocessing(Reading())["inside"]
    assert inside == {"mean": [pytest.approx(0.4)], "std": [pytest.approx(0.2)]}
    # metadata of others are not trusted
    onnx = pytest.importorskip("onnx")
    model = onnx.load("m.onnx")
    for bad in ("{", '{"preprocessing": {"size": -1}, "classes": null}', "[]"):
        onnx.helper.set_model_props(model, {"equipoise": bad})
        onnx.save(model, "bad.onnx")
        assert main(["score", "onnx:bad.onnx", ".", "--quiet"]) == 2
        assert "Export it again" in capsys.readouterr().err
    assert main(["score", "onnx:m.onnx", ".", "--mean=0.4", "--std=0.2"]) == 2
    assert "normalises its pictures itself" in capsys.readouterr().err
    # an earlier file stays where the next one fails; a network that draws by chance is none
    before = (tmp_path / "m.onnx").read_bytes()
    assert main(["export", f"{THEIRS}:drawing", "--format=onnx", "--out=m.onnx", "--overwrite", *SHAPED]) == 2
    assert "to say what the network says of made-up pictures" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


@pytest.mark.slow  # the exporter takes its time with mirrored passes
def test_a_run_is_a_file_of_onnx_with_its_classes_and_features(models, tmp_path):
    pytest.importorskip("onnxscript")
    export(models / "plain", format="onnx", out=tmp_path / "m.onnx")
    found, own = Backbone.named("onnx:m.onnx"), model_source(models / "plain")
    assert found.class_names == ("negative", "positive")
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(found(images).logits.flatten(), own.network(images).flatten(), atol=1e-5)
    assert torch.allclose(found(images).features, run_backbone(models / "plain")(images).features, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["theirs", "run", "hf"])
def test_a_state_dict_loads_without_us(name, models, tmp_path):
    options = ["--format=state-dict", "--out=w.safetensors"]
    if name == "theirs":
        assert main(["export", f"{THEIRS}:network", *options, *SHAPED]) == 0
        network = model_source(f"{THEIRS}:network").network
    elif name == "run":
        assert main(["export", str(models / "debiased"), *options]) == 0
        network = model_source(models / "debiased").network
    else:
        assert main(["export", f"hf:{vit(tmp_path / 'vit')}", *options]) == 0
        transformers = pytest.importorskip("transformers")
        network = transformers.ViTForImageClassification.from_pretrained(tmp_path / "vit")
    found = load_file("w.safetensors")
    network.load_state_dict(found)
    assert set(found) == set(network.state_dict())
    if name == "theirs":
        assert (
            main(["export", f"{THEIRS}:network", *options, *SHAPED, "--weights=w.safetensors"]) == 2
        )  # there
        again = [*options, *SHAPED, "--weights=w.safetensors", "--overwrite"]
        assert main(["export", f"{THEIRS}:network", *again]) == 0


def vit(folder):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32,
        patch_size=8, id2label={0: "bee", 1: "a|cow"}, label2id={"bee": 0, "a|cow": 1},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_a_folder_of_transformers_with_a_card_that_a_record_fills(tmp_path, capsys):
    name = f"hf:{vit(tmp_path / 'vit')}"
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    table = ImageTable.from_arrays(
        images, np.arange(40) % 2, {"site": ["a<b>" if i < 20 else "c" for i in range(40)]}
    )
    quick = {
        "measuring": Measuring(("site",), replicates=100),
        "engine": Engine(device="cpu", progress=False),
    }
    record = evaluate(name, Sources(data=table), **quick, output=Output(tmp_path / "measured"))
    capsys.readouterr()
    assert main(["export", name, "--format=transformers", "--out=mine", "--record=measured"]) == 0
    assert "shards" not in capsys.readouterr().err  # the library's bar
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    one, other = Backbone.named(name), Backbone.named("hf:mine")
    seen = torch.rand(2, 3, 32, 32)
    assert torch.equal(one(seen).logits, other(seen).logits)
    assert (other.class_names, other.preprocessing) == (("bee", "a|cow"), one.preprocessing)
    card = (tmp_path / "mine" / "README.md").read_text()
    accuracy = record.models["hf:vit"].classes.accuracy
    assert f"| accuracy | {accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f}) |" in card
    for words in ("| a\\<b\\> (few) | 20 |", "a\\|cow", "20 positives", "do not cover a change of the world"):
        assert words in card
    assert str(tmp_path) not in card
    # without a record it says so; what lies there stays unless it shall go
    capsys.readouterr()
    assert main(["export", name, "--format=transformers", "--out=mine"]) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert main(["export", name, "--format=transformers", "--out=mine", "--overwrite"]) == 0
    assert "Nothing was measured for this card" in (tmp_path / "mine" / "README.md").read_text()
    other = Backbone.named(name).network.model
    nn.init.normal_(other.classifier.weight)
    other.save_pretrained(tmp_path / "vit")
    assert main(["export", name, "--format=transformers", "--out=new", "--record=measured"]) == 2
    assert "none of which is this network" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format=pickle", "--out=m"], "--format must be one of onnx, transformers, state-dict"),
        (["--format=transformers", "--out=m"], "came as hf:NAME_OR_FOLDER"),
        (["--format=onnx", "--out=."], "Expected a file as --out"),
        (["--format=onnx", "--out=m", "--record=r"], "Expected --record with --format transformers"),
        (["--format=onnx", "--out=m", "--image-size=1"], "must take pictures of shape (2, 3, 1, 1)"),
        (["--format=onnx", "--out=m"], "a dict with the keys scores"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words, tmp_path, capsys):
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["export", f"{THEIRS}:network", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert [n for n in sorted(path.name for path in tmp_path.iterdir()) if n != "__pycache__"] == before


def test_an_onnx_file_is_no_torch_network(tmp_path):
    pytest.importorskip("onnxruntime")
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    write_onnx(network, Preprocessing(Framing(4)), tmp_path / "m.onnx", class_names=("bee", "cow"))
    assert Backbone.named("onnx:m.onnx").class_names == ("bee", "cow")
    with pytest.raises(InputError, match="written as ONNX already"):
        export("onnx:m.onnx", format="state-dict", out="w")
