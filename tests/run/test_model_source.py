"""Which network an audit works on, and what is said when it cannot be had."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.nn import Backbone, FeatureExtractor, Preprocessing, embed
from equipoise.nn.preprocessing import Normalised
from equipoise.pictures.framing import Framing
from equipoise.run import Engine, Output, Reading, Scoring, Sources, audit
from equipoise.run.embedding_source import embedding_source
from equipoise.run.model_source import Network, brought_backbone, model_source, run_backbone

MODULE = """
from torch import nn
def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
ready = network()
class Models:
    small = staticmethod(network)
number = 3
def wrong():
    return "no network"
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A module in the current folder."""
    (tmp_path / "their_models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "their_models"
    sys.modules.pop("their_models", None)


@pytest.mark.parametrize("attribute", ["network", "ready", "Models.small"])
def test_a_callable_or_a_module_in_the_current_folder(named, attribute):
    path = list(sys.path)
    found = model_source(f"{named}:{attribute}")
    assert found.network(torch.zeros(2, 3, 2, 2)).shape == (2, 1)
    assert found.title == attribute
    assert found.framing is None
    assert sys.path == path


def test_weights_are_filled_in(named, tmp_path):
    tensors = {"1.weight": torch.ones(1, 12), "1.bias": torch.full((1,), 7.0)}
    save_file(tensors, tmp_path / "w.safetensors")
    found = model_source(Network(f"{named}:network", weights=tmp_path / "w.safetensors"))
    assert found.network(torch.ones(1, 3, 2, 2)).item() == 19


def test_normalised_images_and_the_layer_behind_them(named):
    found = model_source(
        Network(f"{named}:network", layer="1", mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 2.0), output="0")
    )
    assert found.layer == "model.1"
    assert found.output == 0
    plain = model_source(f"{named}:network")
    plain.network.load_state_dict(found.network.model.state_dict())
    images = torch.rand(4, 3, 2, 2)
    shifted = (images - torch.tensor([0.5, 0.25, 0.0])[:, None, None]) / torch.tensor([0.5, 0.5, 2.0])[
        :, None, None
    ]
    assert torch.allclose(found.network(images), plain.network(shifted))


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("nowhere", {}, InputError, "the folder of a run, or timm:NAME"),
        ("no_such_module:f", {}, MissingExtraError, "no_such_module"),
        ("their_models:missing", {}, InputError, "has no 'missing'"),
        ("their_models:number", {}, InputError, "got int"),
        ("their_models:wrong", {}, InputError, "got str"),
        ("their_models:network", {"weights": "nowhere.safetensors"}, DataError, "Check `weights`"),
        ("their_models:network", {"mean": (0.5,)}, InputError, "as many means"),
        ("their_models:network", {"mean": (0.5,), "std": (0.0,)}, InputError, "above 0"),
        (".", {"output": "logits"}, InputError, "`output` are for package.module:callable"),
    ],
)
def test_errors_say_what_to_do(named, name, options, error, words):
    with pytest.raises(error, match=words):
        model_source(Network(name, **options))


def test_weights_of_another_network(named, tmp_path):
    save_file({"other": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"do not fit the network: .*1\.weight"):
        model_source(Network(f"{named}:network", weights=tmp_path / "w.safetensors"))


def test_a_network_is_taken_as_it_is():
    network = nn.Linear(2, 1)
    assert model_source(network).network is network
    assert isinstance(model_source(Network(network, mean=(0.0,), std=(1.0,))).network, Normalised)


@pytest.fixture
def onnx_file(tmp_path):
    """Three logits of pictures of 12 pixels."""
    pytest.importorskip("onnxruntime")
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, 3, 12, 12),), tmp_path / "m.onnx", dynamo=False)
    return f"onnx:{tmp_path / 'm.onnx'}"


def table_of(classes, size=12, names=None, each=12):
    images = np.random.default_rng(0).integers(0, 256, (each * classes, size, size, 3), np.uint8)
    table = ImageTable.from_arrays(images, np.arange(each * classes) % classes)
    return replace(table, classes=names or {})


def test_a_named_network_says_how_its_pictures_are_read(onnx_file):
    found = model_source(Network(onnx_file, mean=(0.5,), std=(0.5,)))
    assert found.framing == Framing(12)
    assert found.layer == "model.features"
    assert found.reading(Reading()).image_size == 12
    assert found.checked(table_of(3)).labels.tolist() == table_of(3).labels.tolist()
    with pytest.raises(
        InputError, match=r"has 3 logits; the pictures are of 2 classes \('negative', 'positive'\)"
    ):
        found.checked(table_of(2))
    with pytest.raises(InputError, match=r"12×12 pixels; these have 3 and 8×8"):
        found.checked(table_of(3, size=8))
    with pytest.raises(InputError, match="takes pictures of 12×12 pixels; got `size` 20"):
        Network(onnx_file).loaded(Reading(image_size=20))


def test_classes_are_told_by_name_where_the_network_has_names():
    came = Preprocessing(Framing(12))
    network = nn.Sequential(nn.Flatten(), nn.Linear(432, 3))
    backbone = Backbone.tried(network, came, class_names=("bee", "cow", "owl"))
    found = model_source(backbone)
    aligned = found.checked(table_of(2, names={"cow": 0, "owl": 1}))
    assert aligned.labels[:3].tolist() == [1, 2, 1]
    with pytest.raises(InputError, match="bee, cow, owl"):
        found.checked(table_of(2, names={"cow": 0, "dog": 1}))
    assert found.checked(table_of(3)).labels.max() == 2
    with pytest.raises(InputError, match=r"of 3 classes \(bee, cow, owl\); the pictures are of 4"):
        found.checked(table_of(4))


def test_a_plain_network_of_other_classes_is_refused_at_once():
    network = nn.Sequential(nn.Flatten(), nn.Linear(432, 1000))
    with pytest.raises(InputError, match=r"has 1000 logits; the pictures are of 3 classes \(0, 1, 2\)"):
        model_source(network).checked(table_of(3))
    one = nn.Sequential(nn.Flatten(), nn.Linear(432, 1))
    assert model_source(one).checked(table_of(2)).labels.max() == 1


def test_features_alone_are_no_model(named):
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    backbone = Backbone.tried(body, Preprocessing(Framing(12)), headless=True)
    with pytest.raises(InputError, match="gives features and no logits"):
        model_source(backbone)


def test_a_run_s_folder_as_a_backbone(models):
    backbone = run_backbone(models / "plain")
    assert backbone.framing == Framing(32)
    assert (backbone.outputs, backbone.class_names) == (1, ("negative", "positive"))
    assert backbone(torch.rand(2, 3, 32, 32)).features.shape == (2, backbone.dimensions)
    same = brought_backbone(models / "plain")
    assert same.digest == backbone.digest
    source = model_source(str(models / "plain"))
    assert source.framing == Framing(32)
    assert source.checked(table_of(2, size=32)).labels.max() == 1


def test_an_onnx_file_as_an_embedding(onnx_file):
    found = embedding_source(onnx_file, None)
    assert isinstance(found.embedding, FeatureExtractor)
    assert found.settings()["embedding"] == onnx_file
    assert embed(found.embedding, table_of(2)).shape == (24, 5)
    assert found.brought() == embedding_source(onnx_file, None).brought()
    with pytest.raises(InputError, match="these have 3 and 8×8"):
        embed(found.embedding, table_of(2, size=8))


def test_an_audit_of_an_onnx_file(onnx_file, tmp_path):
    record = audit(
        Network(onnx_file, mean=(0.5,), std=(0.5,)),
        Sources(data=table_of(3, each=30)),
        scoring=Scoring(methods=("neighbours", "last_layer"), epochs=1),
        engine=Engine(device="cpu", progress=False),
        output=Output(tmp_path / "out"),
    )
    assert record.model.source == onnx_file
    assert set(record.risks) >= {"representation_neighbours", "epistemic_last_layer", "label_noise"}
    with pytest.raises(InputError, match="has 3 logits"):
        audit(onnx_file, Sources(data=table_of(2)), output=Output(tmp_path / "none"))
    assert not (tmp_path / "none" / "settings.toml").exists()
