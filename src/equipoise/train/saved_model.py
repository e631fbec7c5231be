"""A trained model as two files: `model.safetensors` and `config.json`. Nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from equipoise.errors import DataError, InputError
from equipoise.files import read_text, regular, write_json, write_tensors
from equipoise.nn import Objective
from equipoise.train.fit import METHODS, Fit, build
from equipoise.train.given import prepared
from equipoise.train.recipe import Recipe

__all__ = ["SavedModel", "load_model", "save_model"]

FORMAT = "equipoise-model-1"


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
    try:
        config = json.loads(read_text(folder / "config.json"))
        found = config.get("format") if isinstance(config, dict) else None
        if found != FORMAT:
            raise DataError(
                f"Expected a model of version {FORMAT!r} in {folder}; got {found!r}. "
                "Read it with the version of equipoise that wrote it, or train again."
            )
        tensors = load_file(regular(folder / "model.safetensors"))
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected config.json and model.safetensors of a trained model in {folder}; got: {error}. "
            "Give the folder of a finished run or of one of its models."
        ) from error
    if config["method"] not in METHODS:
        raise DataError(
            f"Expected a method among {', '.join(METHODS)} in {folder}; got {config['method']!r}."
        )
    chosen = Recipe.from_dict(config["recipe"])
    size, channels = config["image_size"], config["channels"]
    if bool(config.get("given")) != (model is not None):
        raise InputError(
            f"Expected {'no model' if model is not None else 'the model'}: the one in {folder} was "
            f"{'built by equipoise' if model is not None else 'given to fit(model=...)'}; got "
            f"{type(model).__name__ if model is not None else 'none'}. "
            f"{'Leave `model` out.' if model is not None else 'Pass the same model as `model`.'}"
        )
    if model is None:
        network = build(chosen, config["method"], size, channels, encoder=encoder)
    else:
        network = prepared(model, torch.zeros(2, size, size, channels, dtype=torch.uint8), seed=0)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"The weights in {folder} do not fit the network: {str(error).splitlines()[0]} "
            "If it was trained with an encoder or a model of your own, pass the same one as `encoder` or `model`."
        ) from error
    return SavedModel(network.eval(), config)
