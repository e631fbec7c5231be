"""A network written so that others read it: an ONNX file, weights under its own names, a folder of transformers.

What is written is read again and compared with the network before it counts.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import InputError, MissingExtraError
from equipoise.failures import refused
from equipoise.files import read_tensors, write_tensors
from equipoise.nn.backbone import Backbone
from equipoise.nn.hugging_face import HuggingFace, hugging_face, without_bars, written_processor
from equipoise.nn.last_layer import BackboneClassifier
from equipoise.nn.modes import evaluating
from equipoise.nn.onnx_network import FEATURES, METADATA, OnnxNetwork
from equipoise.nn.passes import placed
from equipoise.nn.preprocessing import Normalised, Preprocessing
from equipoise.nn.taps import Output, Tap, features_at, find_tap, named_tap, prediction_of, tapped

__all__ = ["by_onnx", "own_network", "write_onnx", "write_state_dict", "write_transformers"]

OPSET = 18
CLOSE = 1e-3  # of the largest logit: what another runtime may round differently
EXAMPLES = 2, 1, 3  # made-up pictures: the batch may have any size


class _Prediction(nn.Module):
    """A network as pictures to logits and, where they can be told, to its features."""

    def __init__(self, network: nn.Module, output: Output, tap: Tap | None) -> None:
        super().__init__()
        self.network, self.output, self.tap = network, output, tap

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if self.tap is None:
            return (prediction_of(self.network(images), self.output),)
        with tapped(self.network, self.tap) as passed:
            prediction = prediction_of(self.network(images), self.output)
        return prediction, features_at(self.tap, passed, images.shape[0])  # `len` would fix the number


def write_onnx(
    network: nn.Module,
    preprocessing: Preprocessing,
    path: Path,
    *,
    output: Output = None,
    layer: str | None = None,
    class_names: tuple[str, ...] | None = None,
    title: str = "the network",
) -> None:
    """Pictures in [0, 1] → logits and features as an ONNX file, for any number of pictures at a time.

    Normalisation is inside. How pictures become squares, and what classes are called, stands in its metadata under the
    key `equipoise` as JSON; networks named onnx:… read it there.

    Args:
        network: Pictures in [0, 1] → prediction, normalisation inside.
        preprocessing: How its pictures must come; mean and std are told only.
        path: Where to; left half-written where something fails: give a temporary place.
        output: Where the logits are in what it returns.
        layer: Module whose output are the features; None takes what goes into the last layer, and leaves features out
            where that is unclear.
        class_names: By id, if known.
        title: For messages.

    Raises:
        MissingExtraError: without onnx, onnxruntime and onnxscript.
        InputError: if it cannot be told in ONNX, or the file says something else than the network.
    """
    onnx = _libraries()
    size = preprocessing.framing.size
    shape = preprocessing.channels, size, size
    chance = torch.Generator().manual_seed(0)
    pictures = [torch.rand(count, *shape, generator=chance) for count in EXAMPLES]
    whole = _Prediction(network, output, None)
    with evaluating(whole), _quiet():
        with torch.no_grad():
            whole.tap = _tap(whole, layer, pictures[0])
            wanted = [whole(some) for some in pictures]
        try:
            torch.onnx.export(
                whole,
                (pictures[0],),
                path,
                dynamo=True,
                input_names=["images"],
                output_names=["logits", "features"][: len(wanted[0])],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter's errors share no class
            if refused(error):
                raise
            told = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{title} cannot be written as ONNX for any number of pictures; torch.onnx says: {told:.300}. "
                "Write its state dict."
            ) from error
    model = onnx.load(path)
    said = {"preprocessing": preprocessing.settings(), "classes": class_names and list(class_names)}
    onnx.helper.set_model_props(model, {METADATA: json.dumps(said, ensure_ascii=False)})
    onnx.save(model, path)
    read = Tap("features", "output")
    found = OnnxNetwork(path, layer=None if whole.tap else "logits")
    if found.batch is not None:
        raise InputError(
            f"{title} cannot be written as ONNX for any number of pictures; torch.onnx fixes it at {found.batch}. Does "
            "it use `len(images)` where `images.shape[0]` would do? Write its state dict."
        )
    for some, values in zip(pictures, wanted, strict=True):
        with tapped(found, read) as passed:
            logits = found(some)
        for mine, theirs in zip((logits, *passed), values, strict=False):
            _check_close(mine, theirs, f"the ONNX file of {title}")


def by_onnx(backbone: Backbone) -> Backbone:
    """The same, run by onnxruntime on the CPU: features and logits differ by rounding.

    Raises: what `write_onnx` does.
    """
    if isinstance(backbone.network, OnnxNetwork):
        return backbone
    came, tap = backbone.preprocessing, backbone.tap
    layer = None
    if tap is not None and tap.side == "output":
        layer = f"model.{tap.layer}" if came.mean else tap.layer
    headless = backbone.outputs is None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        with placed(backbone.network, torch.device("cpu")):
            write_onnx(backbone.module, came, path, output=backbone.output, layer=layer, title=backbone.name)
        network = OnnxNetwork(path, layer="logits" if headless else None).eval()
    return Backbone.tried(
        network,
        replace(came, mean=(), std=()),
        layer=None if headless else FEATURES,
        headless=headless,
        name=backbone.name,
    )


def _tap(whole: _Prediction, layer: str | None, images: Tensor) -> Tap | None:
    if layer is not None:
        return named_tap(whole.network, layer)
    try:
        return find_tap(whole.network, lambda: whole(images)[0])
    except InputError:
        return None


def write_state_dict(network: nn.Module, path: Path) -> None:
    """Weights and buffers as safetensors, under the names that the network's own library gives them.

    Raises:
        InputError: if its state holds something else than tensors, or what was written is something else.
    """
    state = network.state_dict()
    wrong = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong or not state:
        raise InputError(
            f"Expected weights by name in the state of {type(network).__name__}; got "
            f"{f'something else as {wrong[0]}' if wrong else 'none'}. Nothing else can be written as safetensors."
        )
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    write_tensors(path, tensors, {"format": "pt"})
    found, _ = read_tensors(path, "the weights just written", "The disk may be failing: try again.")
    if any(
        found[name].dtype != tensor.dtype or not _same(found[name], tensor)
        for name, tensor in tensors.items()
    ):
        raise InputError(f"Expected the weights just written in {path}; got others. Try again.")


def write_transformers(network: HuggingFace, name: str, folder: Path, preprocessing: Preprocessing) -> None:
    """A folder that transformers loads: config.json, model.safetensors, preprocessor_config.json.

    Args:
        network: Its model.
        name: The folder or name that it came from, for its image processor.
        folder: Where to.
        preprocessing: How its pictures came; the processor must do the same.

    Raises:
        InputError: if what was written does not do the same.
    """
    with _quiet(), without_bars(importlib.import_module("transformers")):
        network.model.save_pretrained(folder)  # type: ignore[operator]
    written_processor(name, folder)
    read, came, _ = hugging_face(os.fspath(folder))
    if came != preprocessing:
        raise InputError(
            f"Expected hf:{name} with the preprocessing of its own image processor, {came.settings()}; got "
            f"{preprocessing.settings()}, which its folder cannot say. Export it as onnx."
        )
    size = preprocessing.framing.size
    pictures = torch.rand(
        EXAMPLES[0], preprocessing.channels, size, size, generator=torch.Generator().manual_seed(0)
    )
    with evaluating(network), evaluating(read), torch.no_grad():
        _check_close(read(pictures), network(pictures), f"the folder of hf:{name}")


def own_network(network: nn.Module) -> nn.Module:
    """What somebody brought, out of what was put around it here."""
    if isinstance(network, BackboneClassifier):
        network = network.backbone.network
    while isinstance(network, Normalised | HuggingFace):
        network = network.model
    return network


def _same(one: Tensor, other: Tensor) -> bool:
    return (
        torch.equal(one.nan_to_num(), other.nan_to_num())
        if one.is_floating_point()
        else torch.equal(one, other)
    )


def _check_close(found: Tensor, wanted: Tensor, what: str) -> None:
    largest = (
        float((found.float() - wanted.float()).abs().max()) if found.shape == wanted.shape else float("inf")
    )
    allowed = CLOSE * max(1.0, float(wanted.abs().max()))
    if not largest <= allowed:
        raise InputError(
            f"Expected {what} to say what the network says of made-up pictures, to {allowed:.2g}; its logits are "
            f"{largest:.2g} away (shape {tuple(found.shape)}, {tuple(wanted.shape)} of the network). Nothing was "
            "kept. Does the network draw by chance, or decide by numbers in Python?"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say of themselves on the way: whether it worked is found out afterwards."""
    names = "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "transformers"
    before: Mapping[str, int] = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _libraries() -> Any:
    try:
        for name in ("onnxruntime", "onnxscript"):
            importlib.import_module(name)
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingExtraError(
            f"Writing ONNX needs onnx, onnxruntime and onnxscript; got: {error}. Install them: "
            "pip install 'equipoise[onnx]'."
        ) from error
