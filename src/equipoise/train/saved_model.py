"""A trained model as two files: `model.safetensors` and `config.json`. Nothing is pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from equipoise.errors import DataError, InputError
from equipoise.files import read_json, read_tensors, write_json, write_tensors
from equipoise.nn import Objective
from equipoise.train.fit import METHODS, Fit, build
from equipoise.train.given import prepared
from equipoise.train.recipe import Recipe

__all__ = ["SavedModel", "check_keys", "check_kinds", "load_model", "misfit", "save_model"]

FORMAT = "equipoise-model-1"
ADVICE = "Give the folder of a finished run or of one of its models."
MOST_PIXELS = 4096


class SavedModel:
    """What `load_model` gives back.

    Args:
        model: In evaluation mode on the CPU.
        config: Format, method, recipe, image_size, channels, seed, versions, whether the model was given to `fit`.
    """

    def __init__(self, model: Any, config: dict[str, Any]) -> None:
        self.model, self.config = model, config


def save_model(fitted: Fit, folder: Path | str, *, image_size: int, channels: int) -> None:
    """Write a model into a folder, atomically, the weights first.

    Of a model that was given to `fit`, only what its `state_dict` holds is written, not its architecture.

    Raises:
        DataError: if the folder cannot be written.
    """
    folder = Path(folder)
    write_tensors(folder / "model.safetensors", fitted.model.state_dict())
    config = {
        "format": FORMAT,
        "method": fitted.method,
        "recipe": fitted.recipe.to_dict(),
        "seed": fitted.seed,
        "given": fitted.given,
        "image_size": image_size,
        "channels": channels,
        "torch": torch.__version__,
    }
    write_json(folder / "config.json", config)


def load_model(
    folder: Path | str, *, encoder: nn.Module | None = None, model: Objective | None = None
) -> SavedModel:
    """Read a model that `save_model` wrote.

    Args:
        folder: Holds `model.safetensors` and `config.json`.
        encoder: The network that was trained in place of the standard CNN, if one was.
        model: The model that was given to `fit`, if one was; copied, not changed.

    Raises:
        DataError: if a file is missing, broken or of another version.
        InputError: if the weights do not fit, for example because `encoder` is missing.
    """
    folder = Path(folder)
    config, chosen = _config(folder / "config.json")
    tensors, _ = read_tensors(folder / "model.safetensors", "the weights of a trained model", ADVICE)
    size, channels = config["image_size"], config["channels"]
    if config["given"] != (model is not None):
        raise InputError(
            f"Expected {'no model' if model is not None else 'the model'}: the one in {folder} was "
            f"{'built by equipoise' if model is not None else 'given to fit(model=...)'}; got "
            f"{type(model).__name__ if model is not None else 'none'}. "
            f"{'Leave `model` out.' if model is not None else 'Pass the same model as `model`.'}"
        )
    if model is not None:
        network = prepared(model, torch.zeros(2, size, size, channels, dtype=torch.uint8), seed=0)
    else:
        if encoder is None:  # a size that is not that of the weights is noticed before it takes memory
            try:
                with torch.device("meta"):
                    sizes = build(chosen, config["method"], size, channels)
            except (InputError, RuntimeError, OverflowError) as error:
                told = str(error).splitlines()[0]
                raise DataError(f"Expected sizes of a network in {folder / 'config.json'}; {told}") from error
            if wrong := misfit(sizes, tensors):
                raise _misfit(folder, wrong)
        network = build(chosen, config["method"], size, channels, encoder=encoder)
    check_kinds(network, tensors, folder / "model.safetensors")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise _misfit(folder, " ".join(lines[1:2] or lines)) from error
    return SavedModel(network.eval(), config)


def _misfit(folder: Path, wrong: str) -> InputError:
    return InputError(
        f"The weights in {folder} do not fit the network: {wrong.rstrip('.')}. "
        "If it was trained with an encoder or a model of your own, pass the same one as `encoder` or `model`."
    )


def misfit(network: nn.Module, tensors: dict[str, torch.Tensor]) -> str:
    """How tensors differ from those of a network, in names and shapes; "" if they fit."""
    mine = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in tensors.items()}
    if set(mine) != set(theirs):
        missing, unknown = sorted(set(mine) - set(theirs)), sorted(set(theirs) - set(mine))
        parts = (("missing", missing), ("unknown", unknown))
        return ", ".join(f"{len(names)} {what} ({names[0]!r:.60}, …)" for what, names in parts if names)
    wrong = next((name for name in mine if mine[name] != theirs[name]), None)
    return "" if wrong is None else f"{wrong!r} has shape {theirs[wrong]}, not {mine[wrong]}"


def check_kinds(network: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Whether tensors are of the kind of those that they fill: weights are finite and no whole numbers, variances not
    negative. Buffers may be anything else: masks are often infinite.

    Raises:
        DataError: if they are not.
    """
    weights = dict(network.named_parameters())
    for name, mine in network.state_dict().items():
        theirs = tensors.get(name)
        if theirs is None:
            continue
        if name in weights and theirs.is_floating_point() and not bool(torch.isfinite(theirs).all()):
            raise DataError(
                f"Expected finite numbers as {name!r} in {path}; got NaN or infinity. The file is damaged, or training "
                "went wrong: train again."
            )
        negative = name.endswith("running_var") and bool((theirs < 0).any())
        if theirs.is_floating_point() != mine.is_floating_point() or theirs.is_complex() or negative:
            got = "negative variances" if negative else f"{theirs.dtype}"
            raise DataError(
                f"Expected {mine.dtype} as {name!r} in {path}; got {got}. The file is damaged: train again."
            )


def _config(path: Path) -> tuple[dict[str, Any], Recipe]:
    """What config.json says, with the recipe; every key that is needed stands there and is of its kind.

    Raises:
        DataError: if it does not.
    """
    config = read_json(path, "config.json of a trained model", ADVICE)
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise DataError(
            f"Expected a model of version {FORMAT!r} in {path.parent}; got {found!r}. "
            "Read it with the version of equipoise that wrote it, or train again."
        )
    config = {"given": False, **config}  # what older versions did not write
    check_keys(
        config, {"method": str, "recipe": dict, "image_size": int, "channels": int, "given": bool}, path
    )
    if config["method"] not in METHODS:
        raise DataError(
            f"Expected a method among {', '.join(METHODS)} in {path}; got {config['method']!r}. {ADVICE}"
        )
    if not (1 <= config["image_size"] <= MOST_PIXELS and config["channels"] in (1, 3)):
        raise DataError(
            f"Expected images of 1…{MOST_PIXELS} pixels a side and 1 or 3 channels in {path}; got "
            f"{config['image_size']} and {config['channels']}. The file is damaged: train again."
        )
    try:
        return config, Recipe.from_dict(config["recipe"])
    except InputError as error:
        raise DataError(f"Expected the recipe of a trained model in {path}. {error}") from error


def check_keys(config: dict[str, Any], kinds: dict[str, type], path: Path) -> None:
    """Whether a mapping has these keys, with values of these types.

    Raises:
        DataError: if one is missing, or of another type.
    """
    for key, kind in kinds.items():
        value = config.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            got = f"{value!r:.60}" if key in config else "no such key"
            raise DataError(
                f"Expected {key!r} as {_KINDS[kind]} in {path}; got {got}. The file is damaged: train again."
            )


_KINDS = {str: "text", dict: "an object", int: "a whole number", bool: "true or false"}
