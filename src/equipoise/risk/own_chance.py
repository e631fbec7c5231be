"""What a model draws at random in training by itself, outside of dropout layers: found, and drawn in evaluation too.

*Functions*: `functional.dropout(x, p, training=self.training)` and its like are called in evaluation mode as well,
where they are told not to act. Inside `drawing` those act that acted in training.

*Guarded*: code that draws behind `self.training` alone (stochastic depth, dropout within attention and recurrent
functions, noise) is seen in training mode only, by what it takes from the random number generators of PyTorch, NumPy
and Python. Inside `drawing` the modules that do so are in training mode, they alone: batch norm keeps its running
statistics.

What is drawn for samples along a first dimension is drawn once for all of them: a draw of the weights, not of the data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from equipoise.errors import InputError
from equipoise.nn import evaluating, modes_kept
from equipoise.nn.taps import COMPILED

__all__ = ["OwnChance", "drawing", "every_layer_called", "own_chance"]

# dropout functions: what the argument is called that tells them to act, and rate and this if they are left out
_DROPOUT: dict[Any, tuple[str, float | None, bool | None]] = {
    functional.dropout: ("training", 0.5, True),
    functional.dropout1d: ("training", 0.5, True),
    functional.dropout2d: ("training", 0.5, True),
    functional.dropout3d: ("training", 0.5, True),
    functional.alpha_dropout: ("training", 0.5, False),
    functional.feature_alpha_dropout: ("training", 0.5, False),
    torch.dropout: ("train", None, None),
    torch.dropout_: ("train", None, None),
    torch.alpha_dropout: ("train", None, None),
    torch.alpha_dropout_: ("train", None, None),
    torch.feature_dropout: ("train", None, None),
    torch.feature_dropout_: ("train", None, None),
    torch.feature_alpha_dropout: ("train", None, None),
    torch.feature_alpha_dropout_: ("train", None, None),
}
# functions that normalise: where the running mean is, and what the argument after the statistics and weights is called
_NORMS: dict[Any, tuple[int, str]] = {
    functional.batch_norm: (1, "training"),
    functional.instance_norm: (1, "use_input_stats"),
    torch.batch_norm: (3, "training"),
    torch.instance_norm: (3, "use_input_stats"),
}


class OwnChance(NamedTuple):
    """What a model draws at random by itself.

    Args:
        functions: Module → which of its calls of dropout functions, in their order, act in training.
        guarded: Modules that draw in training mode only.
        unused: In words, what is drawn and cannot be made use of; "" if there is nothing.
    """

    functions: dict[str, tuple[bool, ...]]
    guarded: tuple[str, ...]
    unused: str

    @property
    def found(self) -> bool:
        """Whether there is something to draw."""
        return bool(self.functions or self.guarded)


def own_chance(model: nn.Module, run: Callable[[], Tensor]) -> OwnChance:
    """Look at what a model draws: a pass in evaluation mode, two in training mode, and one to check.

    Modes, buffers and random number generators are as before afterwards. Dropout layers are left out.

    Args:
        model: Any network.
        run: Runs it on the same inputs each time, and gives its prediction.
    """
    if any(hasattr(part, "_orig_mod") for part in model.modules()):
        return OwnChance({}, (), f"a compiled part hides it. {COMPILED}")
    with torch.no_grad(), evaluating(model), every_layer_called(), _chance_kept(model):
        still = _passed(model, run, set())
        try:
            parts = {
                name for name, part in model.named_modules() if not isinstance(part, _NormBase | _DropoutNd)
            }
            trained, again = _passed(model, run, parts), _passed(model, run, parts)
        except Exception as error:  # whatever somebody's network raises when it is trained without targets
            return OwnChance(
                {}, (), f"it does not run in training mode on inputs alone ({_first_line(error)})"
            )
        functions, guarded = {}, [name for name in trained.drew if name not in still.drew]
        for name, calls in trained.calls.items():
            if len(calls) != len(still.calls.get(name, [])):
                guarded.append(name)
            elif any(calls):
                functions[name] = tuple(calls)
        unused = ""
        if not _same(trained.prediction, again.prediction):
            unused = "it draws from a random number generator of its own"
        guarded = list(dict.fromkeys(guarded))
        if guarded:
            try:
                alone = _passed(model, run, set(guarded))
                silent = [name for name in guarded if name not in alone.drew and name not in alone.calls]
                if alone.prediction is None:
                    silent = guarded
            except Exception:
                silent = guarded
            if silent:
                unused = f"it draws in {_named(silent)} in training mode, and not where these alone are in it"
            guarded = [name for name in guarded if name not in silent]
    return OwnChance(functions, tuple(guarded), unused)


@contextmanager
def drawing(
    model: nn.Module, chance: OwnChance, generator: np.random.Generator, samples: int
) -> Iterator[Callable[[], None]]:
    """Inside, the model draws what it draws in training; everything else is as in evaluation mode.

    Args:
        model: In evaluation mode.
        chance: What `own_chance` found in it.
        generator: Of what is drawn.
        samples: In a batch; drawn once for all of them where they lie along a first dimension.

    Yields:
        To be called before each pass.
    """
    if not chance.found:
        yield lambda: None
        return
    with modes_kept(model), _chance_kept(model, int(generator.integers(2**31))), _Place(model) as place:
        for name in chance.guarded:
            model.get_submodule(name).training = True
        acting = _Functions(place, chance.functions)
        # fused attention and recurrent layers draw where nobody can reach
        with (
            sdpa_kernel(SDPBackend.MATH),
            torch.backends.cudnn.flags(enabled=False),
            _Draws(generator, samples),
            acting,
        ):
            yield acting.calls.clear


@contextmanager
def every_layer_called() -> Iterator[None]:
    """PyTorch's fused transformer layers, used in evaluation mode, would pass the layers within them by."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


class _Place:
    """Knows, while a model runs, which module is running: the innermost one. And who drew random numbers."""

    def __init__(self, model: nn.Module, *, watched: bool = False) -> None:
        self.model, self.watched = model, watched
        self.inside: list[str] = []
        self.drew: dict[str, None] = {}

    @property
    def name(self) -> str:
        return self.inside[-1] if self.inside else ""

    def __enter__(self) -> _Place:
        self.state = _state(self.model) if self.watched else None
        self.hooks = []
        for name, module in self.model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):  # takes no hooks: what it draws, its parent draws
                continue
            self.hooks.append(module.register_forward_pre_hook(self._entering(name), prepend=True))
            self.hooks.append(module.register_forward_hook(self._leaving, always_call=True))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._look()
            self.inside.append(name)

        return hook

    def _leaving(self, *_: Any) -> None:
        self._look()
        if self.inside:
            self.inside.pop()

    def _look(self) -> None:
        if self.watched and (state := _state(self.model)) != self.state:
            self.state = state
            self.drew[self.name] = None


class _Functions(TorchFunctionMode):
    """Dropout functions act where `acts` says so; without it they do nothing and are noted. Batch norm is as in
    evaluation mode, called as a function too."""

    def __init__(self, place: _Place, acts: dict[str, tuple[bool, ...]] | None) -> None:
        super().__init__()
        self.place, self.acts = place, acts
        self.calls: dict[str, list[bool]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _NORMS:
            args, kwargs = _with_running_statistics(func, args, kwargs)
        if func not in _DROPOUT:
            return func(*args, **kwargs)
        name = self.place.name
        if isinstance(self.place.model.get_submodule(name), _DropoutNd):
            return func(*args, **kwargs)
        word, rate, act = _DROPOUT[func]
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        rate = args[1] if len(args) > 1 else kwargs.get("p", rate)
        act = args[2] if len(args) > 2 else kwargs.get(word, act)
        calls = self.calls.setdefault(name, [])
        calls.append(bool(act) and float(rate or 0) > 0)
        if self.acts is None:
            return args[0]
        known = self.acts.get(name)
        if known is not None and len(calls) <= len(known):
            args = (*args[:1], rate, known[len(calls) - 1], *args[3:])
            kwargs = {key: value for key, value in kwargs.items() if key not in ("p", word)}
        return func(*args, **kwargs)


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Random numbers come from a generator, once for all samples along a first dimension."""

    def __init__(self, generator: np.random.Generator, samples: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator, self.samples = generator, samples

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._can_decompose():  # random ones within it are seen only so
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        name = func._schema.name.removeprefix("aten::")
        if name == "native_dropout" and args[2] is not False and 0 < args[1] < 1:
            kept = self._like(args[0], self._uniform) >= args[1]
            return args[0] * kept / (1 - args[1]), kept
        out = func(*args, **kwargs)
        if name in ("bernoulli", "bernoulli_"):
            chance = args[1] if len(args) > 1 else kwargs.get("p", args[0] if name == "bernoulli" else 0.5)
            out.copy_(self._like(out, self._uniform) < chance)
        elif name in ("rand", "rand_like", "uniform_"):
            low, high = (*args[1:3], *(0.0, 1.0)[len(args) - 1 :]) if name == "uniform_" else (0.0, 1.0)
            out.copy_(low + (high - low) * self._like(out, self._uniform))
        elif name == "exponential_":
            rate = args[1] if len(args) > 1 else kwargs.get("lambd", 1.0)
            out.copy_(self._like(out, self.generator.standard_exponential) / rate)
        elif name in ("randn", "randn_like", "normal_"):
            mean, spread = (*args[1:3], *(0.0, 1.0)[len(args) - 1 :]) if name == "normal_" else (0.0, 1.0)
            out.copy_(mean + spread * self._like(out, self.generator.standard_normal))
        return out

    def _uniform(self, size: tuple[int, ...]) -> Any:
        return self.generator.random(size)

    def _like(self, values: Tensor, draw: Callable[[tuple[int, ...]], Any]) -> Tensor:
        shape = tuple(values.shape)
        shared = bool(shape) and self.samples > 0 and shape[0] % self.samples == 0
        size = (shape[0] // self.samples, *shape[1:]) if shared else shape
        drawn = torch.from_numpy(np.asarray(draw(size))).to(torch.float32).to(values.device)
        return drawn.repeat(self.samples, *(1 for _ in shape[1:])) if shared else drawn


class _Passed(NamedTuple):
    prediction: Tensor | None  # None if it is not where it is in evaluation mode
    calls: dict[str, list[bool]]
    drew: dict[str, None]


def _passed(model: nn.Module, run: Callable[[], Tensor], training: set[str]) -> _Passed:
    """A pass with some modules in training mode, from the same random numbers each time."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    prediction = None
    try:
        with modes_kept(model), _chance_kept(model, 0), _Place(model, watched=True) as place:
            for name, module in model.named_modules():
                module.training = name in training
            with suppress(InputError), _Functions(place, None) as functions:
                prediction = run()
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
    return _Passed(prediction, functions.calls, place.drew)


@contextmanager
def _chance_kept(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """The global random number generators are as before afterwards; inside from a seed, if one is given."""
    devices = {value.device.index for value in model.parameters() if value.device.type == "cuda"}
    legacy, python = np.random.get_state(), random.getstate()  # noqa: NPY002  (a network may use them)
    try:
        with torch.random.fork_rng(devices=sorted(devices)):
            if seed is not None:
                torch.manual_seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
                random.seed(seed)
            yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(python)


def _state(model: nn.Module) -> tuple[Any, ...]:
    first = next((value.device for value in model.parameters() if value.device.type == "cuda"), None)
    there = b"" if first is None else torch.cuda.get_rng_state(first).numpy().tobytes()
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (
        torch.default_generator.get_state().numpy().tobytes(),
        there,
        np.asarray(keys).tobytes(),
        *rest,
        random.getstate(),
    )


def _with_running_statistics(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    place, word = _NORMS[func]
    running = args[place] if len(args) > place else kwargs.get("running_mean")
    if running is None:
        return args, kwargs
    if len(args) > 5:
        return (*args[:5], False, *args[6:]), kwargs
    return args, {**kwargs, word: False}


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.shape != other.shape:
        return one is other
    return torch.allclose(one.float(), other.float(), rtol=1e-3, atol=1e-4, equal_nan=True)


def _named(modules: list[str]) -> str:
    shown = [repr(name) if name else "the model itself" for name in modules[:5]]
    return ", ".join(shown) + (f" and {len(modules) - 5} more" if len(modules) > 5 else "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
