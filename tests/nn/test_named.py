"""One grammar of names: timm, transformers, ONNX, callables; each with the preprocessing that it came with."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.nn import Backbone, named_backbone
from equipoise.nn.timm_networks import timm_preprocessing
from equipoise.pictures.framing import Framing

from .networks import exported, photograph, squared, transformers_folder

MODULE = """
from torch import nn
from equipoise.nn import Backbone
def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
def backbone():
    return Backbone.of(network(), size=20, mean=(0.5,), std=(0.5,), interpolation="bilinear")
number = 3
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A module in the current folder."""
    (tmp_path / "their_backbones.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "their_backbones"
    sys.modules.pop("their_backbones", None)


@pytest.fixture(scope="module")
def timm():
    pytest.importorskip("huggingface_hub")
    from equipoise.nn.timm_networks import _timm

    try:
        return _timm()
    except MissingExtraError:
        pytest.skip("without timm")


def test_a_timm_network_with_weights_of_other_classes_and_channels(timm, tmp_path):
    theirs = timm.create_model("test_resnet", num_classes=5, in_chans=1).eval()
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    backbone = Backbone.named("timm:test_resnet", weights=tmp_path / "w.safetensors", mean=(0.5,), std=(0.5,))
    assert backbone.framing == Framing(160, resize=168, interpolation="bilinear")
    assert (backbone.outputs, backbone.channels, backbone.dimensions) == (5, 1, 96)
    images = torch.rand(2, 1, 160, 160)
    with torch.no_grad():
        seen = (images - 0.5) / 0.5
        assert torch.allclose(backbone(images).logits, theirs(seen), atol=1e-5)
        pooled = theirs.forward_head(theirs.forward_features(seen), pre_logits=True)
    assert torch.allclose(backbone(images).features, pooled, atol=1e-5)
    assert backbone.name == "timm:test_resnet"
    with pytest.raises(InputError, match="no mean and standard deviation for pictures of 1 channels"):
        Backbone.named("timm:test_resnet", weights=tmp_path / "w.safetensors")
    assert not any(name.startswith("torchvision") for name in sys.modules)


def test_timm_weights_of_torch_save_in_a_checkpoint(timm, tmp_path):
    theirs = timm.create_model("test_vit", num_classes=2)
    weights = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "w.pt")
    plain = tmp_path / "plain.pt"
    torch.save(theirs.state_dict(), plain)
    one, other = (Backbone.named("timm:test_vit", weights=path) for path in (tmp_path / "w.pt", plain))
    assert one.digest == other.digest
    assert (one.outputs, one.dimensions) == (2, 64)


def test_a_timm_network_of_another_size(timm, tmp_path):
    save_file(timm.create_model("test_vit", img_size=96).state_dict(), tmp_path / "w.safetensors")
    backbone = Backbone.named("timm:test_vit", weights=tmp_path / "w.safetensors", size=96)
    assert backbone.framing == Framing(96, resize=101, interpolation="bicubic")
    with pytest.raises(
        InputError, match=r"pos_embed is \(1, 37, 64\) in the file, \(1, 101, 64\) in the network"
    ):
        Backbone.named("timm:test_vit", weights=tmp_path / "w.safetensors")


def test_a_timm_folder_brought_from_elsewhere(timm, tmp_path):
    theirs = timm.create_model("test_resnet", num_classes=2).eval()
    config = {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash", "input_size": [3, 96, 96]}
    config |= {
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "num_classes": 2,
        "label_names": ["bee", "cow"],
    }
    config |= {"first_conv": "conv1", "classifier": "fc"}
    described = {"architecture": "test_resnet", "num_classes": 2, "pretrained_cfg": config}
    (tmp_path / "config.json").write_text(json.dumps(described))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    backbone = Backbone.named(f"timm:local-dir:{tmp_path}")
    assert backbone.framing == Framing(96, "squash", interpolation="bicubic")
    assert (backbone.preprocessing.mean, backbone.class_names) == ((0.1, 0.2, 0.3), ("bee", "cow"))
    with torch.no_grad():
        images = torch.rand(1, 3, 96, 96)
        mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
        assert torch.allclose(backbone(images).logits, theirs((images - mean) / std), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"crop_mode": "border"},
        {"crop_mode": "squash"},
        {"interpolation": "hamming"},
        {"input_size": (3, 96, 128)},
    ],
)
def test_what_timm_configurations_may_ask_for_and_is_not_done_here(change):
    config = {"input_size": (3, 96, 96), "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"}
    config |= {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    assert timm_preprocessing(config, "name").framing == Framing(96, resize=106, interpolation="bicubic")
    with pytest.raises(InputError, match="`size`, a Framing"):
        timm_preprocessing({**config, **change}, "name")


CANNOT = "no crop", "no resize", "hamming", "not square"


def processors():
    """Image processors of each kind, those that cannot be followed with None."""
    transformers = pytest.importorskip("transformers")
    of = {name: getattr(transformers, f"{name}Pil") for name in ("ViTImageProcessor", "CLIPImageProcessor")}
    clip = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
    half = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    square = {"height": 32, "width": 32}
    return {
        "squash": (
            of["ViTImageProcessor"](size=square, resample=2, **half),
            Framing(32, "squash", None, "bilinear"),
        ),
        "shortest edge": (of["CLIPImageProcessor"](**clip), Framing(32, "crop", 36, "bicubic")),
        "no normalisation": (
            of["CLIPImageProcessor"](**clip, resample=1, do_normalize=False),
            Framing(32, "crop", 36, "lanczos"),
        ),
        "from −1 to 1": (
            of["ViTImageProcessor"](
                size=square, rescale_factor=1 / 127.5, image_mean=[1.0] * 3, image_std=[1.0] * 3
            ),
            Framing(32, "squash", None, "bilinear"),
        ),
        "convnext": (
            transformers.ConvNextImageProcessorPil(
                size={"shortest_edge": 32}, crop_pct=0.875, resample=2, **half
            ),
            Framing(32, "crop", 36, "bilinear"),
        ),
        "no crop": (of["CLIPImageProcessor"](size={"shortest_edge": 36}, do_center_crop=False), None),
        "no resize": (of["ViTImageProcessor"](size=square, do_resize=False), None),
        "hamming": (of["ViTImageProcessor"](size=square, resample=5), None),
        "not square": (of["ViTImageProcessor"](size={"height": 32, "width": 48}), None),
    }


@pytest.mark.parametrize(
    "kind",
    ["squash", "shortest edge", "no normalisation", "from −1 to 1", "convnext", *CANNOT],
)
def test_pictures_come_as_the_image_processor_makes_them(kind):
    from equipoise.nn.hugging_face import processor_preprocessing

    processor, framing = processors()[kind]
    if framing is None:
        with pytest.raises(InputError, match="`size`, a Framing"):
            processor_preprocessing(processor, "name")
        return
    found = processor_preprocessing(processor, "name")
    assert found.framing == framing
    picture = photograph()
    theirs = torch.from_numpy(np.array(processor(picture, return_tensors="np")["pixel_values"]))
    pixels = torch.from_numpy(squared(picture, framing).copy()).permute(2, 0, 1)[None] / 255
    # a processor resizes by torch or by Pillow, which round differently
    assert float((found.normalised(pixels) - theirs).abs().max()) < 0.05
    flat = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (found.mean, found.std))
    assert torch.allclose(found.normalised(flat), (flat - mean) / std, atol=1e-6)


@pytest.mark.slow
def test_a_transformers_folder_with_and_without_a_last_layer(tmp_path):
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    folder = transformers_folder(tmp_path / "heads", processor, labels={0: "bee", 1: "cow", 2: "owl"})
    backbone = Backbone.named(f"hf:{folder}")
    theirs = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        out = theirs(images * 2 - 1, output_hidden_states=True)
    assert torch.allclose(backbone(images).logits, out.logits, atol=1e-5)
    assert backbone.class_names == ("bee", "cow", "owl")
    cls = theirs.vit.layernorm(out.hidden_states[-1])[:, 0]
    assert torch.allclose(backbone(images).features, cls, atol=1e-5)
    assert Backbone.named(f"hf:{folder}", layer="vit.layernorm").dimensions == 16
    (tmp_path / "heads").rename(tmp_path / "moved")
    assert Backbone.named(f"hf:{tmp_path / 'moved'}").digest == backbone.digest

    body = Backbone.named(f"hf:{transformers_folder(tmp_path / 'body', processor, labels=None, heads=False)}")
    assert (body.outputs, body.dimensions, body.class_names) == (None, 16, None)
    whole = transformers.ViTModel.from_pretrained(tmp_path / "body").eval()
    with torch.no_grad():
        assert torch.allclose(body(images).features, whole(images * 2 - 1).pooler_output, atol=1e-5)
    # the same without its pooler, whose weights are then nobody's
    tensors = {n: v for n, v in whole.state_dict().items() if "pooler" not in n}
    save_file(tensors, tmp_path / "body" / "model.safetensors", {"format": "pt"})
    with torch.no_grad():
        mean = whole(images * 2 - 1).last_hidden_state.mean(1)
        assert torch.allclose(Backbone.named(f"hf:{tmp_path / 'body'}")(images).features, mean, atol=1e-5)
    tensors.pop("layernorm.weight")
    save_file(tensors, tmp_path / "body" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="missing, such as"):
        Backbone.named(f"hf:{tmp_path / 'body'}")


@pytest.mark.parametrize(("batch", "dynamic"), [(1, False), (4, False), (2, True)])
def test_an_onnx_file_also_with_a_fixed_batch(tmp_path, batch, dynamic):
    pytest.importorskip("onnxruntime")
    network = exported(tmp_path / "m.onnx", batch=batch, dynamic=dynamic)
    backbone = Backbone.named(f"onnx:{tmp_path / 'm.onnx'}", mean=(0.5,), std=(0.25,))
    assert backbone.framing == Framing(16)
    own = Backbone.of(network, size=16, mean=(0.5,), std=(0.25,))
    for count in (1, 5):
        images = torch.rand(count, 3, 16, 16)
        assert torch.allclose(backbone(images).logits, own(images).logits, atol=1e-5)
        assert torch.allclose(backbone(images).features, own(images).features, atol=1e-5)
    (tmp_path / "m.onnx").rename(tmp_path / "moved.onnx")
    moved = Backbone.named(f"onnx:{tmp_path / 'moved.onnx'}", mean=(0.5,), std=(0.25,))
    other = exported(tmp_path / "other.onnx", classes=4)
    assert other is not None
    assert moved.digest == backbone.digest != Backbone.named(f"onnx:{tmp_path / 'other.onnx'}").digest


def test_an_onnx_file_with_channels_last_and_a_value_by_name(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    of, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    nodes = [
        of.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2], keepdims=0),
        of.make_node("MatMul", ["mean", "w"], ["scores"]),
        of.make_node("Softmax", ["scores"], ["shares"]),
    ]
    graph = of.make_graph(
        nodes,
        "g",
        [of.make_tensor_value_info("images", kind, [None, None, None, 3])],
        [of.make_tensor_value_info(name, kind, [None, 2]) for name in ("shares", "scores")],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    onnx.save(
        of.make_model(graph, opset_imports=[of.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx"
    )
    name = f"onnx:{tmp_path / 'm.onnx'}"
    images = torch.rand(2, 3, 8, 8)
    backbone = Backbone.named(name, output="shares", size=8)
    wanted = images.mean((2, 3)) @ torch.from_numpy(weight)
    assert torch.allclose(backbone(images).features, images.mean((2, 3)), atol=1e-6)
    assert torch.allclose(backbone(images).logits, wanted.softmax(1), atol=1e-6)
    assert torch.allclose(
        Backbone.named(name, output="shares", layer="scores", size=8)(images).features, wanted
    )
    for options, words in (
        ({}, "`output`"),
        ({"output": "none"}, "has shares, scores"),
        ({"output": "scores"}, "any size; say which"),
        ({"output": "scores", "size": 8, "layer": "none"}, "no value 'none'"),
        ({"output": "scores", "size": 8, "weights": "w.pt"}, "holds its weights"),
    ):
        with pytest.raises(InputError, match=words):
            Backbone.named(name, **options)


def test_callables_and_ready_backbones(named):
    assert Backbone.named(f"{named}:network", size=20, mean=(0.5,), std=(0.5,)).outputs == 3
    assert Backbone.named(f"{named}:network").framing.size == 224
    assert Backbone.named(f"{named}:backbone").framing == Framing(20, interpolation="bilinear")
    with pytest.raises(InputError, match=r"a Backbone, which knows; got `size`, `mean`"):
        Backbone.named(f"{named}:backbone", size=20, mean=(0.5,))


def test_chance_is_as_without(named):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    Backbone.named(f"{named}:network", size=20)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("nowhere", {}, InputError, r"timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE or package\.module:callable"),
        ("onnx:", {}, InputError, "Expected the name of a network"),
        ("their_backbones:number", {}, InputError, "a torch nn.Module or a Backbone; got int"),
        ("no_such_module_here:f", {}, MissingExtraError, "no_such_module_here"),
        ("onnx:nowhere.onnx", {}, DataError, "No such file"),
        ("onnx:their_backbones.py", {}, DataError, "Expected an ONNX model"),
        ("timm:no_such_network", {"weights": "w.safetensors"}, InputError, "Unknown model"),
        ("timm:test_resnet", {"weights": "nowhere.pt"}, DataError, "Check `weights`"),
        ("timm:test_resnet", {"weights": "w.safetensors"}, InputError, "do not fit the network.*in the file"),
        ("timm:local-dir:.", {}, DataError, "config.json and model.safetensors"),
        ("hf:.", {}, DataError, "A folder holds config.json"),
        ("hf:.", {"output": "logits"}, InputError, "knows where its logits are"),
    ],
)
def test_errors_name_what_is_wrong(named, timm, name, options, error, words):
    pytest.importorskip("transformers")
    save_file({"other": torch.ones(1)}, "w.safetensors")
    with pytest.raises(error, match=f"(?s){words}"):
        named_backbone(name, **options)


@pytest.mark.parametrize("name", ["timm:resnet18.a1_in1k", "hf:nobody/no-such-network"])
def test_without_the_hub_the_error_says_how_to_bring_files(timm, monkeypatch, tmp_path, name):
    pytest.importorskip("transformers")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("equipoise.nn.hub._reachable", lambda endpoint: False)
    with pytest.raises(
        DataError, match=r"The hub cannot be reached from here.*hf download .* --local-dir FOLDER"
    ):
        named_backbone(name)
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("name", ["timm:x", "hf:x", "onnx:x"])
def test_libraries_that_are_missing_are_named_with_how_to_install_them(name, monkeypatch):
    for library in ("timm", "transformers", "onnx"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'equipoise\[(timm|transformers|onnx)\]'"):
        named_backbone(name)


@pytest.mark.slow
def test_none_of_them_is_imported_without_need():
    named = "'timm', 'transformers', 'onnx', 'onnxruntime'"
    told = f"import sys, equipoise.nn; print([m for m in ({named}) if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True).stdout.strip() == "[]"
