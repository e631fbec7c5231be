import importlib

import numpy as np
import pytest

from equipoise.data import planted, split
from equipoise.data.drawing import FACES, SCENES, any_heads, draw
from equipoise.errors import InputError
from equipoise.fairness import enrichment
from equipoise.resample import temper
from equipoise.train.appearance import appearance_rarity

pytestmark = pytest.mark.slow

module = importlib.import_module("equipoise.data.planted")
drawn = importlib.import_module("equipoise.data.drawn")


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
    table = planted(600, cache=cache, hidden={"darker skin": 0.3, "backlit": 0.2})
    faces = table.take(table.positives)
    middle = faces.batch(np.arange(len(faces)))[:, 26:44, 24:40].astype(float).mean((1, 2, 3))
    everything = faces.batch(np.arange(len(faces))).astype(float).mean((1, 2, 3))
    skin, light = np.array(faces.column("skin")), np.array(faces.column("light"))
    even = light == "even"
    assert middle[even & (skin == "darker")].mean() < 0.75 * middle[even & (skin == "lighter")].mean()
    assert everything[light == "low"].mean() < 0.75 * everything[even].mean()
    assert middle[light == "backlit"].mean() < 0.6 * middle[even].mean()
    assert everything[light == "backlit"].mean() > everything[light == "low"].mean()


def test_same_arguments_same_pictures_other_seed_other(table, tmp_path):
    again = planted(500, cache=tmp_path, hidden={"darker skin": 0.1, "hat and sunglasses": 0.2}, workers=1)
    assert again.fingerprint == table.fingerprint
    assert planted(40, cache=tmp_path).fingerprint != planted(40, cache=tmp_path, seed=1).fingerprint


def test_the_second_call_draws_nothing(cache, monkeypatch):
    first = planted(60, cache=cache)
    monkeypatch.setattr(drawn, "_draw_all", None)
    second = planted(60, cache=cache)
    np.testing.assert_array_equal(first.batch(np.arange(60)), second.batch(np.arange(60)))
    assert isinstance(second.parts[0], np.memmap)


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(drawn, "digest_images", stopped)
    with pytest.raises(KeyboardInterrupt):
        planted(40, cache=tmp_path)
    assert list((tmp_path / "planted").iterdir()) == []


def test_planted_noise_and_bad_pictures_are_marked(cache):
    table = planted(200, cache=cache, label_noise=0.1, bad=0.05)
    noisy, bad = np.array(table.column("noisy_label")), np.array(table.column("bad_picture"))
    assert noisy.sum() == 20
    assert bad.sum() == 10
    is_face = np.isin(table.column("kind"), list(FACES))
    assert is_face.sum() == 100
    np.testing.assert_array_equal(is_face != (table.labels == 1), noisy)
    flat = table.batch(np.flatnonzero(bad)).astype(float)
    assert (np.abs(flat.mean((1, 2, 3)) - 127.5) > 100).sum() + (flat.std((1, 2, 3)) > 65).sum() == 10


@pytest.mark.slow
def test_rarity_by_appearance_finds_the_hidden_groups(cache):
    train = split(planted(1500, cache=cache), fractions=(1, 0, 0), stratify=["hidden"]).train
    faces = train.take(train.positives)
    weights = temper(appearance_rarity(lambda: [faces.batch(np.arange(len(faces)))]).numpy(), ess=0.5)
    found = enrichment(weights, faces.groups("hidden"))
    assert found["darker skin"].value > 2
    assert found["backlit"].value > 1.5
    assert found["common"].value < 1


def test_every_combination_of_hidden_groups_is_exact(cache):
    shares = dict.fromkeys(module.HIDDEN, 0.1)
    faces = planted(200, size=16, cache=cache, hidden=shares)
    faces = faces.take(faces.positives)
    hidden = np.array(faces.column("hidden"))
    for name, looks in module.HIDDEN.items():
        fits = np.all([np.isin(faces.column(column), values) for column, values in looks.items()], axis=0)
        np.testing.assert_array_equal(fits, hidden == name)
        assert fits.sum() == 10


def test_the_order_of_hidden_groups_does_not_matter(cache, tmp_path):
    first = planted(40, size=16, cache=cache, hidden={"backlit": 0.2, "darker skin": 0.1})
    second = planted(40, size=16, cache=tmp_path, hidden={"darker skin": 0.1, "backlit": 0.2})
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("harm", ["cut", "one pixel", "no table", "table", "pickled"])
def test_a_damaged_cache_is_drawn_again(tmp_path, harm):
    whole = planted(40, size=16, cache=tmp_path).fingerprint
    (images,) = tmp_path.glob("planted/*/images.npy")
    content = images.read_bytes()
    if harm == "cut":
        images.write_bytes(content[:1000])
    elif harm == "one pixel":
        images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "no table":
        images.with_name("table.parquet").unlink()
    elif harm == "table":
        images.with_name("table.parquet").write_bytes(b"PAR1")
    else:
        np.save(images.with_name("digests.npy"), np.array([{}]), allow_pickle=True)
    assert planted(40, size=16, cache=tmp_path).fingerprint == whole


@pytest.mark.parametrize("kind", FACES)
@pytest.mark.parametrize("hair", ["short", "long", "none", "covered"])
def test_every_style_can_be_drawn_with_every_parameter(kind, hair):
    rng = np.random.default_rng(0)
    for glasses, beard, expression, skin, colour in [
        ("none", "none", "smile", "lighter", "black"),
        ("glasses", "beard", "serious", "medium", "blond"),
        ("sunglasses", "none", "open mouth", "darker", "grey"),
    ]:
        parameters = {
            "kind": kind,
            "hair": hair,
            "glasses": glasses,
            "beard": beard,
            "expression": expression,
        }
        parameters |= {"skin": skin, "hair_colour": colour, "bad_picture": False}
        parameters |= {"light": "even", "background": "plain"}
        picture = draw(parameters, [], 32, rng)
        assert picture.shape == (32, 32, 3)
        assert picture.std() > 10


@pytest.mark.parametrize("kind", [*SCENES, "robot", "scrambled face", "blank face"])
def test_every_non_face_can_be_drawn_in_every_light(kind):
    rng = np.random.default_rng(0)
    heads = any_heads(4, 32, rng)
    for light in ("even", "side", "low", "backlit"):
        parameters = {"kind": kind, "light": light, "background": "clutter", "bad_picture": False}
        assert draw(parameters, heads, 32, rng).std() > 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"images": 5}, "at least 20 images; got 5"),
        ({"size": 8}, "16…512"),
        ({"hidden": {"left-handed": 0.1}}, "must be one of darker skin"),
        ({"hidden": {"darker skin": 0.7}}, r"in \[0, 0.5\]; got 0.7"),
        ({"label_noise": 0.5}, "label_noise"),
        ({"bad": -0.1}, "bad is a share"),
        ({"hidden": {"darker skin": float("nan")}}, "got nan"),
        ({"hidden": {"darker skin": 0.5, "backlit": 0.45}}, "0.9 of the faces in all; got 0.95"),
        ({"workers": 0}, "at least 1; got 0"),
    ],
)
def test_arguments_out_of_range(arguments, words):
    with pytest.raises(InputError, match=words):
        planted(**{"images": 40} | arguments)
