"""Epistemic risk by dropout: how far predictions are apart when random features are left out.

A pass leaves out the same features for all samples, as one draw of the weights does. So the risk of an input does not
depend on which others it comes with.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from equipoise.errors import InputError
from equipoise.nn import evaluating
from equipoise.nn.taps import COMPILED, Tap, has_weights, named_tap
from equipoise.risk.disagreement import disagreement
from equipoise.risk.own_chance import OwnChance, drawing, every_layer_called, own_chance
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Seen
from equipoise.risk.wrapped import Method
from equipoise.seeds import child_seed

__all__ = ["Dropout", "thinned"]


def thinned(values: Tensor, rate: float, kept: tuple[int, ...], generator: np.random.Generator) -> Tensor:
    """Values with a share `rate` of them 0 and the others 1/(1 − rate) times as large.

    Args:
        kept: Shape of what is drawn; spread over `values`. Drawn by NumPy: the same on every device.
    """
    mask = torch.from_numpy((generator.random(kept) >= rate) / (1 - rate))
    return values * mask.to(values.device, values.dtype)


class Dropout(Method):
    """Epistemic risk: spread over stochastic passes, as standard deviation or mutual information (nats).

    What the model itself leaves out in training is used, if there is anything: its dropout layers, the dropout that it
    does by function, and what else it draws in training mode only, such as stochastic depth, or dropout within
    attention and recurrent layers. Only if there is nothing, dropout acts at `rate` on what goes into every layer with
    weights but the first that is called (into the only one, if there is one): on features, channels of an image. `repr`
    says which.
    All that does not draw runs in evaluation mode, so batch norm is as in scoring and its statistics stay.

    Args:
        passes: Passes through the model for a score.
        rate: Share that is left out, in (0, 1), where the model has no dropout of its own.
        seed: Of what is left out; the same input always has the same risk.
        layers: Leave out features from what comes out of these layers, at `rate`, instead.

    Raises:
        InputError: if an argument is out of range; when wrapping, if there is nowhere to act.

    Warns when wrapping: if the model draws something in training that cannot be used; it is left out.

    Undefined: with samples along another dimension than the first, such as sequences (steps, batch, …), what the model
    draws outside of dropout layers differs between samples.

    Source: Gal and Ghahramani, 2016, Dropout as a Bayesian Approximation. Differs from it in: the prediction stays the
    bare model's, not the mean of the passes; a pass draws once for all samples; injected dropout was not trained with.
    """

    label = "dropout"
    kinds = ("epistemic",)

    def __init__(
        self, passes: int = 20, rate: float = 0.1, seed: int = 0, layers: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        if passes < 2:
            raise InputError(f"passes must be at least 2, to differ; got {passes}. Use 20.")
        if not 0 < rate < 1:
            raise InputError(f"rate must be in (0, 1); got {rate}. Use 0.1.")
        if layers is not None and (isinstance(layers, str) or not layers):
            raise InputError(
                f"layers must be a list of names; got {layers!r}. Use ['{layers or 'name'}'] or None."
            )
        self.passes, self.rate, self.seed, self.layers = passes, rate, seed, layers
        self.drawn = child_seed(seed, "dropout")
        self.places: list[Tap] = []
        self.own = OwnChance({}, (), "")
        self.acts = ""  # where, in words

    def extra_repr(self) -> str:
        """What `repr` shows."""
        known = f", acts on {self.acts}" if self.acts else ""
        return f"passes={self.passes}, rate={self.rate}, seed={self.seed}, layers={self.layers}{known}"

    def build(self, seen: Seen) -> None:
        seen.needed_task()
        if self.layers is not None:
            self.places = [named_tap(seen.model, layer) for layer in self.layers]
            self.acts = f"{len(self.places)} named layers at {self.rate}"
            return
        own = [
            Tap(name, "output")
            for name, module in seen.model.named_modules()
            if isinstance(module, _DropoutNd) and module.p > 0
        ]
        self.own = own_chance(seen.model, seen.again)
        if self.own.unused:
            warnings.warn(
                f"Dropout leaves out some of what {type(seen.model).__name__} draws at random in training: "
                f"{self.own.unused}. Name layers to leave features out from, Dropout(layers=[...]).",
                stacklevel=2,
            )
        self.places = own
        if not own and not self.own.found:
            self.places = [Tap(layer, "input") for layer in _inner_layers(seen)]
        self.acts = self._said(len(own))

    def _said(self, layers: int) -> str:
        parts = {
            "dropout layers": layers,
            "calls of dropout functions": sum(map(sum, self.own.functions.values())),
            "modules that draw in training": len(self.own.guarded),
        }
        used = [f"{count} {name}" for name, count in parts.items() if count]
        injected = (
            f"what goes into {len(self.places)} layers at {self.rate}, the model leaves nothing out itself"
        )
        return f"the model's own {', '.join(used)}" if used else injected

    def risk(self, seen: Seen) -> Risk:
        generator = np.random.default_rng(self.drawn)
        with torch.no_grad(), evaluating(seen.model), every_layer_called(), ExitStack() as stack:
            acted: set[str] = set()
            for place in self.places:
                stack.enter_context(_dropping(seen.model, place, self.rate, generator, acted))
            begin = stack.enter_context(drawing(seen.model, self.own, generator, seen.inputs.shape[0]))
            predictions = []
            for _ in range(self.passes):
                begin()
                predictions.append(seen.again())
        if not acted and not self.own.found:
            raise InputError(
                f"Expected a layer to leave features out from; none of {', '.join(p.layer for p in self.places)} was "
                f"called. Name layers that are: Dropout(layers=[...]). {COMPILED}"
            )
        return disagreement(torch.stack(predictions), seen.needed_task())


@contextmanager
def _dropping(
    model: nn.Module, place: Tap, rate: float, generator: np.random.Generator, acted: set[str]
) -> Iterator[None]:
    """Dropout at a place, by a hook that is gone afterwards."""
    module = model.get_submodule(place.layer)

    def drop(values: Any) -> Any:
        if not isinstance(values, Tensor) or not values.is_floating_point():
            return values
        acted.add(place.layer)
        if isinstance(module, _DropoutNd) and module.p > 0:
            return _as_trained(module, values, generator)
        axis = (
            1
            if isinstance(module, _ConvNd) or (values.ndim > 3 and not isinstance(module, nn.Linear))
            else -1
        )
        kept = [1] * values.ndim
        kept[axis] = values.shape[axis]
        return thinned(values, rate, tuple(kept), generator)

    def into(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (drop(given[0]), *given[1:]) if given else given

    def out(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple) and output:
            return (drop(output[0]), *output[1:])
        return drop(output)

    hook = (
        module.register_forward_pre_hook(into) if place.side == "input" else module.register_forward_hook(out)
    )
    try:
        yield
    finally:
        hook.remove()


def _as_trained(module: _DropoutNd, values: Tensor, generator: np.random.Generator) -> Tensor:
    """What a dropout layer does in training, drawn once for all samples."""
    whole = isinstance(module, nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.FeatureAlphaDropout)
    kept = (1, *(values.shape[1:2] if whole else values.shape[1:]), *(1 for _ in values.shape[2:] if whole))
    rate = float(module.p)
    if rate >= 1 or not isinstance(module, nn.AlphaDropout | nn.FeatureAlphaDropout):
        return thinned(values, rate, kept, generator) if rate < 1 else torch.zeros_like(values)
    # Klambauer et al., 2017, section "New dropout technique": to −αλ, then mean 0 and variance 1 again
    floor = -1.7580993408473766
    mask = torch.from_numpy(generator.random(kept) >= rate).to(values.device)
    scale = 1 / math.sqrt((1 - rate) * (1 + rate * floor**2))
    return torch.where(mask, values, floor) * scale - scale * rate * floor


def _inner_layers(seen: Seen) -> list[str]:
    """Layers with weights in the order in which they are called, without the first unless it is the only one."""
    called: dict[str, None] = {}

    def noting(name: str) -> Callable[..., None]:
        return lambda *_: called.setdefault(name)

    hooks = [
        module.register_forward_pre_hook(noting(name))
        for name, module in seen.model.named_modules()
        if has_weights(module) and not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        with every_layer_called():
            seen.again()
    finally:
        for hook in hooks:
            hook.remove()
    if not called:
        raise InputError(
            "Expected layers with weights to put dropout before; the model calls none. Name the layers whose outputs "
            f"are the features: Dropout(layers=[...]). {COMPILED}"
        )
    return list(called)[1:] or list(called)
