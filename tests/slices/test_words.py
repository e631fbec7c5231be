"""Words of slices: nearer on test pictures, adjusted for how many there are, never invented."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.slices import find, words


@pytest.fixture(scope="module")
def scene(planted):
    """Slices, labels, and pictures and words in one space; slices of class 0 show axis 0, of class 1 axis 1."""
    features, labels, logits, hidden = planted()
    found = find(features, labels, logits)
    assert {one.class_name for one in found.slices} == {"class 0", "class 1"}
    pictures = np.random.default_rng(1).normal(size=(len(labels), 8))
    for group in (0, 1):
        pictures[hidden == group, group] += 3
    return found, labels, pictures


CANDIDATES = ["water", "forest", *(f"other {i}" for i in range(6))]


def test_a_slice_has_the_word_of_what_its_pictures_show_and_no_other(scene):
    told = words(*scene, np.eye(8), CANDIDATES)
    for one, own in zip(scene[0].slices, told, strict=True):
        assert [word.word for word in own] == [{"class 0": "water", "class 1": "forest"}[one.class_name]]
        assert own[0].nearer.value > 0.9
        assert own[0].p < 1e-4
        assert own[0].nearer.n == one.errors.n
        assert own[0].cosine > 0.4 > 0.2 > own[0].rest


def test_copies_are_counted_once(planted):
    features, labels, logits, hidden = planted()
    pictures = np.random.default_rng(1).normal(size=(len(labels), 8))
    pictures[hidden == 0, 0] += 0.6
    copies = np.repeat(np.arange(len(labels)), 5)
    told = []
    for rows in (np.arange(len(labels)), copies):
        found = find(features[rows], labels[rows], logits[rows])
        first = next(i for i, one in enumerate(found.slices) if one.class_name == "class 0")
        told.append(words(found, labels[rows], pictures[rows], np.eye(8), CANDIDATES)[first][0])
        assert told[-1].nearer.n == found.slices[first].errors.n
    assert told[0] == told[1]


def test_words_that_nothing_shows_are_not_told_however_many_there_are(scene):
    found, labels, _ = scene
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(20):
        told = words(
            found,
            labels,
            rng.normal(size=(len(labels), 8)),
            rng.normal(size=(200, 8)),
            list(map(str, range(200))),
        )
        false += any(told)
    assert false <= 6  # a tenth of twenty, and chance


def test_the_half_that_found_a_slice_plays_no_part(scene):
    found, labels, pictures = scene
    other = np.where(found.testing[:, None], np.random.default_rng(3).normal(size=pictures.shape), pictures)
    assert not any(words(found, labels, other, np.eye(8), CANDIDATES))


def test_images_of_other_classes_play_no_part(scene):
    found, labels, pictures = scene
    other = pictures.copy()
    other[(labels == 1)] = 100 * np.eye(8)[0]  # all of class 1 show water
    first = next(i for i, one in enumerate(found.slices) if one.class_name == "class 0")
    assert [word.word for word in words(found, labels, other, np.eye(8), CANDIDATES)[first]] == ["water"]


@pytest.mark.parametrize(
    ("texts", "candidates", "said"),
    [
        (np.zeros((0, 8)), [], "at least one word"),
        (np.eye(8)[:2], ["water", " "], "none empty"),
        (np.eye(8)[:2], ["water", "water "], "each word once"),
        (np.eye(8)[:1], "water", "a list of words"),
        (np.eye(8)[:3], ["water", "forest"], "same images and one model"),
        (np.eye(5)[:2], ["water", "forest"], "same images and one model"),
        (np.zeros((1, 8)), ["water"], "not 0"),
        (np.full((1, 8), np.nan), ["water"], "finite"),
        (np.eye(8, dtype=int)[:1], ["water"], "must be floats"),
    ],
)
def test_what_is_no_list_of_words_with_vectors_is_refused(scene, texts, candidates, said):
    with pytest.raises(InputError, match=said):
        words(*scene, texts, candidates)


def test_labels_of_other_images_are_refused(scene):
    found, labels, pictures = scene
    with pytest.raises(InputError, match="a label and a vector"):
        words(found, labels[:-1], pictures, np.eye(8), CANDIDATES)
