"""A Lightning callback for modules that hold a wrapped model: risks in the log, percentiles at the end of training.

The methods' extra loss is not added here: a second backward pass from a callback would miss loss scaling and break
processes that share gradients. The training step adds it, in one line:

    def training_step(self, batch, _):
        images, labels = batch
        logits, extra = self.network(images, return_loss=True, targets=labels)
        return cross_entropy(logits, labels) + extra
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from equipoise.errors import InputError, MissingExtraError, NotFittedError
from equipoise.nn import evaluating
from equipoise.risk.risk import KINDS
from equipoise.risk.seen import taken
from equipoise.risk.wrapped import Wrapped

if TYPE_CHECKING:
    from pytorch_lightning import Callback, LightningModule, Trainer
else:
    try:
        if "lightning.pytorch" in sys.modules:  # the one that the user's trainer comes from
            from lightning.pytorch import Callback
        else:
            from pytorch_lightning import Callback
    except ImportError:
        try:
            from lightning.pytorch import Callback
        except ImportError as error:
            raise MissingExtraError(
                "The callback needs Lightning; got no pytorch_lightning and no lightning. "
                "Install it: pip install 'equipoise[lightning]'."
            ) from error

__all__ = ["RiskCallback"]


class RiskCallback(Callback):
    """Logs mean risks of the validation batches every epoch, and calibrates percentiles on them at the end.

    Nothing is logged while a method has seen too little, or needs `calibrate` first. Scoring runs the model on the
    validation batches once more. Checkpoints written before the end hold no percentiles yet: save with
    `trainer.save_checkpoint` after `fit`.

    Args:
        model: Attribute of the Lightning module that is the wrapped model; None finds it, if there is one.
        name: What the logged names begin with: "risk/representation", ….
        calibrate: Calibrate percentiles when training ends. In several processes each takes its own share of the
            validation data; calibrate yourself there.

    Raises:
        InputError: when training starts, if there is no wrapped model or there are several.
    """

    def __init__(self, model: str | None = None, *, name: str = "risk", calibrate: bool = True) -> None:
        super().__init__()
        self.model, self.name, self.calibrate = model, name, calibrate
        self._sums: dict[str, torch.Tensor] = {}
        self._rows = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there is a wrapped model."""
        self._wrapped(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin new means."""
        self._sums, self._rows = {}, 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score the batch."""
        if trainer.sanity_checking:
            return
        inputs, _ = taken(batch)
        wrapped = self._wrapped(pl_module)
        try:
            with evaluating(wrapped), torch.no_grad():
                _, risk = wrapped(inputs, return_risk=True)
        except NotFittedError:
            return
        for kind in KINDS:
            values = getattr(risk, kind)
            if values is not None:
                self._sums[kind] = self._sums.get(kind, 0) + values.double().sum()
        self._rows += len(inputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means."""
        for kind, total in self._sums.items():
            pl_module.log(f"{self.name}/{kind}", (total / self._rows).float(), sync_dist=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calibrate."""
        loaders = trainer.val_dataloaders
        if not self.calibrate or loaders is None or trainer.world_size > 1:
            return

        def batches() -> Iterator[Any]:
            for loader in loaders if isinstance(loaders, list | tuple) else [loaders]:
                for batch in loader:
                    yield pl_module.transfer_batch_to_device(batch, pl_module.device, 0)

        try:
            self._wrapped(pl_module).calibrate(batches())
        except NotFittedError as error:  # hours of training are not lost to this
            warnings.warn(f"Percentiles are not calibrated: {error}", stacklevel=2)

    def _wrapped(self, module: LightningModule) -> Wrapped:
        if self.model is not None:
            found: Any = getattr(module, self.model, None)
            if not isinstance(found, Wrapped):
                raise InputError(
                    f"Expected a wrapped model as attribute {self.model!r} of {type(module).__name__}; got "
                    f"{type(found).__name__}. Name the attribute that holds it."
                )
            return found
        inside = {name: part for name, part in module.named_modules() if isinstance(part, Wrapped)}
        if len(inside) != 1:
            raise InputError(
                f"Expected one wrapped model in {type(module).__name__}; got {', '.join(inside) or 'none'}. "
                "Name the attribute that holds it, RiskCallback('network'), or wrap: Histogram()(network)."
            )
        return next(iter(inside.values()))
