"""Pictures that a table of predictions names, row by row: for the page, and for a model of pictures and texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data import read
from equipoise.data.cache import cache_folder
from equipoise.data.columns import as_text
from equipoise.data.manifest import PATH_NAMES
from equipoise.data.read import source_at
from equipoise.data.source import Source
from equipoise.errors import DataError, EquipoiseError
from equipoise.nn import features, placed
from equipoise.nn.picture_text import PictureText
from equipoise.pictures.decode import decoded, encoded
from equipoise.pictures.unreadable import Unreadable
from equipoise.report.audit.record import AuditSlice
from equipoise.report.audit.slices import picture_name
from equipoise.run.reading import Reading
from equipoise.run.sheets import SIDE, sheets_within, write_sheets
from equipoise.sharing import shared_path
from equipoise.train import Engine
from equipoise.train.device import device_of

__all__ = ["ListedPictures"]

COLUMNS = 5  # as wide as a telephone
ROOM = 1_000_000  # bytes of all sheets together


@dataclass(frozen=True, eq=False)
class ListedPictures:
    """Pictures by the rows of a table.

    Args:
        file: The table's.
        table: Its rows.
        reading: Column of paths, whether they may lead out of the table's folder, where what is decoded is kept.
    """

    file: Path
    table: pa.Table
    reading: Reading

    @property
    def paths(self) -> list[str | None] | None:
        """What each row calls its picture; None of a table without."""
        names = [self.reading.path_column] if self.reading.path_column else PATH_NAMES
        found = next((name for name in names if name in self.table.column_names), None)
        return None if found is None else as_text(self.table.column(found)).to_pylist()

    @cached_property
    def _source(self) -> Source:
        return source_at(
            self.file.absolute(),
            "manifest",
            self.reading.allow_outside,
            path_column=self.reading.path_column,
        )

    def check(self) -> None:
        """Whether every row names a picture that is there.

        Raises:
            InputError: if there is no column of paths.
            DataError: if a picture is missing.
        """
        for row, path in enumerate(self._source.paths):
            if not Path(path).is_file():
                raise DataError(
                    f"Expected the pictures that {self.file.name} names, to compare words with them; "
                    f"{shared_path(path)} of row {row} is missing. Bring them to where the table says, or give vectors "
                    "of words, `word_vectors`."
                )

    def vectors(self, model: PictureText, engine: Engine, say: Callable[[str], None]) -> NDArray[Any]:
        """Vectors of all pictures by a model of pictures and texts, shape (n, d).

        Raises:
            DataError: if a picture cannot be read.
        """
        how, device = self.reading, device_of(engine.device)
        say(f"Running {model.name} over {self.table.num_rows:,} pictures, to compare words with them.")
        images = read(
            self.file,
            label=0,
            format="manifest",
            path_column=how.path_column,
            framing=model.backbone.framing,
            channels=model.backbone.channels,
            cache=how.cache,
            cache_limit=how.cache_limit,
            max_rejected=0.0,  # a row each
            allow_outside=how.allow_outside,
            workers=how.workers,
        )
        with placed(model.backbone.network, device):
            return features(model.backbone, images, cache=cache_folder(how.cache), device=device).features

    def write(self, folder: Path, slices: Sequence[AuditSlice], say: Callable[[str], None]) -> dict[str, str]:
        """Write contact sheets of the most typical pictures: name → file, relative to `folder`; none where a picture is
        not there, which is said."""
        if self.paths is None or not slices:
            return {}
        try:
            drawn = {
                picture_name(number): np.stack([self._small(row) for row in one.typical])
                for number, one in enumerate(slices, 1)
            }
        except EquipoiseError as error:
            say(f"The page is without pictures: {error}")
            return {}
        return write_sheets(folder, *sheets_within(ROOM, drawn, dict.fromkeys(drawn, COLUMNS)))

    def _small(self, row: int) -> NDArray[np.uint8]:
        path = self._source.paths[row]
        try:
            return decoded(encoded(Path(path)), channels=3, size=SIDE)
        except Unreadable as error:
            raise DataError(f"Expected the picture {shared_path(path)} of row {row}; {error}.") from error
