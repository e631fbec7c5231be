import importlib

import numpy as np
import pytest

from equipoise.data import planted, split
from equipoise.density.appearance import appearance_rarity
from equipoise.errors import InputError
from equipoise.fairness import enrichment
from equipoise.resample import temper

module = importlib.import_module("equipoise.data.planted")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def table(cache):
    return planted(500, cache=cache, hidden={"darker skin": 0.1, "hat and sunglasses": 0.2})


def test_half_are_faces_and_hidden_shares_are_exact(table):
    assert len(table) == 500
    assert len(table.positives) == 250
    hidden = table.groups("hidden").take(table.positives)
    assert dict(zip(hidden.names, hidden.counts.tolist(), strict=True)) | {"(missing)": 0} == {
        "(missing)": 0,
        "common": 175,
        "darker skin": 25,
        "hat and sunglasses": 50,
    }


def test_a_hidden_look_occurs_in_its_group_and_nowhere_else(table):
    faces = table.take(table.positives)
    columns = {name: np.array(faces.column(name)) for name in ("hidden", "skin", "hat", "glasses")}
    assert ((columns["skin"] == "darker") == (columns["hidden"] == "darker skin")).all()
    both = (columns["hat"] == "hat") & (columns["glasses"] == "sunglasses")
    assert (both == (columns["hidden"] == "hat and sunglasses")).all()


def test_the_columns_tell_the_truth(cache):
    table = planted(600, cache=cache, hidden={"darker skin": 0.3})
    faces = table.take(table.positives)
    middle = faces.batch(np.arange(len(faces)))[:, 26:44, 24:40].astype(float).mean((1, 2, 3))
    everything = faces.batch(np.arange(len(faces))).astype(float).mean((1, 2, 3))
    skin, light = np.array(faces.column("skin")), np.array(faces.column("light"))
    even = light == "even"
    assert middle[even & (skin == "darker")].mean() < 0.75 * middle[even & (skin == "lighter")].mean()
    assert everything[light == "low"].mean() < 0.7 * everything[even].mean()


def test_same_arguments_same_pictures_other_seed_other(table, tmp_path):
    again = planted(500, cache=tmp_path, hidden={"darker skin": 0.1, "hat and sunglasses": 0.2}, workers=1)
    assert again.fingerprint == table.fingerprint
    assert planted(40, cache=tmp_path).fingerprint != planted(40, cache=tmp_path, seed=1).fingerprint


def test_the_second_call_draws_nothing(cache, monkeypatch):
    first = planted(60, cache=cache)
    monkeypatch.setattr(module, "_draw_all", None)
    second = planted(60, cache=cache)
    np.testing.assert_array_equal(first.batch(np.arange(60)), second.batch(np.arange(60)))
    assert isinstance(second.parts[0], np.memmap)


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "digest_images", stopped)
    with pytest.raises(KeyboardInterrupt):
        planted(40, cache=tmp_path)
    assert list((tmp_path / "planted").iterdir()) == []


def test_planted_noise_and_bad_pictures_are_marked(cache):
    table = planted(200, cache=cache, label_noise=0.1, bad=0.05)
    noisy, bad = np.array(table.column("noisy_label")), np.array(table.column("bad_picture"))
    assert noisy.sum() == 20
    assert bad.sum() == 10
    is_face = np.char.find(np.array(table.column("kind")).astype(str), "face") >= 0
    made_of_faces = np.isin(table.column("kind"), ["scrambled face", "upside-down face"])
    np.testing.assert_array_equal((is_face & ~made_of_faces) != (table.labels == 1), noisy)
    flat = table.batch(np.flatnonzero(bad)).astype(float)
    assert (np.abs(flat.mean((1, 2, 3)) - 127.5) > 100).sum() + (flat.std((1, 2, 3)) > 65).sum() == 10


def test_rarity_by_appearance_finds_the_darker_group(cache):
    train = split(planted(1500, cache=cache), fractions=(1, 0, 0), stratify=["hidden"]).train
    faces = train.take(train.positives)
    weights = temper(appearance_rarity(lambda: [faces.batch(np.arange(len(faces)))]).numpy(), ess=0.5)
    assert enrichment(weights, faces.groups("hidden"))["darker skin"].value > 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"images": 5}, "at least 20 images; got 5"),
        ({"size": 8}, "16…512"),
        ({"hidden": {"left-handed": 0.1}}, "must be one of darker skin"),
        ({"hidden": {"darker skin": 0.7}}, r"in \[0, 0.5\]; got 0.7"),
        ({"label_noise": 0.5}, "label_noise"),
        ({"bad": -0.1}, "bad is a share"),
    ],
)
def test_arguments_out_of_range(arguments, words):
    with pytest.raises(InputError, match=words):
        planted(**{"images": 40} | arguments)
