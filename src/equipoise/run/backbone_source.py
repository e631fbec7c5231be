"""The network that a run's models are made of: a `Backbone`, or the name of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from equipoise.data.cache import cache_folder
from equipoise.errors import InputError
from equipoise.nn import Backbone, named_backbone
from equipoise.nn.named import GRAMMAR, library_of
from equipoise.nn.named_object import is_named, made_by
from equipoise.nn.weights import fill, read_weights
from equipoise.run.identity import Setting
from equipoise.run.model_source import Network, run_backbone
from equipoise.run.pace import said
from equipoise.run.reading import Reading
from equipoise.train import Featured

__all__ = ["BackboneSource", "backbone_source"]


@dataclass(frozen=True, eq=False)
class BackboneSource:
    """A backbone and what the user called it.

    Args:
        featured: What `fit` takes; None = the user brought none.
        asked: What the user gave.
    """

    featured: Featured | None = None
    asked: Network | None = None

    @property
    def named(self) -> str | None:
        """What the user called it, or what kind of network it is."""
        if self.featured is None or self.asked is None:
            return None
        given = self.asked.model
        return os.fspath(given) if isinstance(given, str | os.PathLike) else self.featured.backbone.name

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        if self.asked is None:
            return {}
        own = self.asked.settings(None)
        return {"backbone": self.named, **{name: value for name, value in own.items() if value}}

    def brought(self) -> dict[str, str]:
        """What a run's identity says about it."""
        return {} if self.featured is None else {"backbone": self.featured.backbone.digest}

    def reading(self, asked: Reading) -> Reading:
        """How pictures are read for it."""
        if self.featured is None:
            return asked
        own = self.featured.backbone
        return asked.for_model(own.framing, own.channels)


def backbone_source(
    given: Network | Backbone | nn.Module | str | os.PathLike[str] | None,
    reading: Reading,
    say: Callable[[str], None] = lambda line: None,
) -> BackboneSource:
    """Load what the user named; features are kept where decoded pictures are.

    Args:
        given: A name as `nn.named_backbone` takes it, a run's folder, a backbone or a network; or one of these with
            what it needs, `Network`.
        reading: How pictures are to be read, for a network that does not say it itself.
        say: Takes lines on how far its passes are.

    Raises:
        InputError: if it is none of these, or options do not fit.
        DataError: if files cannot be had or read.
        MissingExtraError: if a library is not installed.
    """
    if given is None:
        return BackboneSource()
    asked = given if isinstance(given, Network) else Network(given)
    if asked.transform is not None:
        raise InputError(
            "Expected a network whose pictures a file can describe, as its new layer is saved with it; got "
            "`transform`. Say what it does with `image_size`, `resize`, `crop`, `mean` and `std`."
        )
    featured = Featured(_backbone(asked, reading), cache_folder(reading.cache), said(say))
    return BackboneSource(featured, asked)


def _backbone(asked: Network, reading: Reading) -> Backbone:
    model = asked.model
    options: dict[str, Any] = {"mean": asked.mean, "std": asked.std, "layer": asked.layer}
    where = int(asked.output) if asked.output is not None and asked.output.isdecimal() else asked.output
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else ""
    if library_of(name):
        size = reading.image_size if reading.image_size != Reading().image_size else None
        return named_backbone(name, weights=asked.weights, size=size, output=where, **options)
    if name and not is_named(name) and Path(name).exists():
        extra = [f"`{key}`" for key in ("weights", "output", "mean", "std") if getattr(asked, key)]
        if extra:
            raise InputError(
                f"{name} is a run's folder and knows; got {', '.join(extra)} too. Leave that out."
            )
        return run_backbone(name, encoder=asked.encoder, layer=asked.layer)
    if name and not is_named(name):
        raise InputError(
            f"Expected `backbone` as the folder of a run, or {GRAMMAR}; got {name!r}. Check the path."
        )
    made: Any = made_by(name) if name else model
    if isinstance(made, Backbone):
        extra = [
            f"`{key}`"
            for key, value in {**options, "weights": asked.weights, "output": where}.items()
            if value
        ]
        if extra:
            raise InputError(
                f"{name or made.name} is a Backbone and knows; got {', '.join(extra)} too. Leave that out."
            )
        return replace(made, name=name or made.name)
    if asked.weights is not None and isinstance(made, nn.Module):
        fill(made, read_weights(asked.weights), asked.weights)
    found = Backbone.of(made, size=reading.framing, output=where, **options)
    return Backbone.tried(made, found.preprocessing, layer=asked.layer, output=where, name=name or found.name)
