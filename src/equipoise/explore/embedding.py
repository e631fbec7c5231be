"""UMAP of vectors in a process of its own, which can be stopped: this file runs as a program, `embedding.py IN OUT`.

It imports nothing of this package, so that it starts at once.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["embedded"]


def embedded(vectors: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """Positions in the plane, shape (n, 2): near rows stay near; other distances mean little.

    Args:
        vectors: Shape (n, d).
        seed: Of the draws; one thread, so that it decides.

    Source: McInnes, Healy, Melville 2018, UMAP: Uniform Manifold Approximation and Projection; umap-learn with its
    own settings (15 neighbours, least distance 0.1).
    """
    import umap

    return np.asarray(umap.UMAP(random_state=seed, n_jobs=1).fit_transform(vectors), np.float32)


def main(source: Path, target: Path) -> None:
    """Embed an array in a file into another."""
    with suppress(AttributeError, OSError):
        os.nice(10)  # the page goes first
    np.save(target, embedded(np.load(source, allow_pickle=False)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
