"""From latent codes, pictures or an embedding to the weights of the next epoch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equipoise.data import ImageTable
from equipoise.density import normalised
from equipoise.errors import InputError
from equipoise.nn import run_over, slices
from equipoise.nn.embedding import vector_store
from equipoise.resample import DegenerateWeightsError, capsa_rule, sampling_weights, temper
from equipoise.train.appearance import appearance_rarity
from equipoise.train.classes import fewest_images, rule_of, told_classes, weighted_rows
from equipoise.train.error_cells import cell_weights
from equipoise.train.recipe import Resampling

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Rarity", "check_resampling", "latent_codes"]

CHUNK = 512  # pictures looked at at a time


def check_resampling(
    settings: Resampling, *, embedded: bool = False, codes: bool = True, classes: int = 2
) -> None:
    """Whether the settings fit one another, an embedding if there is one, a model with or without codes, and the number
    of classes.

    Raises:
        InputError: if they do not.
    """
    if not codes and not embedded and settings.rule not in ("appearance", "errors"):
        raise InputError(
            f"Rule {settings.rule!r} weighs latent codes, and objective 'classifier' has none. Use objective 'db-vae' "
            "(`tune` objective=db-vae), rule 'appearance', or bring an embedding."
        )
    if embedded and settings.rule == "capsa":
        raise InputError(
            "Expected a rule on vectors for an embedding; got 'capsa', which needs the errors of a reconstruction. "
            "Use `tune` resampling.rule=neighbours, or leave the embedding out."
        )
    if (
        settings.ess is not None
        and settings.max_weight is not None
        and settings.ess < 1 / settings.max_weight
    ):
        raise InputError(
            f"With max_weight {settings.max_weight} the effective sample size is at least "
            f"{1 / settings.max_weight:.3g}; got ess {settings.ess}. Raise one of them."
        )
    knows = embedded or settings.rule in ("appearance", "errors")
    if classes == 2 and settings.classes == "both" and not knows:
        raise InputError(
            f"With resampling.classes 'both' a rule must see negatives; got rule {settings.rule!r}, which weighs "
            "latent codes of a DB-VAE, and that learns to rebuild positives alone. Use rule 'appearance', bring an "
            "embedding, or use classes 'positives'."
        )


def latent_codes(
    model: Any, table: ImageTable, rows: NDArray[np.int64], *, device: torch.device, errors: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Latent means of some images, shape (n, k), and if asked for their reconstruction errors, shape (n,).

    Pixels are scaled as in training, batch norm uses its running statistics, and the model is left where and as it
    was.
    """
    codes: NDArray[np.float32] | None = None
    lost = np.zeros(len(rows), np.float32) if errors else None

    def encoded(images: Tensor) -> tuple[Tensor, Tensor | None]:
        mean: Tensor = model.encode(images).mean
        return mean, (model.decode(mean) - images).abs().mean((1, 2, 3)) if errors else None

    def keep(place: slice, found: tuple[Tensor, Tensor | None]) -> None:
        nonlocal codes
        mean, error = found
        if codes is None:
            codes = vector_store(len(rows), mean.shape[1])
        codes[place] = mean.float().cpu().numpy()
        if lost is not None and error is not None:
            lost[place] = error.float().cpu().numpy()

    run_over(model, table, keep, call=encoded, rows=rows, device=device)
    return codes if codes is not None else np.zeros((0, model.latent), np.float32), lost


class Rarity:
    """Codes of the images that are weighted, kept while training, and the sampling weights that follow from them.

    Each class is weighted by itself: how rare an image is within it. Of more than two classes, one whose images are too
    few to weigh, or too much alike, has no weights.

    Args:
        settings: The resampling part of the recipe.
        table: What is trained on.
        fabric: Knows the device and the other processes.
        classes: Ids of the classes that are weighted, see `weighted_classes`.
        vectors: An embedding of their images, class after class, in place of latent codes.
        seed: Of rules that draw.
    """

    def __init__(
        self,
        settings: Resampling,
        table: ImageTable,
        fabric: Fabric,
        *,
        classes: tuple[int, ...] = (1,),
        vectors: NDArray[np.float32] | None = None,
        seed: int = 0,
    ) -> None:
        self.settings, self.table, self.fabric = settings, table, fabric
        self.vectors, self.seed = vectors, seed
        self.rows = weighted_rows(table, classes)
        counts = np.bincount(table.labels, minlength=max(classes, default=0) + 1)[list(classes)]
        ends = np.cumsum([0, *counts]).tolist()
        self.parts = {c: slice(*ends[place : place + 2]) for place, c in enumerate(classes)}
        self._fewest = 0 if table.two_classes else fewest_images(settings, embedded=vectors is not None)
        self._place = np.full(len(table), -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))
        self._codes: NDArray[np.float32] | None = None
        self._seen = np.full(len(self.rows), -1, np.int64)  # when: a later place in training is larger
        self._places = 0

    def due(self, epoch: int) -> bool:
        """Whether new weights are wanted before this epoch (0 = the first)."""
        first = epoch == self.settings.warmup
        again = self.settings.renew == "every-epoch" and self.vectors is None  # an embedding does not change
        return first or (again and epoch > self.settings.warmup)

    def observe(self, rows: NDArray[np.int64], codes: Tensor | None) -> None:
        """Keep the codes of a training batch, if the recipe harvests."""
        if not self.settings.harvest or codes is None or self.vectors is not None:
            return
        places = self._place[rows]
        weighted = places >= 0
        if self._codes is None:
            self._codes = vector_store(len(self.rows), codes.shape[1])
        self._codes[places[weighted]] = codes.float().cpu().numpy()[weighted]
        world = self.fabric.world_size
        when = self._places + np.arange(len(rows)) * world + self.fabric.global_rank
        self._seen[places[weighted]] = when[weighted]
        self._places += len(rows) * world

    def weights(self, model: nn.Module) -> dict[int, NDArray[np.float64]]:
        """Class id → weights of its images that sum to 1; codes that no batch brought are encoded now."""
        if self.vectors is None and self.settings.rule == "appearance":
            return self._each(lambda part: self._weights_by_appearance(self.rows[part]))
        if self.vectors is not None and self.settings.rule == "errors":
            flags = self.vectors[:, 0] > 0
            return self._each(lambda part: cell_weights(flags[part], self.settings.max_weight))
        codes, errors = (self.vectors, None) if self.vectors is not None else self._collected(model)
        return self._each(
            lambda part: self._weights_of_codes(codes[part], None if errors is None else errors[part])
        )

    def _each(self, weigh: Callable[[slice], NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
        found = {}
        for class_id, part in self.parts.items():
            if part.stop - part.start >= self._fewest:
                try:
                    found[class_id] = weigh(part)
                except DegenerateWeightsError:
                    if self.table.two_classes:
                        raise
        if not found:
            raise DegenerateWeightsError(
                f"Expected a class that can be weighed by rule {self.settings.rule!r}; got "
                f"{told_classes([self.table.class_names[class_id] for class_id in self.parts])}, each of fewer than "
                f"{self._fewest} images, or of images too much alike. Use another rule, or train uniformly."
            )
        return found

    def _collected(self, model: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Codes of all images that are weighted, and their reconstruction errors if the rule needs them."""
        latest = self._reduced(self._seen.copy(), "max")
        missing = np.flatnonzero(latest < 0)
        wanted = self.settings.rule == "capsa"
        mine = missing[self.fabric.global_rank :: self.fabric.world_size]
        codes, errors = latent_codes(
            model, self.table, self.rows[mine], device=self.fabric.device, errors=wanted
        )
        if self._codes is None and len(mine) == len(self.rows):
            whole = codes  # one process, nothing harvested: no second copy
        else:
            whole = vector_store(len(self.rows), codes.shape[1]) if self._codes is None else self._codes
            whole[mine] = codes
            if self.fabric.world_size > 1:
                self._share(whole, (self._seen >= 0) & (self._seen == latest), mine)
        if errors is not None:
            everything = np.zeros(len(self.rows), np.float32)
            everything[mine] = errors
            errors = self._reduced(everything, "sum")
        self._codes, self._seen = None, np.full(len(self.rows), -1, np.int64)
        return whole, errors

    def _weights_of_codes(
        self, codes: NDArray[np.float32], errors: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        settings = self.settings
        rule: Any = rule_of(settings, embedded=self.vectors is not None)
        if errors is not None:
            rule = partial(
                capsa_rule,
                reconstruction_errors=errors,
                bins=settings.bins,
                queue=settings.queue or len(errors),
            )
        return sampling_weights(
            codes if self.vectors is None else normalised(codes, settings.normalisation),
            rule=rule,
            bins=settings.bins,
            smoothing=settings.smoothing,
            clusters=settings.clusters,
            seed=self.seed,
            ess=settings.ess,
            max_weight=settings.max_weight,
        )

    def _weights_by_appearance(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        rarity = appearance_rarity(
            lambda: (self.table.batch(rows[part]) for part in slices(len(rows), CHUNK))
        )
        return temper(rarity.numpy(), ess=self.settings.ess, max_weight=self.settings.max_weight)

    def _share(
        self, codes: NDArray[np.float32], known: NDArray[np.bool_], encoded: NDArray[np.int64]
    ) -> None:
        """Bring together what each process was the last to see, or has encoded now: what one process would have."""
        known[encoded] = True
        for start in range(0, len(codes), 65536):
            part = slice(start, start + 65536)
            codes[part] = self._reduced(np.where(known[part, None], codes[part], 0), "sum")

    def _reduced(self, values: NDArray[Any], how: Literal["max", "sum"]) -> NDArray[Any]:
        """Over all processes."""
        if self.fabric.world_size == 1:
            return values
        found = self.fabric.all_reduce(torch.from_numpy(values).to(self.fabric.device), reduce_op=how)
        reduced: NDArray[Any] = found.cpu().numpy()  # type: ignore[union-attr]
        return reduced
