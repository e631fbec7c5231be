"""A trained generator as two files: `model.safetensors` and `config.json`. Nothing is pickled."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from equipoise.errors import DataError, InputError
from equipoise.files import read_json, read_tensors, write_json, write_tensors
from equipoise.latent import ModuleGenerator
from equipoise.nn.small_gan import SmallGenerator
from equipoise.nn.weights import check_kinds, misfit
from equipoise.train.gan import TrainedGenerator
from equipoise.train.saved_model import check_keys

__all__ = ["load_generator", "save_generator"]

FORMAT = "equipoise-generator-1"
ADVICE = "Give the folder of `equipoise train-generator`, or train again."


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
    path = folder / "config.json"
    config: Any = read_json(path, "config.json of a trained generator", ADVICE)
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise DataError(f"Expected a generator of version {FORMAT!r} in {folder}; got {found!r}. {ADVICE}")
    check_keys(config, {"settings": dict, "image_size": int, "channels": int}, path)
    check_keys(config["settings"], {"latent": int, "width": int}, path)
    tensors, _ = read_tensors(folder / "model.safetensors", "the weights of a trained generator", ADVICE)
    try:
        with torch.device("meta"):  # a size that is not that of the weights is noticed before it takes memory
            if wrong := misfit(_network(config), tensors):
                raise InputError(wrong)
        network = _network(config)
        check_kinds(network, tensors, folder / "model.safetensors")
        network.load_state_dict(tensors)
    except (InputError, RuntimeError, OverflowError) as error:
        raise DataError(
            f"Expected a trained generator in {folder}; got: {str(error).splitlines()[0]}. {ADVICE}"
        ) from error
    return ModuleGenerator(network.eval(), network.latent)


def _network(config: dict[str, Any]) -> SmallGenerator:
    settings = config["settings"]
    return SmallGenerator(
        settings["latent"],
        width=settings["width"],
        image_size=config["image_size"],
        channels=config["channels"],
    )
