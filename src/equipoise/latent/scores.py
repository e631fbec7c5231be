"""What an attribute classifier says of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from numpy import ndarray
from torch import Tensor

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.latent.frozen import frozen
from equipoise.nn import home, pixels, slices

__all__ = ["AttributeClassifier", "ManyImages", "attribute_scores", "check_decision"]

AttributeClassifier: TypeAlias = Callable[[Tensor], Tensor]
"""From float images (n, channels, height, width) in [0, 1] to one logit an image, (n,) or (n, 1)."""

ManyImages: TypeAlias = (
    ImageTable
    | UInt8[ndarray, "n height width channels"]
    | UInt8[Tensor, "n height width channels"]
    | Float[Tensor, "n channels height width"]
)
"""A table, uint8 pictures with channels last, or float images with channels first, pixels in [0, 1]."""


def attribute_scores(
    classifier: AttributeClassifier, images: ManyImages, *, batch_size: int = 512
) -> Float64[ndarray, " n"]:
    """Probability of the attribute of each image; in batches, in evaluation mode, where the classifier's weights are.

    An attribute like gender is here what annotators saw in pictures and a classifier learned from them.

    Args:
        classifier: Gives logits: any trained model of this library will do.
        images: What is scored.
        batch_size: Images at a time.

    Raises:
        InputError: if the images have another form, or the classifier gives no finite logit an image.
    """
    return through(classifier, images, batch_size, _probabilities)[:, 0].numpy()


def through(
    network: Callable[[Tensor], Any], images: ManyImages, batch_size: int, read: Callable[[Any, int], Tensor]
) -> Float[Tensor, "n width"]:
    """What `read` makes of the network's answers, batch by batch; it is told how many images there were."""
    if not isinstance(images, ImageTable):
        _check_images(images)
    if len(images) == 0 or batch_size < 1:
        raise InputError(
            f"Expected at least one image and a batch size of at least 1; got {len(images)} and {batch_size}. "
            "Check what was selected."
        )
    device, dtype = home(network)
    found = []
    with frozen(network):
        for place in slices(len(images), batch_size):
            rows = np.arange(place.start, place.stop)
            part = images.batch(rows) if isinstance(images, ImageTable) else images[place]
            part = torch.from_numpy(np.array(part)) if isinstance(part, np.ndarray) else part
            part = pixels(part) if part.dtype == torch.uint8 else part
            found.append(read(network(part.to(device, dtype)), len(rows)).detach().cpu())
    return torch.cat(found)


def check_decision(threshold: float, margin: float) -> None:
    """Refuse a threshold or a margin around it that is no probability.

    Raises:
        InputError: says which.
    """
    if not 0 < threshold < 1:
        raise InputError(f"A threshold must be a probability in (0, 1); got {threshold}. Try 0.5.")
    if not 0 <= margin < max(threshold, 1 - threshold):
        raise InputError(
            f"A margin must be 0 or more, and leave something beyond the threshold {threshold:g}; got {margin}. "
            "Try 0.2."
        )


def _probabilities(logits: Any, count: int) -> Float64[Tensor, "n 1"]:
    if not isinstance(logits, Tensor) or logits.shape not in ((count,), (count, 1)):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"A classifier must give one logit an image, shape ({count},) or ({count}, 1); got {got}. "
            "Of two outputs give the second minus the first."
        )
    if not torch.isfinite(logits).all():
        raise InputError(
            "A classifier's logits must be finite; got NaN or infinity. Check its training, and that it takes "
            "pixels in [0, 1]."
        )
    return torch.sigmoid(logits.double().reshape(count, 1))


def _check_images(images: Any) -> None:
    array = isinstance(images, np.ndarray) and images.dtype == np.uint8
    tensor = isinstance(images, Tensor) and (images.dtype == torch.uint8 or images.is_floating_point())
    if not (array or tensor) or images.ndim != 4:
        got = f"{images.dtype} {tuple(images.shape)}" if hasattr(images, "dtype") else type(images).__name__
        raise InputError(
            "Images must be an ImageTable, uint8 (n, height, width, channels), or a float tensor (n, channels, "
            f"height, width) in [0, 1]; got {got}. Use ImageTable.from_arrays, which converts."
        )
    if images.dtype not in (np.uint8, torch.uint8) and len(images):
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):  # also where they are NaN
            raise InputError(
                f"Float images must be finite, in [0, 1]; got {low:.3g}…{high:.3g}. Undo their normalisation."
            )
