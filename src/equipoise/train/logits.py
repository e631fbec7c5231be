"""Logits of all images of a table, in one process or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import run_over
from equipoise.train.featured import Probe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["model_logits", "validation_numbers"]


def validation_numbers(model: Any, table: ImageTable, fabric: Fabric) -> dict[str, float]:
    """Cross-entropy and accuracy on images that are never trained on; processes share the work."""
    logits, labels = _shared_logits(model, table, fabric), table.labels
    if logits.ndim == 1:
        losses = np.logaddexp(0.0, np.where(labels == 1, -logits, logits))
        right = (logits >= 0) == (labels == 1)
    else:
        losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
        right = logits.argmax(axis=1) == labels
    return {"classification": float(losses.mean()), "accuracy": float(right.mean())}


def _shared_logits(model: Any, table: ImageTable, fabric: Fabric) -> NDArray[np.float64]:
    """Logits of all images, each of which one process has scored."""
    rank, replicas = fabric.global_rank, fabric.world_size
    if replicas == 1 or len(table) < replicas:
        return model_logits(model, table, device=fabric.device)
    mine = model_logits(model, table.take(np.arange(rank, len(table), replicas)), device=fabric.device)
    found = np.zeros((len(table), *mine.shape[1:]))
    found[rank::replicas] = mine
    total = fabric.all_reduce(torch.from_numpy(found).to(fabric.device), reduce_op="sum")
    logits: NDArray[np.float64] = total.cpu().numpy()  # type: ignore[union-attr]
    return logits


def model_logits(
    model: Any, table: ImageTable, *, device: torch.device, batch_size: int | None = None
) -> NDArray[np.float64]:
    """Logits of all images, shape (n,), or (n, K) of a model with K, in evaluation mode; the model is left where and as
    it was.

    Raises:
        InputError: if one is not finite; says which image's and why.
    """
    if isinstance(model, Probe):
        return np.asarray(model.logits_of(table, device), np.float64)
    out: NDArray[np.float64] = np.empty(len(table), np.float64)

    def keep(place: slice, logits: Tensor) -> None:
        nonlocal out
        found = logits.double().reshape(place.stop - place.start, -1).cpu().numpy()
        if place.start == 0 and found.shape[1] > 1:
            out = np.empty((len(table), found.shape[1]), np.float64)
        out[place] = found if out.ndim == 2 else found[:, 0]

    run_over(model, table, keep, device=device, batch_size=batch_size)
    finite = np.isfinite(out).reshape(len(out), out.shape[1] if out.ndim == 2 else 1).all(axis=1)
    if (wrong := np.flatnonzero(~finite)).size:
        broken = [
            n for n, v in model.state_dict().items() if v.is_floating_point() and not v.isfinite().all()
        ]
        why = (
            f"the model's {broken[0]} holds numbers that are not finite: train it again, or take an earlier checkpoint"
            if broken
            else "the model's weights are finite, so numbers grow too large on the way: look at the picture, and at "
            "layers that divide or take logarithms"
        )
        row = wrong[0]
        where = f"row {row}"
        if "path" in table.attributes.column_names:
            where += f", {table.attributes.column('path')[int(row)].as_py()}"
        raise InputError(
            f"Expected a finite logit of every image; got {out[row]} for {where} ({wrong.size} of {len(out)} images). "
            f"The cause: {why}."
        )
    return out
