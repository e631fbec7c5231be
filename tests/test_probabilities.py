"""Probabilities that keep their logits: as an array is used, and where the logits must go."""

import copy
import pickle

import numpy as np
import pyarrow as pa
import pytest
from scipy import special

from equipoise.errors import InputError
from equipoise.probabilities import Probabilities, from_logits, sigmoid

LOGITS = np.array([40.0, 50.0, -1.0, -900.0, 0.0])


def test_they_are_the_sigmoid_and_an_array_as_any_other():
    found = from_logits(LOGITS)
    assert found.tolist() == [1.0, 1.0, sigmoid(-1.0), 0.0, 0.5]
    assert found.logits.tolist() == LOGITS.tolist()
    assert type(found > 0.5) is type(found + 1) is type(np.asarray(found)) is np.ndarray
    assert found.mean() == pytest.approx(np.mean(sigmoid(LOGITS)))
    assert isinstance(found[0], float)
    assert np.unique(found).tolist() == sorted({*found.tolist()})
    assert pa.array(found).to_pylist() == found.tolist()
    assert from_logits(np.float32([1.5])).logits.dtype == np.float64


@pytest.mark.parametrize(
    "part",
    [
        lambda p: p[1:4],
        lambda p: p[[3, 0]],
        lambda p: p[np.array([True, False, False, True, True])],
        lambda p: p[::-1][:2],
        lambda p: p.copy(),
        copy.deepcopy,
        lambda p: pickle.loads(pickle.dumps(p)),
    ],
)
def test_a_part_or_a_copy_keeps_those_of_its_own(part):
    found = part(from_logits(LOGITS))
    assert isinstance(found, Probabilities)
    np.testing.assert_array_equal(sigmoid(found.logits), np.asarray(found))
    assert len(found.logits) == len(found)


def test_what_is_made_of_them_or_written_into_has_none():
    found = from_logits(LOGITS)
    for made in (np.sort(found), found.astype(np.float32), found.reshape(5, 1)):
        assert getattr(made, "logits", None) is None
    part = found[1:]
    found[1] = 0.3
    assert found.logits is None
    assert part.logits is None
    assert not hasattr(from_logits(LOGITS) * 2, "logits")


@pytest.mark.parametrize(
    ("logits", "words"),
    [
        ([0.0, np.nan, np.inf], "got nan at row 1 \\(2 such rows\\)"),
        ([-np.inf], "got -inf at row 0"),
        ([[1.0]], r"got shape \(1, 1\)"),
        (["1"], "vector with one number an image"),
    ],
)
def test_what_is_no_logit_is_refused(logits, words):
    with pytest.raises(InputError, match=words):
        from_logits(logits)


def test_a_matrix_is_the_softmax_and_keeps_its_logits_by_row():
    logits = np.random.default_rng(0).normal(size=(20, 4)) * 30
    found = from_logits(logits)
    np.testing.assert_allclose(found, special.softmax(logits, axis=1), atol=1e-15)
    np.testing.assert_array_equal(found[3:7].logits, logits[3:7])
    assert not isinstance(found[:, 1].view(np.ndarray), Probabilities)
    assert found[:, 1].logits is None
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).logits, logits)


def test_one_class_against_the_rest_ranks_where_probabilities_tie():
    logits = np.array([[0.0, 50.0, 1.0], [0.0, 60.0, 1.0], [2.0, -1.0, 0.0]])
    one = from_logits(logits).of_class(1)
    assert one[0] == one[1] == 1.0
    np.testing.assert_allclose(one.logits, logits[:, 1] - special.logsumexp(logits[:, [0, 2]], axis=1))
    np.testing.assert_allclose(one[2], special.softmax(logits[2])[1])


def test_one_class_of_a_matrix_of_bare_probabilities_is_its_column():
    changed = from_logits(np.zeros((2, 3)))
    changed[0] = [0.2, 0.5, 0.3]
    np.testing.assert_array_equal(changed.of_class(1), [0.5, 1 / 3])
    assert getattr(changed.of_class(1), "logits", None) is None
