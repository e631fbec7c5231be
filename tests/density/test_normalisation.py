"""Vectors on a scale on which distances mean something."""

import numpy as np
import pytest
import torch

from equipoise.density import chunks, normalised
from equipoise.errors import InputError


def whole(latents):
    return torch.cat(list(chunks(latents)))


def test_normalisation():
    vectors = np.random.default_rng(0).normal(size=(500, 4)) * [1, 10, 100, 0] + 7
    cosine = whole(normalised(vectors, "cosine"))
    np.testing.assert_allclose(cosine, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    standard = whole(normalised(vectors, "standardised"))
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std(0, correction=0), [1, 1, 1, 0], atol=1e-9)
    np.testing.assert_array_equal(whole(normalised(vectors, "raw")), vectors)
    parts = [vectors[:3], vectors[3:]]
    np.testing.assert_allclose(whole(normalised(parts, "standardised")), standard, atol=1e-12)
    assert not whole(normalised(np.zeros((3, 2)), "cosine")).any()
    assert not whole(normalised(np.zeros((3, 2)), "standardised")).any()
    with pytest.raises(InputError, match="must be one of cosine, standardised, raw; got 'l2'"):
        normalised(vectors, "l2")
