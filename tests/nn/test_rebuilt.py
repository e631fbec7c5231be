"""A backbone's description, and the network built again from it."""

import copy
import json

import pytest
import torch
from torch import nn

from equipoise.errors import DataError, InputError
from equipoise.nn import Backbone, with_last_layer
from equipoise.nn.rebuilt import described, needs_network, rebuilt
from equipoise.nn.weights import fill

from .networks import exported, small, transformers_folder

NAMES = ("tram", "cat", "boat")


def timm_backbone(tmp_path):
    timm = pytest.importorskip("timm")
    made = timm.create_model("resnet10t")
    (tmp_path / "net").mkdir()
    from safetensors.torch import save_file

    save_file(made.state_dict(), tmp_path / "w.safetensors")
    return Backbone.named("timm:resnet10t", weights=tmp_path / "w.safetensors", size=32)


def hf_backbone(tmp_path, heads=True):
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    labels = {0: "a", 1: "b", 2: "c", 3: "d"} if heads else None
    folder = transformers_folder(tmp_path / "vit", processor, labels=labels, heads=heads)
    return Backbone.named(f"hf:{folder}")


def onnx_backbone(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    exported(path)
    return Backbone.named(f"onnx:{path}", mean=(0.5,), std=(0.25,))


MADE = {
    "timm": timm_backbone,
    "transformers": hf_backbone,
    "transformers without a last layer": lambda path: hf_backbone(path, heads=False),
    "onnx": onnx_backbone,
    "own": lambda path: Backbone.of(small(), size=16, mean=(0.5,), std=(0.25,)),
    "own, features of a named layer": lambda path: Backbone.of(small(), size=16, layer="body"),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", MADE)
def test_built_again_it_says_the_same(kind, classes, tmp_path):
    first = MADE[kind](tmp_path)
    layer = nn.Linear(first.dimensions, 1 if classes == 2 else 3)
    backbone = with_last_layer(first, layer, NAMES[:classes])
    words = json.loads(json.dumps(described(backbone)))
    assert needs_network(words) == kind.startswith("own")
    given = small().eval() if needs_network(words) else None
    again = rebuilt(words, backbone.preprocessing, layer.out_features, NAMES[:classes], given)
    fill(again.network, backbone.network.state_dict(), "weights")
    images = torch.rand(3, backbone.channels, backbone.framing.size, backbone.framing.size)
    wanted, found = backbone(images), again(images)
    assert torch.allclose(wanted.logits, found.logits, atol=1e-5)
    assert torch.allclose(wanted.features, found.features, atol=1e-5)
    assert (again.tap, again.outputs, again.class_names) == (
        backbone.tap,
        backbone.outputs,
        backbone.class_names,
    )


def test_the_last_layer_of_a_transformers_model_is_its_own_and_its_configuration_knows_the_classes(tmp_path):
    backbone = hf_backbone(tmp_path)
    changed = with_last_layer(backbone, nn.Linear(backbone.dimensions, 3), NAMES)
    model = changed.network.model
    assert model.config.id2label == dict(enumerate(NAMES))
    assert model.classifier.out_features == 3
    model.save_pretrained(tmp_path / "again")
    import transformers

    read = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "again").eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(read(pixel_values=images).logits, changed.network.eval()(images), atol=1e-5)


def test_another_or_no_network_is_refused(tmp_path):
    backbone = Backbone.of(small(), size=16)
    words = described(backbone)
    with pytest.raises(InputError, match="trained with, Small; got none"):
        rebuilt(words, backbone.preprocessing, 3, NAMES)
    other = copy.deepcopy(small())
    other.body[0] = nn.Conv2d(3, 6, 5)
    with pytest.raises(InputError, match="another architecture"):
        rebuilt(words, backbone.preprocessing, 3, NAMES, other)


@pytest.mark.parametrize(
    "change",
    [
        {"tap": 3},
        {"dimensions": "many"},
        {"name": "elsewhere"},
        {"name": "timm:resnet10t", "tap": ["no", "input"]},
    ],
)
def test_a_damaged_description_is_refused(change):
    backbone = Backbone.of(small(), size=16)
    words = {**described(backbone), **change}
    words.pop("architecture")
    with pytest.raises(DataError):
        rebuilt(words, backbone.preprocessing, 3, NAMES)


def test_an_onnx_file_that_changed_is_refused(tmp_path):
    backbone = onnx_backbone(tmp_path)
    words = described(with_last_layer(backbone, nn.Linear(6, 3)))
    with pytest.raises(DataError, match="has changed"):
        rebuilt({**words, "content": "0"}, backbone.preprocessing, 3, NAMES)
