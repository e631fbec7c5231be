import numpy as np
import pytest

from equipoise.data import shortcut
from equipoise.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def table(cache):
    return shortcut(600, share=0.1, cache=cache, workers=1)


def told(table, *names):
    return [np.array(table.column(name)) for name in names]


def test_classes_are_halves_and_the_light_is_against_them_in_exactly_the_share(table):
    light, glasses = told(table, "light", "glasses")
    assert table.class_names == ("no glasses", "glasses")
    assert ((glasses == "glasses") == (table.labels == 1)).all()
    for label, against in ((0, "backlit"), (1, "even")):
        mine = table.labels == label
        assert mine.sum() == 300
        assert (light[mine] == against).sum() == 30
    assert set(light) == {"even", "backlit"}


def test_a_picture_shows_its_light(table):
    (light,) = told(table, "light")
    pixels = table.batch(np.arange(len(table))).astype(float)
    edge, middle = pixels[:, 0].mean((1, 2)), pixels[:, 13:22, 12:20].mean((1, 2, 3))
    behind = (edge - middle)[light == "backlit"], (edge - middle)[light == "even"]
    assert np.median(behind[0]) > np.median(behind[1]) + 50


def test_nothing_else_goes_with_the_class(table):
    for name in ("skin", "hat", "beard", "expression", "background", "kind"):
        (values,) = told(table, name)
        for value in np.unique(values):
            shares = [(values[table.labels == label] == value).mean() for label in (0, 1)]
            assert abs(shares[0] - shares[1]) < 0.13, (name, value)


def test_same_arguments_same_pictures_other_seed_or_share_other(table, tmp_path):
    again = shortcut(600, share=0.1, cache=tmp_path, workers=2)
    assert again.fingerprint == table.fingerprint
    few = [
        shortcut(40, cache=tmp_path, workers=1, **given).fingerprint
        for given in ({}, {"seed": 1}, {"share": 0.5})
    ]
    assert len(set(few)) == 3


def test_without_a_shortcut_the_light_says_nothing(cache):
    table = shortcut(200, share=0.5, cache=cache, workers=1)
    (light,) = told(table, "light")
    assert [(light[table.labels == label] == "even").mean() for label in (0, 1)] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"share": 0.6}, r"`share` must be in \[0, 0.5\]; got 0.6"),
        ({"share": -0.1}, "`share` must be"),
        ({"images": 10}, "at least 20 images"),
        ({"size": 8}, "size must be 16…512"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_told(given, words, cache):
    with pytest.raises(InputError, match=words):
        shortcut(**{"images": 40, "cache": cache, **given})
