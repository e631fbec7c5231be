"""Networks of timm: by name, with the preprocessing that their configuration says.

The configuration is `timm.data.resolve_model_data_config`'s: input size, interpolation, crop, mean, std.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import InputError, MissingExtraError
from equipoise.nn.hub import reaching_hub
from equipoise.nn.preprocessing import Preprocessing
from equipoise.nn.weights import PREFIXES, fill, read_weights
from equipoise.pictures.framing import Framing

__all__ = ["timm_network", "timm_preprocessing", "untrained_timm"]


def timm_network(
    name: str, *, weights: str | os.PathLike[str] | None = None, size: int | None = None
) -> tuple[nn.Module, Preprocessing, tuple[str, ...] | None]:
    """A network of timm, its preprocessing, and the names of its classes where its configuration has them.

    Args:
        name: As `timm.create_model` takes it: resnet18.a1_in1k, hf-hub:OWNER/NAME, local-dir:FOLDER.
        weights: A file in place of the pretrained ones; its last layer may have other classes, its first one other
            channels.
        size: Pixels a side where not those of the configuration.

    Raises:
        MissingExtraError: without timm.
        InputError: if there is no such network, or the weights are of another one.
        DataError: if files cannot be had or read.
    """
    timm = _timm()
    other: dict[str, int] = {}
    if weights is None:
        where = name.partition(":")[2] or f"timm/{name}"
        advice = (
            "A folder holds config.json and model.safetensors."
            if name.startswith("local-dir:")
            else (
                f"On a machine that reaches it, `hf download {where} --local-dir FOLDER`; bring the folder and write "
                "timm:local-dir:FOLDER, or give its file model.safetensors as `weights`."
            )
        )
        with reaching_hub(f"timm:{name}", advice):
            network = _created(timm, name, size, pretrained=True)
    else:
        tensors = read_weights(weights)
        network = _created(timm, name, size)
        other = _widths(network.pretrained_cfg, tensors)
        if other:
            network = _created(timm, name, size, **other)
        fill(network, tensors, weights)
    names = network.pretrained_cfg.get("label_names")
    described = timm_preprocessing(timm.data.resolve_model_data_config(network), name)
    channels = other.get("in_chans", described.channels)
    if channels != described.channels:  # a mean of other channels says nothing
        described = replace(described, channels=channels, mean=(), std=())
    return network, described, None if names is None or weights is not None else tuple(names)


def untrained_timm(name: str, size: int, channels: int) -> nn.Module:
    """The same network with weights of no training, for pictures of this size and so many channels.

    Raises:
        MissingExtraError: without timm.
        InputError: if there is no such network.
        DataError: if a folder or the hub must tell what it is, and cannot be reached.
    """
    timm = _timm()
    told = "Bring the folder that the model was trained from."
    channeled = {} if channels == 3 else {"in_chans": channels}
    with reaching_hub(f"timm:{name}", told), torch.random.fork_rng(devices=[]):
        network: nn.Module = _created(timm, name, size, **channeled)
    return network


def timm_preprocessing(config: Mapping[str, Any], name: str) -> Preprocessing:
    """What timm's configuration of a model says, as pixels are made here.

    Raises:
        InputError: if it asks for what is not done here.
    """
    channels, height, width = config["input_size"]
    scaled = math.floor(height / config["crop_pct"])
    interpolation, mode = config["interpolation"], config["crop_mode"]
    known = interpolation in ("bilinear", "bicubic", "lanczos", "nearest") and mode in ("center", "squash")
    if not known or height != width or (mode == "squash" and scaled != height):
        raise InputError(
            f"Expected a configuration of square pictures, cropped at the centre or squashed whole, in timm:{name}; "
            f"got {dict(config)}. Say what its pictures need with `size`, a Framing."
        )
    if mode == "squash":
        framing = Framing(height, "squash", interpolation=interpolation)
    else:
        framing = Framing(height, resize=scaled, interpolation=interpolation)
    return Preprocessing(framing, tuple(config["mean"]), tuple(config["std"]), channels)


def _created(timm: Any, name: str, size: int | None, **options: Any) -> Any:
    """A network; one whose weights depend on the size of its pictures is made for that size."""
    try:
        if size is not None:
            try:
                return timm.create_model(name, img_size=size, **options)
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
        return timm.create_model(name, **options)
    except (RuntimeError, ValueError, AssertionError, TypeError, KeyError) as error:
        told = "no " + str(error) if isinstance(error, KeyError) else str(error).strip().partition("\n")[0]
        near = timm.list_models(f"*{name.partition('.')[0]}*")[:5] if ":" not in name else []
        raise InputError(
            f"Expected a network that timm knows; timm:{name} gave: {told.rstrip('.'):.300}. "
            f"{'Similar: ' + ', '.join(near) + '.' if near else 'See timm.list_models().'}"
        ) from error


def _widths(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Classes and channels that weights are of, where they are not the configuration's."""
    found: dict[str, int] = {}
    for option, key, axis in (("num_classes", "classifier", 0), ("in_chans", "first_conv", 1)):
        layer = config.get(key)
        layers: Sequence[Any] = (layer,) if isinstance(layer, str) else tuple(layer or ())
        names = [f"{prefix}{one}.weight" for prefix in ("", *PREFIXES) for one in layers]
        shapes = [tensors[name].shape for name in names if name in tensors]
        usual = config.get("num_classes") if axis == 0 else (config.get("input_size") or (3,))[0]
        if shapes and len(shapes[0]) > axis and shapes[0][axis] != usual:
            found[option] = int(shapes[0][axis])
    return found


def _timm() -> Any:
    try:
        with _torchvision_or_none():
            return importlib.import_module("timm")
    except ImportError as error:
        raise MissingExtraError(
            f"Networks named timm:… need timm; got: {error}. Install it: pip install 'equipoise[timm]'."
        ) from error


@contextmanager
def _torchvision_or_none() -> Iterator[None]:
    """Inside, timm can be imported where torchvision is missing, or was built for another torch.

    Of torchvision timm uses transforms of pictures, data sets and one layer, none of which is used here. In their place
    stand names that refuse to be called; they go when the block ends.
    """
    loaded = "timm" in sys.modules
    try:
        if not loaded:
            importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        finder = _Absent()
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
    else:
        yield


class _Refusing(type):
    """A class whose attributes are their own names, and that cannot be called."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{cls.__name__}.{name}"

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise MissingExtraError(
            f"{cls.__name__} is torchvision's, which is missing here or does not fit torch. Install one that fits."
        )


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `torchvision` and all below it, with a class that refuses under every name."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        ours = name.partition(".")[0] == "torchvision"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if ours else None

    def exec_module(self, module: ModuleType) -> None:
        def absent(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _Refusing(name, (), {})

        module.__dict__["__getattr__"] = absent
