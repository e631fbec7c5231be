"""Pictures and texts in one space: a tiny CLIP of transformers, by its own numbers; what is none is refused."""

import shutil

import numpy as np
import pytest
import torch

from equipoise.errors import DataError, InputError
from equipoise.nn.picture_text import picture_text

from .networks import transformers_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clip_folder):
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def model(folder):
    return picture_text(f"hf:{folder}")


def test_vectors_are_those_of_the_model_itself(folder, model):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        for text in ("red", "a dark room"):  # one at a time, without filling up
            said = theirs.get_text_features(**_read(tokenizer([text], return_tensors="pt"))).pooler_output
            np.testing.assert_allclose(model.texts(["blue", text])[1], said[0].numpy(), atol=1e-5)
        pixels = torch.rand(2, 3, 16, 16)
        seen = theirs.get_image_features(pixel_values=model.backbone.preprocessing.normalised(pixels))
    np.testing.assert_allclose(model.backbone(pixels).features, seen.pooler_output, atol=1e-5)
    assert model.backbone.dimensions == 8


def _read(tokens):
    return {key: tokens[key] for key in ("input_ids", "attention_mask")}


def test_many_texts_keep_their_order(model):
    texts = [("red", "blue", "dark")[i % 3] for i in range(150)]
    found = model.texts(texts)
    assert found.shape == (150, 8)
    np.testing.assert_allclose(found[-1], found[2], atol=1e-6)
    assert not np.allclose(found[0], found[1])


def test_a_text_that_is_too_long_is_not_cut(model):
    model.texts(["a dark dark red room"])
    with pytest.raises(InputError, match=r"at most 6 tokens.*got 7 for 'a dark dark dark red room'"):
        model.texts(["red", "a dark dark dark red room"])


def test_a_text_of_no_known_word_is_not_a_vector_of_nothing(model):
    with pytest.raises(InputError, match="it knows nothing in 'zebra'"):
        model.texts(["red", "zebra"])


def test_what_takes_no_pictures_and_texts_is_refused(clip_folder, tmp_path):
    transformers = pytest.importorskip("transformers")
    with pytest.raises(InputError, match="hf:NAME_OR_FOLDER; got 'timm:resnet18'"):
        picture_text("timm:resnet18")
    with pytest.raises(InputError, match="is a CLIPVisionModel"):
        picture_text(f"hf:{clip_folder(tmp_path / 'half', text=False)}")
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    vit = transformers_folder(tmp_path / "vit", processor, labels={0: "a", 1: "b"})
    with pytest.raises(InputError, match="is a ViTForImageClassification"):
        picture_text(f"hf:{vit}")


@pytest.mark.parametrize("broken", ["gone", "damaged"])
def test_without_a_tokenizer_that_can_be_read_it_is_said(folder, tmp_path, broken):
    place = shutil.copytree(folder, tmp_path / "clip")
    for file in place.glob("*token*"):
        if broken == "gone":
            file.unlink()
        else:
            file.write_text('{"version": 3')
    with pytest.raises((DataError, InputError), match="tokenizer"):
        picture_text(f"hf:{place}").texts(["red"])
