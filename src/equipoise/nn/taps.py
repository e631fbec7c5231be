"""Where in a network the features and the prediction are: found by running it, or named by the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError

__all__ = [
    "COMPILED",
    "Output",
    "Tap",
    "described",
    "features_at",
    "find_tap",
    "has_weights",
    "named_tap",
    "pooled",
    "prediction_of",
    "tapped",
    "widest",
]

COMPILED = "A compiled model hides its layers: wrap the model first, then compile the wrapped one."


Output = str | int | Callable[[Any], Tensor] | None
"""Where the prediction is in what the model returns: a key or attribute, an index, a function; None = all of it."""


class Tap(NamedTuple):
    """A place in a network.

    Args:
        layer: Name of a module, as in `named_modules`.
        side: What goes into it, or what comes out.
    """

    layer: str
    side: Literal["input", "output"]


def find_tap(model: nn.Module, run: Callable[[], Tensor]) -> Tap:
    """What goes into the last layer: the last one called that has weights, and as many outputs as the prediction.

    Args:
        model: Any network.
        run: Runs it once and gives the prediction.

    Raises:
        InputError: if no layer's output is as large as the prediction, so that the last layer is unclear.
    """
    called: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor) and given and isinstance(given[0], Tensor):
                called.append((name, output.numel()))

        return hook

    handles = [
        module.register_forward_hook(note(name))
        for name, module in model.named_modules()
        if has_weights(module) and (name or not any(model.children()))
    ]
    try:
        prediction = run()
    finally:
        for handle in handles:
            handle.remove()
    if called and called[-1][1] == prediction.numel():
        return Tap(called[-1][0], "input")
    raise InputError(
        "Expected a last layer whose output is the prediction, to take the features that go into it; got "
        f"{'none that was called' if not called else repr(called[-1][0]) + ' with another size'}. "
        f"Name the layer whose output are the features, layer=..., one of: {_names(model)}."
        f"{'' if called else ' ' + COMPILED}"
    )


def named_tap(model: nn.Module, layer: str) -> Tap:
    """The output of a named layer.

    Raises:
        InputError: if the network has no such layer.
    """
    if layer not in dict(model.named_modules()) or not layer:
        raise InputError(f"The model has no layer {layer!r}. Choose one of: {_names(model)}.")
    return Tap(layer, "output")


@contextmanager
def tapped(model: nn.Module, tap: Tap) -> Iterator[list[Tensor]]:
    """Inside, whatever passes the tap is added to the list: one vector a sample, as `pooled`.

    A copy: what the model does with its own tensor afterwards, in place, does not change it.
    """
    found: list[Tensor] = []

    def into(module: nn.Module, given: Any) -> None:
        found.append(_copy(given[0] if given else None, tap))

    def out(module: nn.Module, given: Any, output: Any) -> None:
        found.append(_copy(output, tap))

    layer = model.get_submodule(tap.layer)
    hook = layer.register_forward_pre_hook(into) if tap.side == "input" else layer.register_forward_hook(out)
    try:
        yield found
    finally:
        hook.remove()


def prediction_of(returned: Any, output: Output) -> Tensor:
    """The prediction in what a model returned.

    Raises:
        InputError: if it is not there, or is not a tensor.
    """
    found = returned
    if callable(output):
        found = output(returned)
    elif output is not None:
        named = isinstance(output, str) and not isinstance(returned, Mapping)
        try:
            found = getattr(returned, str(output)) if named else returned[output]
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"The model returns {described(returned)}, which has no {output!r}. "
                "Name what is there, output=...."
            ) from error
    if isinstance(found, Tensor):
        return found
    raise InputError(
        f"Expected the model's prediction as one tensor; got {described(found)}. Say which part it is: "
        "output='logits', output=0, or a function that takes what the model returns."
    )


def features_at(tap: Tap, found: Sequence[Tensor], samples: int) -> Tensor:
    """What passed a tap in one run: the last time that it was called, one finite vector a sample.

    Raises:
        InputError: if it was not called, or something else passed.
    """
    if not found:
        raise InputError(
            f"Expected layer {tap.layer!r} to be called; the model ran without it. Name another layer. "
            + COMPILED
        )
    features = found[-1]
    if features.shape[0] != samples:
        raise InputError(
            f"Expected one feature vector for each of {samples} samples at layer "
            f"{tap.layer!r}; got {features.shape[0]}. Name another layer."
        )
    if not torch.compiler.is_exporting() and not bool(torch.isfinite(features).all()):
        raise InputError(
            f"Features must be finite; got NaN or infinity at layer {tap.layer!r}. Look for a broken "
            "input, or for weights that diverged."
        )
    return features


def pooled(values: Tensor) -> Float[Tensor, "batch n"]:
    """One vector a sample, single precision at least: images are averaged over places, sequences over tokens."""
    if values.ndim == 1:
        values = values[:, None]
    elif values.ndim == 3:
        values = values.mean(1)
    elif values.ndim > 3:
        values = values.flatten(2).mean(2)
    return values.to(torch.promote_types(values.dtype, torch.float32))


def widest(values: Tensor) -> Tensor:
    """Double precision, for sums over a data set and small differences; single where a device has no other."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def has_weights(module: nn.Module) -> bool:
    """Whether a layer multiplies by a matrix: linear layers and convolutions, not norms and tables."""
    weight = getattr(module, "weight", None)
    table = nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm
    return isinstance(weight, Tensor) and weight.ndim >= 2 and not isinstance(module, table)


def _copy(value: Any, tap: Tap) -> Tensor:
    if isinstance(value, Tensor) and value.is_floating_point():
        return pooled(value) if value.ndim > 2 else pooled(value).clone()  # a mean is a copy
    raise InputError(
        f"Expected a float tensor as the {tap.side} of layer {tap.layer!r}; got {type(value).__name__}. "
        "Name another layer, layer=...."
    )


def _names(model: nn.Module) -> str:
    names = [name for name, _ in model.named_modules() if name]
    shown = names if len(names) <= 30 else [*names[:10], "…", *names[-20:]]
    return ", ".join(shown) if shown else "(it has no named layers)"


def described(value: Any) -> str:
    """What something is, in words."""
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with the keys {', '.join(map(str, value))}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
