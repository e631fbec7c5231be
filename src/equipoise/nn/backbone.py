"""`Backbone`: any network that somebody trained, and what must be known to use it.

A network file alone does not say how its pictures must come, where its features are and what its numbers mean. A
backbone does, and finds out by one run on made-up pictures whether that holds, before anything long starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import EquipoiseError, InputError
from equipoise.failures import refused
from equipoise.nn.digest import digest_of
from equipoise.nn.modes import evaluating
from equipoise.nn.passes import home
from equipoise.nn.preprocessing import Normalised, Preprocessing, framed
from equipoise.nn.taps import Output, Tap, features_at, find_tap, named_tap, pooled, prediction_of, tapped
from equipoise.pictures.framing import Framing, Interpolation
from equipoise.pictures.own_framing import OwnFraming

__all__ = ["Backbone", "FeatureExtractor", "Pass"]

TRIED = 2  # made-up pictures


class Pass(NamedTuple):
    """What a backbone makes of pictures.

    Args:
        features: One vector a picture, single precision.
        logits: One a class, or one for two classes; None of a network without a last layer.
    """

    features: Float[Tensor, "batch d"]
    logits: Float[Tensor, "batch k"] | None


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network with its preprocessing, its features and its last layer. Made by `of` and `named`.

    Args:
        network: As it came, in the mode that it came in: pictures as `preprocessing` gives them → prediction.
        preprocessing: How its pictures must come.
        tap: Where its features are; None: what it returns are features.
        output: Where the prediction is in what it returns.
        dimensions: Length of a feature vector.
        outputs: Logits a picture; None of a network without a last layer.
        class_names: Of its logits, by id, where they are known.
        name: What people read.
        replaced: Logits of the last layer in whose place another one stands; None where none does.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
        >>> backbone = Backbone.of(network, size=32, mean=(0.5,), std=(0.25,))
        >>> backbone
        Backbone(Sequential: 32×32×3 lanczos → 8 features before '3' → 5 logits)
        >>> backbone(torch.rand(4, 3, 32, 32)).features.shape
        torch.Size([4, 8])
    """

    network: nn.Module
    preprocessing: Preprocessing
    tap: Tap | None
    output: Output
    dimensions: int
    outputs: int | None
    class_names: tuple[str, ...] | None = None
    name: str = ""
    replaced: int | None = None

    @classmethod
    def of(
        cls,
        network: nn.Module,
        *,
        size: int | Framing = 224,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        interpolation: Interpolation | None = None,
        crop: float | int | None = None,
        layer: str | None = None,
        output: Output = None,
    ) -> Backbone:
        """A network of the user's own.

        Args:
            network: Pictures (batch, channels, size, size) → logits (batch, classes), (batch, 1) or (batch,).
            size: Pixels a side, or a `Framing`, which says all about resizing and cropping, and as an
                `OwnFraming` that gives numbers about mean and std.
            mean: Subtracted from pixels in [0, 1], one number a channel or one for all; none leaves them as they are.
            std: Then divided by.
            interpolation: Filter of the resizing.
            crop: Share of the resized picture's shorter side that is kept, such as 0.875, or its length in pixels.
            layer: Module whose output are the features; None takes what goes into the last layer.
            output: Key, attribute or number of the logits in what the network returns.

        Raises:
            InputError: if the network does not take such pictures, or a layer is not there or never called.
        """
        if isinstance(size, OwnFraming) and size.numbers:
            if mean or std:
                raise InputError(
                    f"The transform {size.name} gives numbers, to which nothing is added; got `mean` and `std` beside. "
                    "Leave them out."
                )
            mean, std = size.mean, size.std
        channels = len(mean) if len(mean) > 1 else _channels(network)
        came = Preprocessing(framed(size, interpolation, crop), tuple(mean), tuple(std), channels)
        return cls.tried(network, came, layer=layer, output=output)

    @classmethod
    def tried(
        cls,
        network: nn.Module,
        preprocessing: Preprocessing,
        *,
        layer: str | None = None,
        output: Output = None,
        headless: bool = False,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> Backbone:
        """The same with all that a loader knows.

        Args:
            headless: What the network returns are features: it has no last layer.
            class_names: Of its logits, by id.
            name: What people read; None is the network's class.

        Raises:
            InputError: as `of` does, and if there are other names than logits.
        """
        if not isinstance(network, nn.Module):
            raise InputError(
                f"Expected a torch nn.Module; got {type(network).__name__}. Put a function into a module's forward."
            )
        title = name or type(network).__name__
        names = None if class_names is None else tuple(map(str, class_names))
        found = cls(network, preprocessing, None, output, 0, None, names, title)
        if layer is not None:
            found = replace(found, tap=named_tap(network, layer))
        elif not headless:
            found = replace(found, tap=find_tap(network, lambda: found._predicted(found.example())))
        features, logits = found._checked(found.example(), headless)
        outputs = None if logits is None else logits.shape[1]
        if names is not None and outputs is not None and len(names) != max(2, outputs):
            raise InputError(
                f"Expected a class name for each of {outputs} logits of {title}; got {len(names)}. Give the names of "
                "the classes that it was trained on."
            )
        return replace(found, dimensions=features.shape[1], outputs=outputs)

    @staticmethod
    def named(name: str, **how: Any) -> Backbone:
        """A network by its name: see `equipoise.nn.named_backbone`, whose arguments it takes."""
        from equipoise.nn.named import named_backbone

        return named_backbone(name, **how)

    @property
    def framing(self) -> Framing:
        """From any size and shape to a square."""
        return self.preprocessing.framing

    @property
    def channels(self) -> int:
        """Of its pictures."""
        return self.preprocessing.channels

    @cached_property
    def digest(self) -> str:
        """What tells this backbone from another: weights, code, normalisation, and where features and logits are."""
        came = self.preprocessing
        where = (None, None) if self.tap is None else tuple(self.tap)
        return digest_of([digest_of(self.network), list(came.mean), list(came.std), list(where), self.output])

    @property
    def module(self) -> nn.Module:
        """Pictures in [0, 1] → what the network returns, as one module; its layers are below `model.` if normalised."""
        came = self.preprocessing
        return Normalised(self.network, came.mean, came.std) if came.mean else self.network

    def __repr__(self) -> str:
        came, framing = self.preprocessing, self.framing
        where = (
            ""
            if self.tap is None
            else f" {'before' if self.tap.side == 'input' else 'of'} {self.tap.layer!r}"
        )
        logits = "" if self.outputs is None else f" → {self.outputs} logits"
        return (
            f"Backbone({self.name}: {framing.size}×{framing.size}×{came.channels} {framing.interpolation} → "
            f"{self.dimensions} features{where}{logits})"
        )

    def __call__(self, images: Float[Tensor, "batch c size size"]) -> Pass:
        """Features and logits of pictures in [0, 1] on the network's device, in evaluation mode, without gradients.

        Raises:
            InputError: if pictures are of another size, the network fails, or features are not finite.
        """
        return self._checked(images, self.outputs is None)

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Whether its logits are of so many classes.

        Raises:
            InputError: if they are not; names both sides.
        """
        if self.outputs is None:
            raise InputError(
                f"{self.name} gives features and no logits; expected a network with a last layer for "
                f"{len(class_names)} classes. Give one, or train its last layer first."
            )
        if max(2, self.outputs) != len(class_names):
            told = ", ".join(map(repr, class_names[:5])) + (", …" if len(class_names) > 5 else "")
            raise InputError(
                f"{self.name} has {self.outputs} logits; the pictures are of {len(class_names)} classes ({told}). Give "
                "the network that was trained on these classes, or train a last layer for them on its features."
            )

    def check_pictures(self, pictures: Any) -> None:
        """Whether a table's pictures came as they must: channels, size and, where the table knows, framing.

        Raises:
            InputError: if they did not; names both sides.
        """
        framing = getattr(pictures, "framing", None)
        ours = self.framing
        if isinstance(framing, Framing) and framing != ours:
            raise InputError(
                f"{self.name} takes pictures so: {ours}; these were read so: {framing}. Read them "
                "the first way, or make the backbone with the second as its `size` if that is what you mean."
            )
        size, channels = getattr(pictures, "image_size", ours.size), getattr(pictures, "channels", None)
        if size != ours.size or channels not in (None, self.channels):
            raise InputError(
                f"{self.name} takes pictures of {self.channels} channels and {ours.size}×{ours.size} pixels; these "
                f"have {channels} and {size}×{size}. Read them with `image_size` {ours.size} and `channels` "
                f"{self.channels}."
            )

    def _predicted(self, images: Tensor) -> Tensor:
        seen = self.preprocessing.normalised(images).to(home(self.network)[1])
        try:
            ready = not any(module.training for module in self.network.modules())
            with nullcontext() if ready else evaluating(self.network), torch.inference_mode():
                return prediction_of(self.network(seen), self.output)
        except EquipoiseError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError) as error:
            if refused(error):
                raise
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"{self.name} must take pictures of shape {tuple(seen.shape)} (batch, channels, height, width); got "
                f"this error from it: {told[0]:.300}. Give the size and channels that it was made for."
            ) from error

    def _checked(self, images: Tensor, headless: bool) -> Pass:
        """One run."""
        if self.tap is None:
            prediction = self._predicted(images)
            found = pooled(prediction)
        else:
            with tapped(self.network, self.tap) as passed:
                prediction = self._predicted(images)
            found = features_at(self.tap, passed, len(images))
        features = found.float()
        if len(features) != len(images) or not features.shape[1]:
            raise InputError(
                f"{self.name} must give a vector for each of {len(images)} pictures; got shape {tuple(found.shape)}. "
                "Name another layer, `layer`."
            )
        if not bool(torch.isfinite(features).all()):
            raise InputError(
                f"Features must be finite; got NaN or infinity from {self.name}. Look at the pictures, or "
                "at its weights."
            )
        return Pass(features, None if headless else _logits(prediction, len(images), self.name))

    def example(self) -> Tensor:
        """Made-up pictures on the network's device: noise, the same each time."""
        size, (device, _) = self.framing.size, home(self.network)
        chance = torch.Generator().manual_seed(0)
        return torch.rand(TRIED, self.channels, size, size, generator=chance).to(device)


class FeatureExtractor(nn.Module):
    """A backbone as a module from pictures in [0, 1] to feature vectors: an embedding.

    Args:
        backbone: Its network is part of this one.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.network = backbone.network
        self.mean, self.std = backbone.preprocessing.mean, backbone.preprocessing.std
        self.tap = None if backbone.tap is None else tuple(backbone.tap)

    def forward(self, images: Tensor) -> Tensor:
        """Feature vectors, shape (batch, d)."""
        return self.backbone(images).features


def _logits(prediction: Tensor, count: int, name: str) -> Tensor:
    logits = prediction.float()
    if logits.ndim == 1 and len(logits) == count:
        logits = logits[:, None]
    if logits.ndim != 2 or len(logits) != count or not logits.shape[1]:
        raise InputError(
            f"Expected logits of shape (batch, classes), (batch, 1) or (batch,) from {name}; got shape "
            f"{tuple(prediction.shape)} for {count} pictures. Say which part of what it returns they are, `output`."
        )
    return logits


def _channels(network: Any) -> int:
    """Of the pictures that a network takes, by its first convolution; 3 where there is none."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    first = next((module for module in modules if isinstance(module, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels
