"""Saved models under the windows protocol: the highest score of any window of each picture, read in its own shape."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equipoise.data import ImageTable
from equipoise.data.whole import WholePictures, whole_pictures
from equipoise.errors import InputError
from equipoise.nn import run_over
from equipoise.nn.passes import placed
from equipoise.pictures.windows import Images, window_scores
from equipoise.probabilities import Probabilities, from_logits
from equipoise.run.output import Output
from equipoise.run.progress import decoding
from equipoise.run.sources import Reading, Sources
from equipoise.train import Engine

__all__ = ["check_windows", "window_probabilities"]

BATCH = 256  # windows at a time
BLOCK = 64  # pictures in memory at a time, fewer where they are large
BLOCK_BYTES = 64 << 20
LEAST = (
    8  # a large picture is shrunk to so many times what a model takes, the smallest window to half of that
)


def check_windows(sources: Sources) -> list[str]:
    """The sources, if their pictures can be had in their own shapes.

    Raises:
        InputError: if one is a table, whose pictures are squares already.
    """
    given = [one for one in (sources.positives, sources.negatives, sources.data) if one is not None]
    if any(isinstance(one, ImageTable) for one in given):
        raise InputError(
            "Expected paths for `windows`, which looks at pictures in their own shapes; got a table, whose pictures "
            "are squares of one size. Give the folder or file that it was read from."
        )
    return [os.fspath(one) for one in given if not isinstance(one, ImageTable)]


def window_probabilities(
    networks: Mapping[str, nn.Module],
    table: ImageTable,
    sources: Sources,
    reading: Reading,
    engine: Engine,
    output: Output,
) -> dict[str, Probabilities]:
    """Model → highest probability over the windows of each picture of the table, shape (n,), with logits.

    Args:
        networks: Models that take the same images, from these to logits.
        table: Of these sources, read by this reading, perhaps less rows.
        sources: Paths; they are decoded once more, in blocks.
        reading: With the size and channels of the models.
        engine: The device.
        output: Who is told what was done to pictures.

    Raises:
        InputError: if a model does not give one finite logit an image.
        DataError: if a picture cannot be read in its own shape.
    """
    found = {name: np.full(len(table), -np.inf) for name in networks}
    said: Counter[str] = Counter()
    pictures = [_pictures(path, reading) for path in check_windows(sources)]
    device = torch.device(engine.device)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(decoding("windows", shown=engine.progress))
        for one in networks.values():
            stack.enter_context(placed(one, device))
        done = 0
        for rows, images in _blocks(table, pictures, said):
            for name, one in networks.items():
                scores = window_scores(
                    images, _Logits(one, device), image_size=reading.image_size, batch_size=BATCH
                )
                found[name][rows] = scores.logits if isinstance(scores, Probabilities) else scores
            done += len(rows)
            if bar is not None:
                bar(done, len(table))
    for text, count in sorted(said.items()):
        output.say(f"{count} of {len(table)} pictures, for their windows: {text}.")
    return {name: from_logits(logits) for name, logits in found.items()}


def _pictures(path: str, reading: Reading) -> WholePictures:
    return whole_pictures(
        path,
        framing=reading.framing,
        channels=reading.channels,
        least=LEAST * reading.image_size,
        format=reading.format,
        allow_outside=bool(reading.allow_outside),
        cache=reading.cache,
        cache_limit=reading.cache_limit,
        workers=reading.workers,
        path_column=reading.path_column,
        channel_order=reading.channel_order,
    )


def _blocks(
    table: ImageTable, pictures: Sequence[WholePictures], said: Counter[str]
) -> Iterator[tuple[list[int], list[Images]]]:
    """Positions in the table with their pictures, a few at a time. Part i of the table is source i."""
    ends = np.cumsum([0, *(len(part) for part in table.parts)])
    rows: list[int] = []
    images: list[Images] = []
    for source, start, end in zip(pictures, ends[:-1], ends[1:], strict=True):
        positions = np.flatnonzero((table.rows >= start) & (table.rows < end))
        at = {int(table.rows[position] - start): int(position) for position in positions}
        for row, image in source.decoded(np.array(list(at), np.int64), lambda text: said.update([text])):
            rows.append(at[row])
            images.append(image)
            if len(rows) == BLOCK or sum(one.nbytes for one in images) > BLOCK_BYTES:
                yield rows, images
                rows, images = [], []
    if rows:
        yield rows, images


class _Logits:
    """A model as what `window_scores` asks."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model, self.device = model, device

    def __call__(self, batch: NDArray[np.uint8]) -> Probabilities:
        """Probabilities of a batch, with logits."""
        out = np.empty(len(batch))

        def keep(place: slice, logits: Tensor) -> None:
            if logits.numel() != place.stop - place.start:
                raise InputError(
                    f"Expected a model of one class against the rest for `windows`, one logit an image; got shape "
                    f"{tuple(logits.shape)} for {place.stop - place.start} images. Choose another model."
                )
            out[place] = logits.double().reshape(-1).cpu().numpy()

        run_over(self.model, batch, keep, device=self.device, batch_size=BATCH)
        return from_logits(out)
