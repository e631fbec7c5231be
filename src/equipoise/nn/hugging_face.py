"""Networks of transformers: a folder or a name of the hub, with the preprocessing of their own image processor."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.failures import refused
from equipoise.nn.hub import reaching_hub
from equipoise.nn.preprocessing import Preprocessing
from equipoise.nn.weights import fill, read_weights
from equipoise.pictures.framing import Framing, Interpolation

__all__ = [
    "HuggingFace",
    "hugging_face",
    "processor_preprocessing",
    "untrained_hugging_face",
    "written_processor",
]

FILTERS: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's
STEPS = {"do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb"}  # that are understood
ROUNDING = 1e-4  # of normalised values


class HuggingFace(nn.Module):
    """A model of transformers as a function of pictures alone: its logits, or its features where it has none.

    Features of a model without a last layer are its image embedding (CLIP and its like), else its pooled output, else
    the mean of what its last layer says of all places.

    Args:
        model: The model.
        kind: "logits", "image_features", "pooler_output" or "last_hidden_state".
    """

    def __init__(self, model: nn.Module, kind: str) -> None:
        super().__init__()
        self.model, self.kind = model, kind

    def forward(self, images: Any) -> Any:
        """Of pictures (batch, channels, height, width) as the processor gives them."""
        if self.kind == "image_features":
            found = self.model.get_image_features(pixel_values=images)  # type: ignore[operator]
            return getattr(found, "pooler_output", found)
        return getattr(self.model(pixel_values=images), self.kind)


def hugging_face(
    name: str, *, weights: str | os.PathLike[str] | None = None
) -> tuple[HuggingFace, Preprocessing, tuple[str, ...] | None]:
    """A network of transformers, its preprocessing, and the names of its classes where its configuration has them.

    Code that lies beside weights is not run.

    Args:
        name: A folder, or a name on the hub.
        weights: A file in place of its own.

    Raises:
        MissingExtraError: without transformers.
        InputError: if the model is not one of pictures, weights are missing or of another one, or its processor does
            what is not done here.
        DataError: if files cannot be had or read.
    """
    library = _transformers()
    advice = "A folder holds config.json, preprocessor_config.json and model.safetensors."
    if not os.path.isdir(name):
        advice = (
            f"On a machine that reaches it, `hf download {name} --local-dir FOLDER`; bring the folder and write "
            f"hf:FOLDER. {advice}"
        )
    with reaching_hub(f"hf:{name}", advice), without_bars(library):
        config = library.AutoConfig.from_pretrained(name)
        architectures = config.architectures or []
        heads = any(str(one).endswith("ForImageClassification") for one in architectures)
        auto = library.AutoModelForImageClassification if heads else library.AutoModel
        processor = _processor(library, name)
        if weights is None:
            model, told = auto.from_pretrained(name, output_loading_info=True, dtype="float32")
            missing = {*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])}
        else:
            model, missing = auto.from_config(config), set()
            fill(model, read_weights(weights), weights)
    for part in model.modules():
        if hasattr(part, "name_or_path"):
            part.name_or_path = ""  # where it lay does not tell it from another
    unpooled = bool(missing) and all("pooler" in key for key in missing) and not heads
    if missing and not unpooled:
        raise InputError(
            f"Expected all weights of {type(model).__name__} in hf:{name}; {len(missing)} are missing, such as "
            f"{min(missing)}. Give the folder of a trained model."
        )
    network = HuggingFace(model, "logits" if heads else _kind(model, unpooled))
    return (
        network,
        processor_preprocessing(processor, f"hf:{name}"),
        _class_names(config) if heads else None,
    )


def untrained_hugging_face(config: Mapping[str, Any], kind: str, name: str) -> HuggingFace:
    """A network of transformers by its configuration alone, with weights of no training.

    Args:
        config: As its `to_dict` gives it.
        kind: See `HuggingFace`.
        name: What people read.

    Raises:
        MissingExtraError: without transformers.
        DataError: if it is no configuration of a network of pictures.
    """
    library = _transformers()
    values = {key: value for key, value in config.items() if key not in ("model_type", "auto_map")}
    auto = library.AutoModelForImageClassification if kind == "logits" else library.AutoModel
    try:
        with without_bars(library), torch.random.fork_rng(devices=[]):
            made = library.AutoConfig.for_model(str(config["model_type"]), **values)
            return HuggingFace(auto.from_config(made), kind).eval()
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        if refused(error):
            raise
        told = str(error).strip().partition("\n")[0]
        raise DataError(
            f"Expected the configuration of a network of pictures, {name}; got: {told:.300}."
        ) from error


def written_processor(name: str, folder: str | os.PathLike[str]) -> None:
    """Write the image processor of a network beside weights.

    Raises: as `hugging_face` does.
    """
    library = _transformers()
    with reaching_hub(f"hf:{name}", "A folder holds preprocessor_config.json."), without_bars(library):
        _processor(library, name).save_pretrained(folder)


def _processor(library: Any, name: str) -> Any:
    try:
        return library.AutoImageProcessor.from_pretrained(name)
    except (ImportError, RuntimeError) as error:
        if refused(error):
            raise
        told = str(error).strip().partition("\n")[0]
        raise MissingExtraError(
            f"The image processor of hf:{name} cannot be loaded: {told:.300}. It may need a torchvision, one that fits "
            "torch, or none at all."
        ) from error


def processor_preprocessing(processor: Any, name: str) -> Preprocessing:
    """What an image processor does, as pixels are made here: sizes from its settings, numbers from what it makes.

    Mean and standard deviation are read from what it makes of black, grey and white pictures, whatever it calls the
    steps on the way.

    Raises:
        InputError: if it does what is not done here.
    """
    steps = {key for key, value in vars(processor).items() if key.startswith("do_") and value}
    framing = None if steps - STEPS else _framing(processor, steps)
    if framing is None:
        raise InputError(
            f"Expected an image processor that resizes to a square, or resizes the shorter side and crops; "
            f"{type(processor).__name__} of {name} has {_told(processor)}. Say what its pictures need with `size`, a "
            "Framing, and `mean` and `std`."
        )
    shades = [Image.new("RGB", (3 * framing.size, 2 * framing.size), (s, s, s)) for s in (0, 51, 255)]
    made = [np.asarray(processor(shade, return_tensors="np")["pixel_values"])[0] for shade in shades]
    black, grey, white = (values.reshape(len(values), -1).mean(1) for values in made)
    flat = all(np.ptp(values.reshape(len(values), -1), axis=1).max() < ROUNDING for values in made)
    linear = np.abs(black + 0.2 * (white - black) - grey).max() < ROUNDING * max(1.0, np.abs(white).max())
    size = framing.size
    if made[0].shape[1:] != (size, size) or not flat or not linear or not (white > black).all():
        raise InputError(
            f"Expected (pixels − mean) / std of {size}×{size} pixels from the image processor of {name}; it made shape "
            f"{made[0].shape}, {black} of black and {white} of white. Say what its pictures need with `size`, `mean` "
            "and `std`."
        )
    std = 1 / (white - black).astype(np.float64)
    mean = -black * std
    return Preprocessing(
        framing, tuple(round(float(m), 7) for m in mean), tuple(round(float(s), 7) for s in std), len(mean)
    )


def _framing(processor: Any, steps: set[str]) -> Framing | None:
    """Sizes, in the words that processors use for them."""
    size, crop = (_plain(getattr(processor, key, None)) for key in ("size", "crop_size"))
    filter_ = FILTERS.get(int(getattr(processor, "resample", 2) or 0))
    cropped = _square(crop) if "do_center_crop" in steps else None
    if filter_ is None or "do_resize" not in steps or not size or ("do_center_crop" in steps and not cropped):
        return None
    short, square, share = size.get("shortest_edge"), _square(size), getattr(processor, "crop_pct", None)
    if short and share:  # ConvNeXt's: small pictures are cropped, large ones squashed
        short = int(short)
        if short >= 384:
            return Framing(short, "squash", interpolation=filter_)
        return Framing(short, resize=int(short / share), interpolation=filter_)
    if short and "longest_edge" not in size and cropped and short >= cropped:
        return Framing(cropped, resize=int(short), interpolation=filter_)
    if square and cropped in (None, square):
        return Framing(square, "squash", interpolation=filter_)
    return None


def _plain(size: Any) -> dict[str, int]:
    """A size as a mapping without what is not said."""
    if isinstance(size, int):
        return {"height": size, "width": size}
    items = dict(size).items() if isinstance(size, Mapping) else vars(size).items() if size else ()
    return {key: int(value) for key, value in items if value is not None}


def _square(size: dict[str, int]) -> int | None:
    height = size.get("height")
    return height if height and height == size.get("width") and "shortest_edge" not in size else None


def _told(processor: Any) -> str:
    names = "size", "crop_size", "crop_pct", "resample", "pad_size"
    said = {key: getattr(processor, key, None) for key in names}
    steps = [key for key, value in vars(processor).items() if key.startswith("do_") and value]
    return ", ".join([*steps, *(f"{key} {value}" for key, value in said.items() if value is not None)])


def _kind(model: Any, unpooled: bool) -> str:
    if hasattr(model, "get_image_features"):
        return "image_features"
    pools = any("pooler" in name for name, _ in model.named_modules()) or hasattr(model, "pooler")
    return "pooler_output" if pools and not unpooled else "last_hidden_state"


def _class_names(config: Any) -> tuple[str, ...] | None:
    """Names by id; None where they are the library's own LABEL_0, LABEL_1 …"""
    names = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
    return None if names == tuple(f"LABEL_{number}" for number in range(len(names))) else names


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtraError(
            f"Networks named hf:… need transformers; got: {error}. Install it: pip install 'equipoise[transformers]'."
        ) from error


@contextmanager
def without_bars(library: Any) -> Iterator[None]:
    """Without bars and reports about weights, which are told here; downloads keep their own bars."""
    logging = library.utils.logging
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
