"""When a run stops early: what is kept, and how to go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from equipoise.run.folder import RunFolder

__all__ = ["naming_what_is_kept"]


@contextlib.contextmanager
def naming_what_is_kept(folder: RunFolder) -> Iterator[None]:
    """Add a note to whatever ends the block early: Ctrl-C, a training error, a full disk."""
    try:
        yield
    except BaseException as error:
        error.add_note(_kept(folder))
        raise


def _kept(folder: RunFolder) -> str:
    names = [path.parent.name for path in folder.path.glob("models/*/config.json")]
    names += ["the main model"] if (folder.path / "config.json").exists() else []
    begun = sorted(path.name for path in folder.path.glob("checkpoints/*") if any(path.glob("*.safetensors")))
    kept = [f"finished: {', '.join(sorted(names))}"] if names else []
    kept += [f"checkpoints of: {', '.join(begun)}"] if begun else []
    if not kept:
        return f"Nothing was finished yet in {folder.path}; start again with `resume` or `overwrite`."
    return f"Kept in {folder.path}: {'; '.join(kept)}. The same command with `resume` goes on from there."
