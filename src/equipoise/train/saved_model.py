"""A trained model as two files: `model.safetensors` and `config.json`. Nothing is pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from equipoise.errors import DataError, InputError
from equipoise.failures import refused
from equipoise.files import write_json, write_tensors
from equipoise.nn import Objective, architecture_digest
from equipoise.train.fit import METHODS, Fit, build
from equipoise.train.given import prepared
from equipoise.train.recipe import Recipe

__all__ = ["SavedModel", "has_encoder", "load_model", "read_config", "save_model"]

FORMAT = "equipoise-model-1"


class SavedModel:
    """What `load_model` gives back.

    Args:
        model: In evaluation mode on the CPU.
        config: Format, method, recipe, image_size, channels, seed, versions, whether the model was given to `fit`, and
            what its encoder was if the user brought one.
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
        "encoder": None if fitted.encoder is None else fitted.encoder._asdict(),
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
        encoder: The network that was trained in place of the standard CNN, if one was; copied, not changed.
        model: The model that was given to `fit`, if one was; copied, not changed.

    Raises:
        DataError: if a file is missing, broken or of another version.
        InputError: if the weights do not fit, or `encoder` or `model` is missing, of another architecture or not
            wanted.
    """
    folder = Path(folder)
    config = read_config(folder)
    try:
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        if refused(error):
            raise
        raise _no_model(folder, error) from error
    _check_given(folder, config, model)
    _check_encoder(folder, config, encoder)
    size, channels = config["image_size"], config["channels"]
    if model is None:
        network = build(Recipe.from_dict(config["recipe"]), config["method"], size, channels, encoder=encoder)
    else:
        network = prepared(model, torch.zeros(2, size, size, channels, dtype=torch.uint8), seed=0)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        if refused(error):
            raise
        raise InputError(
            f"The weights in {folder} do not fit the network: {_unlike(tensors, network.state_dict())}. "
            "If it was trained with an encoder or a model of your own, pass the same one as `encoder` (--encoder) or "
            "`model`."
        ) from error
    return SavedModel(network.eval(), config)


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What `config.json` says of a model, every key looked at.

    Raises:
        DataError: if it is missing, broken or of another version.
    """
    folder = Path(folder)
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _no_model(folder, error) from error
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise DataError(
            f"Expected a model of version {FORMAT!r} in {folder}; got {found!r}. "
            "Read it with the version of equipoise that wrote it, or train again."
        )
    kinds = {"method": str, "recipe": dict, "image_size": int, "channels": int}
    for key, kind in kinds.items():
        if not isinstance(config.get(key), kind) or isinstance(config[key], bool):
            raise _no_model(
                folder,
                f"{key} {config[key]!r} in config.json" if key in config else f"no {key} in config.json",
            )
    if config["method"] not in METHODS:
        raise DataError(
            f"Expected a method among {', '.join(METHODS)} in {folder}; got {config['method']!r}."
        )
    noted = config.get("encoder")
    if noted is not None and (not isinstance(noted, dict) or not {"named", "architecture"} <= noted.keys()):
        raise _no_model(folder, f"encoder {noted!r} in config.json")
    try:
        Recipe.from_dict(config["recipe"])
    except (TypeError, AttributeError, InputError) as error:
        raise _no_model(folder, error) from error
    found_config: dict[str, Any] = config
    return found_config


def has_encoder(folder: str | os.PathLike[str]) -> bool:
    """Whether the model in a folder was trained with an encoder of the user's own.

    Raises:
        DataError: if there is no model.
    """
    config = read_config(folder)
    if "encoder" in config or config.get("given"):
        return config.get("encoder") is not None
    try:  # an earlier version did not note it: other weights than those of the standard CNN are an encoder's
        with safe_open(Path(folder) / "model.safetensors", framework="pt") as file:
            names = set(file.keys())
    except (OSError, SafetensorError) as error:
        raise _no_model(Path(folder), error) from error
    shape = config["image_size"], config["channels"]
    return names != set(build(Recipe.from_dict(config["recipe"]), config["method"], *shape).state_dict())


def _no_model(folder: Path, got: object) -> DataError:
    return DataError(
        f"Expected config.json and model.safetensors of a trained model in {folder}; got: {got}. "
        "Give the folder of a finished run or of one of its models."
    )


def _check_given(folder: Path, config: Mapping[str, Any], model: Objective | None) -> None:
    if bool(config.get("given")) != (model is not None):
        raise InputError(
            f"Expected {'no model' if model is not None else 'the model'}: the one in {folder} was "
            f"{'built by equipoise' if model is not None else 'given to fit(model=...)'}; got "
            f"{type(model).__name__ if model is not None else 'none'}. "
            f"{'Leave `model` out.' if model is not None else 'Pass the same model as `model`.'}"
        )


def _check_encoder(folder: Path, config: Mapping[str, Any], encoder: nn.Module | None) -> None:
    """Where the folder says what its encoder was: whether this is one of that architecture."""
    if "encoder" not in config:
        return  # an earlier version wrote it: the weights tell
    noted = config["encoder"]
    if noted is None and encoder is not None:
        raise InputError(
            f"Expected no encoder: the model in {folder} was built by equipoise; got {type(encoder).__name__}. "
            "Leave the encoder out."
        )
    if noted is None:
        return
    if encoder is None:
        raise InputError(
            f"Expected the encoder that the model in {folder} was trained with, {noted['named']}; got none. "
            "To read it, pass the same one as `encoder` (--encoder package.module:callable)."
        )
    if noted["architecture"] != architecture_digest(encoder):
        raise InputError(
            f"Expected the encoder that the model in {folder} was trained with, {noted['named']} of architecture "
            f"{noted['architecture'][:8]}; got {type(encoder).__name__} of architecture "
            f"{architecture_digest(encoder)[:8]}. To read it, pass the same one as `encoder` (--encoder "
            "package.module:callable)."
        )


def _unlike(there: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> str:
    """What the file holds and what the network has, where they differ."""
    shapes = [{name: tuple(value.shape) for name, value in tensors.items()} for tensors in (there, here)]
    names = [name for name in {**shapes[0], **shapes[1]} if shapes[0].get(name) != shapes[1].get(name)]
    told = [
        f"{name} is {shapes[0].get(name, 'missing')} in the file, {shapes[1].get(name, 'missing')} in the network"
        for name in names[:3]
    ]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "; ".join(told) + more if told else "types differ"
