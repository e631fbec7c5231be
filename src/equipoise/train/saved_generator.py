"""A trained generator as two files: `model.safetensors` and `config.json`. Nothing is pickled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from equipoise.errors import DataError
from equipoise.files import read_text, regular, write_json, write_tensors
from equipoise.latent import ModuleGenerator
from equipoise.nn.small_gan import SmallGenerator
from equipoise.train.gan import TrainedGenerator

__all__ = ["load_generator", "save_generator"]

FORMAT = "equipoise-generator-1"


def save_generator(trained: TrainedGenerator, folder: Path | str) -> None:
    """Write a generator into a folder, atomically, the weights first.

    Raises:
        DataError: if the folder cannot be written.
    """
    folder, network = Path(folder), trained.network
    write_tensors(folder / "model.safetensors", network.state_dict())
    config = {
        "format": FORMAT,
        "image_size": network.image_size,
        "channels": network.channels,
        "settings": asdict(trained.settings),
        "seed": trained.seed,
        "steps": trained.steps,
        "scores": {name: values[-1] for name, values in trained.scores.items()},
        "torch": torch.__version__,
    }
    write_json(folder / "config.json", config)


def load_generator(folder: Path | str) -> ModuleGenerator:
    """Read a generator that `save_generator` wrote: its `module` is the network, on the CPU.

    Raises:
        DataError: if a file is missing, broken or of another version.
    """
    folder = Path(folder)
    try:
        config: Any = json.loads(read_text(folder / "config.json"))
        found = config.get("format") if isinstance(config, dict) else None
        if found != FORMAT:
            raise DataError(
                f"Expected a generator of version {FORMAT!r} in {folder}; got {found!r}. "
                "Give the folder of `equipoise train-generator`, or train again."
            )
        tensors = load_file(regular(folder / "model.safetensors"))
        network = SmallGenerator(
            config["settings"]["latent"],
            width=config["settings"]["width"],
            image_size=config["image_size"],
            channels=config["channels"],
        )
        network.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected config.json and model.safetensors of a trained generator in {folder}; got: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}. Give the folder of `equipoise train-generator`."
        ) from error
    return ModuleGenerator(network.eval(), network.latent)
