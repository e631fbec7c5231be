"""A trained model as two files: `model.safetensors` and `config.json`. Nothing is pickled."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from equipoise.errors import DataError, InputError
from equipoise.failures import refused
from equipoise.files import read_json, read_tensors, write_json, write_tensors
from equipoise.nn import BackboneClassifier, Objective, Preprocessing, architecture_digest
from equipoise.nn.rebuilt import described, needs_network, rebuilt
from equipoise.nn.weights import check_kinds, fill, misfit
from equipoise.pictures.decode import MAX_PIXELS
from equipoise.pictures.framing import Framing
from equipoise.train.build import build
from equipoise.train.classes import outputs_of, vae_ids
from equipoise.train.fit import METHODS, Fit
from equipoise.train.given import prepared
from equipoise.train.preprocessing import known_framing, preprocessing
from equipoise.train.recipe import Recipe

__all__ = [
    "SavedModel",
    "check_keys",
    "has_encoder",
    "load_model",
    "read_config",
    "save_model",
]


FORMAT = "equipoise-model-1"
FIXED = "fixed"  # a network of the user's own with another last layer
ADVICE = "Give the folder of a finished run or of one of its models."
MOST_PIXELS = math.isqrt(MAX_PIXELS)
MOST_CLASSES = 100_000
NEW = (
    "classes",
    "outputs",
    "threshold",
    "preprocessing",
)  # what versions that knew two classes did not write


class SavedModel:
    """What `load_model` gives back.

    Args:
        model: In evaluation mode on the CPU.
        config: Format, method, recipe, image_size, channels, seed, versions, whether the model was given to `fit`,
            what its encoder was if the user brought one, the names of its `classes` by id, its `outputs`, the
            `threshold` from which one logit's probability means the positive class, and the `preprocessing` of its
            pictures.
    """

    def __init__(self, model: Any, config: dict[str, Any]) -> None:
        self.model, self.config = model, config


def save_model(
    fitted: Fit, folder: Path | str, *, image_size: int, channels: int, framing: Framing | None = None
) -> None:
    """Write a model into a folder, atomically, the weights first.

    Of a model that was given to `fit`, only what its `state_dict` holds is written, not its architecture.

    Args:
        fitted: The model.
        folder: Where to.
        image_size: Pixels a side of its images.
        channels: Of its images.
        framing: How they became squares; None is the usual framing.

    Raises:
        DataError: if the folder cannot be written.
    """
    folder, brought = Path(folder), None
    network: nn.Module = fitted.model
    if isinstance(network, BackboneClassifier):
        brought, network = described(network.backbone), network.backbone.network
    write_tensors(folder / "model.safetensors", network.state_dict())
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
        **({} if brought is None else {"backbone": brought}),
        **_meaning(fitted.class_names, framing or Framing(image_size), channels, brought),
    }
    write_json(folder / "config.json", config)


def _meaning(
    class_names: Sequence[str], framing: Framing, channels: int, brought: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What goes into a model and what comes out of it, in words that another program can follow."""
    outputs = outputs_of(class_names)
    return {
        "classes": list(class_names),
        "outputs": outputs,
        "threshold": 0.5
        if outputs == 1
        else None,  # of the probability; of more classes the largest logit wins
        "preprocessing": preprocessing(
            framing, channels, *((brought or {}).get(key) or () for key in ("mean", "std"))
        ),
    }


def load_model(
    folder: Path | str, *, encoder: nn.Module | None = None, model: Objective | None = None
) -> SavedModel:
    """Read a model that `save_model` wrote.

    Args:
        folder: Holds `model.safetensors` and `config.json`.
        encoder: The network that was trained in place of the standard CNN, if one was, or the backbone that was
            brought, if it was no network of a library or a file; copied, not changed.
        model: The model that was given to `fit`, if one was; copied, not changed.

    Raises:
        DataError: if a file is missing, broken or of another version.
        InputError: if the weights do not fit, or `encoder` or `model` is missing, of another architecture or not
            wanted.
    """
    folder = Path(folder)
    config = read_config(folder)
    tensors, _ = read_tensors(folder / "model.safetensors", "the weights of a trained model", ADVICE)
    _check_given(folder, config, model)
    if "backbone" in config:
        return _of_backbone(folder, config, tensors, encoder)
    _check_encoder(folder, config, encoder)
    size, channels, chosen = config["image_size"], config["channels"], Recipe.from_dict(config["recipe"])
    names = config["classes"]
    if model is not None:
        two = torch.zeros(2, size, size, channels, dtype=torch.uint8)
        network = prepared(model, two, seed=0, classes=len(names))
    else:
        if encoder is None:  # a size that is not that of the weights is noticed before it takes memory
            try:
                with torch.device("meta"):
                    sizes = build(chosen, config["method"], size, channels, class_names=names)
            except (InputError, RuntimeError, OverflowError) as error:
                told = str(error).splitlines()[0]
                raise DataError(f"Expected sizes of a network in {folder / 'config.json'}; {told}") from error
            if wrong := misfit(sizes, tensors):
                raise _misfit(folder, wrong)
        network = build(chosen, config["method"], size, channels, encoder=encoder, class_names=names)
    check_kinds(network, tensors, folder / "model.safetensors")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        if refused(error):
            raise
        raise _misfit(folder, misfit(network, tensors) or str(error)) from error
    return SavedModel(network.eval(), config)


def _of_backbone(
    folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor], given: nn.Module | None
) -> SavedModel:
    """A model whose network is not of equipoise: rebuilt by its name, or the user's own again."""
    words, names, file = config["backbone"], config["classes"], folder / "model.safetensors"
    framing = known_framing(config["preprocessing"], config["image_size"])
    mean, std = (tuple(words.get(key) or ()) for key in ("mean", "std"))
    came = Preprocessing(framing, mean, std, config["channels"])
    found = rebuilt(words, came, config["outputs"], names, given)
    fill(found.network, tensors, file)
    return SavedModel(BackboneClassifier(found).eval(), config)


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What `config.json` says of a model; every key that is needed stands there and is of its kind.

    Raises:
        DataError: if it is missing, broken or of another version.
    """
    path = Path(folder) / "config.json"
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
    if config["method"] not in (*METHODS, FIXED):
        raise DataError(
            f"Expected a method among {', '.join(METHODS)} in {path}; got {config['method']!r}. {ADVICE}"
        )
    if not (1 <= config["image_size"] <= MOST_PIXELS and config["channels"] in (1, 3, 4)):
        raise DataError(
            f"Expected images of 1…{MOST_PIXELS} pixels a side and 1, 3 or 4 channels in {path}; got "
            f"{config['image_size']} and {config['channels']}. The file is damaged: train again."
        )
    if "backbone" in config and not isinstance(config["backbone"], dict):
        raise DataError(f"Expected what the backbone was in {path}; got {config['backbone']!r:.60}. {ADVICE}")
    noted = config.get("encoder")
    if noted is not None and (not isinstance(noted, dict) or not {"named", "architecture"} <= noted.keys()):
        raise DataError(f"Expected what the encoder was in {path}; got {noted!r:.60}. {ADVICE}")
    try:
        chosen = Recipe.from_dict(config["recipe"])
    except (TypeError, AttributeError, InputError) as error:
        raise DataError(f"Expected the recipe of a trained model in {path}. {error}") from error
    found_config: dict[str, Any] = _with_classes(config, path)
    try:
        vae_ids(chosen, found_config["classes"])
    except InputError as error:
        raise DataError(f"Expected classes that the recipe in {path} names. {error}") from error
    return found_config


def _with_classes(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same with what earlier versions did not write, which knew positives and negatives.

    Raises:
        DataError: if classes, outputs, threshold or preprocessing are not as this version writes and does them.
    """
    size, channels = config["image_size"], config["channels"]
    if not any(key in config for key in NEW):
        return {**config, **_meaning(("negative", "positive"), Framing(size), channels)}
    names = config.get("classes")
    if (
        not isinstance(names, list)
        or not 2 <= len(names) <= MOST_CLASSES
        or not all(isinstance(n, str) for n in names)
    ):
        raise DataError(
            f"Expected 'classes' as a list of two or more names in {path}; got {names!r:.60}. {ADVICE}"
        )
    framing = known_framing(config.get("preprocessing"), size)
    for key, wanted in _meaning(names, framing, channels, config.get("backbone")).items():
        if config.get(key) != wanted:
            raise DataError(
                f"Expected {key!r} as {wanted!r} in {path}, which is all that this version does; got "
                f"{config.get(key)!r:.200}. Read the model with the version of equipoise that wrote it."
            )
    return config


def has_encoder(folder: str | os.PathLike[str]) -> bool:
    """Whether the model in a folder was trained with an encoder of the user's own.

    Raises:
        DataError: if there is no model.
    """
    config = read_config(folder)
    if "backbone" in config:
        return needs_network(config["backbone"])
    if "encoder" in config or config.get("given"):
        return config.get("encoder") is not None
    # An earlier version did not note it: other weights than those of the standard CNN are an encoder's.
    tensors, _ = read_tensors(Path(folder) / "model.safetensors", "the weights of a trained model", ADVICE)
    shape = config["image_size"], config["channels"]
    with torch.device("meta"):
        chosen, names = Recipe.from_dict(config["recipe"]), config["classes"]
        standard = build(chosen, config["method"], *shape, class_names=names)
    return bool(tensors.keys() != standard.state_dict().keys())


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
            "To read it, pass the same one as `encoder`, for example package.module:callable."
        )
    if noted["architecture"] != architecture_digest(encoder):
        raise InputError(
            f"Expected the encoder that the model in {folder} was trained with, {noted['named']} of architecture "
            f"{noted['architecture'][:8]}; got {type(encoder).__name__} of architecture "
            f"{architecture_digest(encoder)[:8]}. To read it, pass the same one as `encoder`, for "
            "example package.module:callable."
        )


def _misfit(folder: Path, wrong: str) -> InputError:
    return InputError(
        f"The weights in {folder} do not fit the network: {wrong.rstrip('.')}. "
        "If it was trained with an encoder or a model of your own, pass the same one as `encoder` "
        "or `model`."
    )


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
