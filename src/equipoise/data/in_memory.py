"""What programs hold in memory: which reader takes it. Libraries are told by their classes' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from equipoise.data.array_pairs import array_pairs
from equipoise.data.arrays import Layout
from equipoise.data.hugging_face import hugging_face
from equipoise.data.samples import samples
from equipoise.data.source import Source
from equipoise.errors import InputError

__all__ = ["in_memory"]

STREAM = "_InfiniteConstantSampler"  # of an IterableDataset


def in_memory(
    given: Any,
    *,
    groups: Sequence[str] | None = None,
    label_column: str | None = None,
    layout: Layout | None = None,
) -> Source:
    """Pictures, labels and columns of a dataset, a DataLoader or arrays.

    Args:
        given: What `docs/sources.md` lists.
        groups: Columns to take, or names of values that have none.
        label_column: A column to take beside them.
        layout: "NHWC" or "NCHW": channels last or first, where shapes do not tell.

    Raises:
        InputError: if it is nothing that can be read, or not what its reader expects.
        DataError: if it is empty.
    """
    notes: tuple[str, ...] = ()
    if ("torch", "DataLoader") in _kinds(given):
        given, notes = given.dataset, _of_loader(given)
    kinds = _kinds(given)
    if ("datasets", "IterableDatasetDict") in kinds:
        raise InputError(
            f"Expected one dataset; got an IterableDatasetDict of {', '.join(map(str, given))}. Give one of these "
            "splits: streams are read one at a time."
        )
    if {("datasets", "Dataset"), ("datasets", "DatasetDict")} & kinds:
        source = hugging_face(given, groups=groups, label_column=label_column)
        return replace(source, notes=(*notes, *source.notes))
    if isinstance(given, Mapping) or (isinstance(given, tuple) and not hasattr(given, "_fields")):
        return array_pairs(given, groups=groups, label_column=label_column, layout=layout)
    if _is_other(given) or not (hasattr(given, "__getitem__") or hasattr(given, "__iter__")):
        raise InputError(
            "Expected a path, a Hugging Face dataset, a PyTorch Dataset or DataLoader, a list of samples, or arrays "
            f"(images, labels); got {type(given).__name__}. Give arrays as a tuple, images before labels, and a table "
            "of paths as a CSV or Parquet file."
        )
    return samples(given, groups=groups, layout=layout, notes=notes)


def _kinds(given: Any) -> set[tuple[str, str]]:
    """Library and name of each class that something is of."""
    return {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(given).__mro__}


def _is_other(given: Any) -> bool:
    """Whether something can be indexed, and is no dataset: text, one array, a table."""
    return isinstance(given, str | bytes | bytearray) or isinstance(getattr(given, "shape", None), tuple)


def _of_loader(loader: Any) -> tuple[str, ...]:
    """Notes on reading the dataset of a DataLoader in place of its batches.

    Raises:
        InputError: if the loader draws other samples than the dataset has, each once.
    """
    by = [type(drawing).__name__ for drawing in (loader.sampler, loader.batch_sampler) if drawing is not None]
    other = [name for name in by if name not in ("SequentialSampler", "BatchSampler", STREAM)]
    shuffles = other == ["RandomSampler"] and not loader.sampler.replacement
    if other and not (shuffles and loader.sampler.num_samples == len(loader.dataset)):
        raise InputError(
            f"Expected a DataLoader that gives each sample of its dataset once; got one that draws by {other[0]}. Give "
            "the dataset itself, or a torch.utils.data.Subset of it."
        )
    notes = []
    if shuffles:
        notes.append("The DataLoader shuffles: its dataset was read in order, each sample once.")
    if loader.drop_last:
        notes.append("The DataLoader drops a last batch that is not full: here all samples were read.")
    if not getattr(loader.collate_fn, "__module__", "").startswith("torch."):
        notes.append(
            "The DataLoader's collate_fn is not applied: samples were read as the dataset gives them."
        )
    return tuple(notes)
