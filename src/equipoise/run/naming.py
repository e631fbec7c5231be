"""The user's words for slices, and the model or the vectors by which they are compared with pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.data.text_file import decoded_text
from equipoise.data.vector_file import vectors_in
from equipoise.errors import DataError, InputError
from equipoise.nn import digest_of
from equipoise.nn.picture_text import PictureText, picture_text
from equipoise.report.audit.record import AskedWords
from equipoise.run.identity import Setting
from equipoise.run.reading import Reading
from equipoise.sharing import shareable
from equipoise.slices import Found, Word, words
from equipoise.slices.words import checked_words, unit_vectors

__all__ = ["Named", "Naming"]

LIST = ".txt"


@dataclass(frozen=True)
class Naming:
    """What slices may be called.

    Args:
        words: Words or phrases; or one text file, a word or phrase a line. None: slices have numbers alone.
        text_encoder: hf:NAME_OR_FOLDER of a model that puts pictures and texts in one space.
        word_vectors: In its place vectors of the words, in their order, of the model that gave those of the pictures.
    """

    words: Sequence[str] = ()
    text_encoder: str | None = None
    word_vectors: str | os.PathLike[str] | None = None

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it; nothing of what was not given."""
        file = None if self.word_vectors is None else os.fspath(self.word_vectors)
        said = {"words": tuple(self.words), "text_encoder": self.text_encoder, "word_vectors": file}
        return {name: value for name, value in said.items() if value}

    def loaded(self, *pictures: Any) -> Named | None:
        """The words with their vectors, once all of it is known to fit; None if there are no words.

        Args:
            pictures: Sources of pictures. Those in memory must be as the model takes them; others are read so.

        Raises:
            InputError: if words and what compares them are not both given, or the words are none.
            DataError: if files cannot be had or read.
        """
        given = {"text_encoder": self.text_encoder, "word_vectors": self.word_vectors}
        by = [f"`{name}`" for name, value in given.items() if value is not None]
        if not self.words:
            if by:
                raise InputError(
                    f"Expected `words` beside {by[0]}; got none. Give what pictures may show, such as water,forest."
                )
            return None
        candidates = checked_words(self._listed())
        if len(by) != 1:
            raise InputError(
                "Expected one way to compare `words` with pictures: `text_encoder`, the name of a model that knows "
                f"both, or where vectors of the pictures are given `word_vectors`; got {' and '.join(by) or 'none'}."
            )
        if self.text_encoder is not None:
            model = picture_text(self.text_encoder)
            for table in pictures:
                if isinstance(table, ImageTable):
                    model.backbone.check_pictures(table)
            return Named(candidates, model.texts(candidates), shareable(self.text_encoder), model)
        file = Path(os.fspath(self.word_vectors or ""))
        vectors = vectors_in(file).values
        if len(vectors) != len(candidates):
            raise InputError(
                f"Expected a vector for each of {len(candidates)} words in {file}; got {len(vectors)}. Write them in "
                "the order of the words."
            )
        unit = unit_vectors(np.asarray(vectors, np.float32), f"Vectors of words, in {file.name},")
        return Named(candidates, unit, f"the vectors of {file.name}")

    def _listed(self) -> list[str]:
        if len(self.words) != 1 or not self.words[0].lower().endswith(LIST):
            return list(self.words)
        file = Path(self.words[0])
        if not file.exists():
            raise DataError(f"Expected a list of words at {file}; got nothing. Check the path.")
        found = [line for line in decoded_text(file).splitlines() if line.strip()]
        if not found:
            raise InputError(f"Expected words in {file}, one a line; got none. Write what pictures may show.")
        return found


@dataclass(frozen=True, eq=False)
class Named:
    """Words with their vectors.

    Args:
        words: The words.
        vectors: Theirs, shape (words, d).
        by: What people read of where vectors are from.
        model: That made them; None where vectors were given.
    """

    words: list[str]
    vectors: NDArray[np.float32]
    by: str
    model: PictureText | None = field(default=None, repr=False)

    @property
    def brought(self) -> dict[str, str]:
        """What a run's identity says about it."""
        told = {"words": digest_of([list(self.words), self.vectors.tolist()])}
        return told if self.model is None else {**told, "text_encoder": self.model.backbone.digest}

    def reading(self, reading: Reading) -> Reading:
        """How pictures are read for the model, whatever another one needs."""
        if self.model is None:
            return reading
        plain = replace(reading, resize=None, crop=None, squash=None, transform=None)
        return plain.for_model(self.model.backbone.framing, self.model.backbone.channels)

    def of(
        self, found: Found, labels: Any, pictures: Callable[[], Any]
    ) -> tuple[AskedWords, tuple[tuple[Word, ...], ...]]:
        """The words that were tested, and those that passed, by slice.

        Args:
            found: The slices.
            labels: As they were found with.
            pictures: Vectors of the pictures, shape (n, d); not asked for where no slice was found.
        """
        asked = AskedWords(list(self.words), self.by)
        if not found.slices:
            return asked, ()
        return asked, words(found, labels, pictures(), self.vectors, self.words)
