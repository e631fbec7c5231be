"""Words for slices: which of the user's words the pictures of a slice are nearer to than the rest of their class.

Words are the user's, vectors of pictures and words those of a model that puts both in one space (CLIP and its like).
None is invented: a word that does not pass the test is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, mannwhitneyu

from equipoise.errors import InputError
from equipoise.rate import Rate
from equipoise.slices.arrays import array_of
from equipoise.slices.candidates import FEWEST
from equipoise.slices.found import Found

__all__ = ["Word", "checked_words", "unit_vectors", "words"]


@dataclass(frozen=True)
class Word:
    """A word that pictures of a slice are nearer to than those of the rest of their class.

    Args:
        word: As it was given.
        nearer: Chance that a test picture of the slice is nearer to it than one of the rest, 0.5…1; without interval.
        cosine: Mean cosine of the word and test pictures of the slice, −1…1.
        rest: The same of those of the rest.
        p: One-sided Mann–Whitney p, adjusted over slices × words.
    """

    word: str
    nearer: Rate
    cosine: float
    rest: float
    p: float


def words(
    found: Found, labels: Any, pictures: Any, texts: Any, candidates: Sequence[str]
) -> tuple[tuple[Word, ...], ...]:
    """Words of each slice, the nearest first; none where none passes the test.

    Only pictures of the half that tests are compared, by cosine, and of copies and what belongs together one: what the
    test of slices counts. The false discovery rate is that of `found`.

    Args:
        found: The slices.
        labels: Class ids, shape (n,), as they were found with.
        pictures: Vectors of the same images, shape (n, d).
        texts: Vectors of the words, of the same model, shape (words, d).
        candidates: The words, each once.

    Raises:
        InputError: if there is no word, one is empty or stands twice, shapes differ, or a vector is 0 or not finite.

    Undefined: a slice, or a rest of its class, with fewer than ten test images has no words.

    Source: Mann, Whitney 1947, On a test of whether one of two random variables is stochastically larger than the
    other; Benjamini, Hochberg 1995, Controlling the false discovery rate.
    """
    checked = checked_words(candidates)
    seen, said = unit_vectors(pictures, "Vectors of pictures"), unit_vectors(texts, "Vectors of words")
    n, known = len(found.ids), array_of(labels, "Labels")
    if seen.shape[0] != n or known.shape != (n,) or said.shape != (len(checked), seen.shape[1]):
        raise InputError(
            f"Expected a label and a vector of each of {n} images, and as long a vector of each of {len(checked)} "
            f"words; got shapes {known.shape}, {seen.shape} and {said.shape}. Take all from the "
            "same images and one model."
        )
    tests: list[tuple[int, Word]] = []  # p is not adjusted yet
    counted = found.testing & found.counted
    for position in range(len(found.slices)):
        inside = found.ids == position
        rest = counted & (known == known[inside][0]) & ~inside
        own = counted & inside
        if min(own.sum(), rest.sum()) < FEWEST:
            continue
        near, far = seen[own] @ said.T, seen[rest] @ said.T
        u, p = mannwhitneyu(near, far, alternative="greater", axis=0, method="asymptotic")
        chance = np.asarray(u) / (len(near) * len(far))
        effects = (
            chance.tolist(),
            near.mean(axis=0).tolist(),
            far.mean(axis=0).tolist(),
            np.asarray(p).tolist(),
        )
        tests += [
            (position, Word(word, Rate(share, math.nan, math.nan, len(near)), cosine, away, one))
            for word, share, cosine, away, one in zip(checked, *effects, strict=True)
        ]
    told: list[list[Word]] = [[] for _ in found.slices]
    if tests:
        adjusted = np.atleast_1d(false_discovery_control(np.clip([word.p for _, word in tests], 0, 1)))
        for (position, word), q in zip(tests, adjusted.tolist(), strict=True):
            if q <= found.fdr:
                told[position].append(replace(word, p=q))
    return tuple(tuple(sorted(own, key=lambda one: -one.nearer.value)) for own in told)


def checked_words(candidates: Sequence[str]) -> list[str]:
    """Words without space around them.

    Raises:
        InputError: if there is none, one is no text or empty, or stands twice.
    """
    if isinstance(candidates, str) or not all(isinstance(one, str) for one in candidates):
        raise InputError(
            "Expected a list of words; got something else. Give each word, or phrase, as a text."
        )
    found = [one.strip() for one in candidates]
    if not found or not all(found):
        raise InputError(
            f"Expected at least one word, and none empty; got {len(found)}, {found.count('')} of them empty. Give what "
            "pictures may show, such as 'water' or 'a dark room'."
        )
    twice = [one for one in dict.fromkeys(found) if found.count(one) > 1]
    if twice:
        raise InputError(f"Expected each word once; got {twice[0]!r} twice. Leave one of them out.")
    return found


def unit_vectors(values: Any, what: str) -> NDArray[np.float32]:
    """Vectors of length 1, shape (rows, dimensions).

    Raises:
        InputError: if they are no floats, or one is 0 or not finite.
    """
    found = array_of(values, what)
    if found.ndim != 2 or found.dtype.kind != "f" or not found.shape[1]:
        raise InputError(
            f"{what} must be floats of shape (rows, dimensions); got shape {found.shape} of {found.dtype}."
            " Give those of a model that takes both pictures and words."
        )
    lengths = np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))[:, 0])
    if wrong.size:
        raise InputError(
            f"{what} must be finite and not 0; got others in row {wrong[0]}. Look for what it is of, or leave it out."
        )
    return np.asarray(found / lengths, np.float32)
