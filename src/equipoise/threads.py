"""How many threads linear algebra has where its matrices are small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, NumPy and SciPy compute in one thread.

    Each library has threads of its own, which wait for work by spinning: on two processors hundreds of small fits took
    ten times as long with all of them as with one.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield
