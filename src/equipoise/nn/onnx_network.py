"""An ONNX file as a network: scores, and the features that go into its last layer. It runs by onnxruntime, on the CPU.

Gradients do not flow through it, and its layers are not modules: what works on features and scores works with it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.files import regular
from equipoise.nn.preprocessing import Preprocessing
from equipoise.pictures.framing import Framing

__all__ = ["FEATURES", "METADATA", "OnnxNetwork"]

METADATA = "equipoise"  # key of what a file that was exported here says of itself

FEATURES = "features"  # the module that features pass, for whoever looks for a layer
MOST_BYTES = 2 << 30  # of a model: what a protocol buffer can hold
LINEAR = "Gemm", "MatMul", "Conv", "QLinearMatMul", "MatMulInteger"  # operators that a last layer is made of
CARRYING = "Add", "Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Softmax", "LogSoftmax", "Sigmoid"
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class _Input(NamedTuple):
    """What goes in: its name, type, fixed batch, and which axis holds channels."""

    name: str
    dtype: Any
    batch: int | None
    last: bool
    channels: int | None
    size: int | None


class _Told(NamedTuple):
    """What a file that was exported here says of itself."""

    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None


class OnnxNetwork(nn.Module):
    """Pictures as the file wants them → scores (batch, classes).

    A fixed batch is filled up with blank pictures, of which nothing is kept. Channels may come first or last in the
    file; here they come first. The module `features` passes what goes into the last layer.

    Args:
        path: The file.
        layer: Name of a value in the graph that are the features; None looks for what goes into the last layer.
        output: Name of the value that are the scores; None is the only output.

    Raises:
        MissingExtraError: without onnx and onnxruntime.
        DataError: if it cannot be read.
        InputError: if it takes more than one input, another type, or has no such values.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, layer: str | None = None, output: str | None = None
    ) -> None:
        super().__init__()
        self._path = os.fspath(path)
        onnx, self._runtime = _libraries()
        model = _read(onnx, self._path)
        self.told = _told(model, self._path)
        made = [] if self.told is None else [value.name for value in model.graph.output]
        self.scores_name = _scores(model, output or ("logits" if "logits" in made else None), self._path)
        layer = layer or (FEATURES if FEATURES in made else None)
        self.features_name = layer or _before_last(model, self.scores_name)
        _exposed(onnx, model, self.features_name, self._path)
        self._content = model.SerializeToString()
        self.content = hashlib.blake2b(self._content, digest_size=16).hexdigest()
        self._session: Any = self._opened()
        self._input = _input(self._session, self._path)
        self.features, self.scores = nn.Identity(), nn.Identity()

    def preprocessing(self, size: int | Framing | None) -> Preprocessing:
        """What the file itself says of its pictures, the size where it says none by the user.

        Raises:
            InputError: if neither says the size, or they differ.
        """
        asked = size.size if isinstance(size, Framing) else size
        own = self._input.size
        if self.told is not None and asked in (None, self.told.preprocessing.framing.size):
            framing = size if isinstance(size, Framing) else self.told.preprocessing.framing
            return Preprocessing(framing, channels=self.told.preprocessing.channels)
        if asked is None and own is None:
            raise InputError(
                f"{self._path} takes pictures of any size; say which, `size`. 224 is the usual one, but the right one "
                "is that of its training."
            )
        if own is not None and asked not in (None, own):
            raise InputError(
                f"{self._path} takes pictures of {own}×{own} pixels; got `size` {asked}. Leave it out."
            )
        side = own or asked
        framing = size if isinstance(size, Framing) else Framing(side or 0)
        return Preprocessing(framing, channels=self._input.channels or 3)

    @property
    def batch(self) -> int | None:
        """How many pictures it takes at a time; None takes any number."""
        return self._input.batch

    @property
    def inside(self) -> dict[str, dict[str, list[float]]]:
        """What it does to pixels itself, as far as it says so: for records."""
        came = None if self.told is None else self.told.preprocessing
        return {"inside": {"mean": list(came.mean), "std": list(came.std)}} if came and came.mean else {}

    def forward(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch classes"]:
        """Scores; no gradient goes back."""
        values = images.detach().cpu().numpy().astype(self._input.dtype, copy=False)
        if self._input.last:
            values = values.transpose(0, 2, 3, 1)
        step = self._input.batch or len(values)
        found = [self._run(values[start : start + step]) for start in range(0, len(values), max(1, step))]
        features, scores = (
            torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(images.device)
            for parts in zip(*found, strict=True)
        )
        self.features(features)
        passed: Tensor = self.scores(scores)
        return passed

    def _run(self, values: Any) -> Sequence[Any]:
        count, batch = len(values), self._input.batch or len(values)
        filled = values
        if count < batch:
            filled = np.concatenate([values, np.zeros((batch - count, *values.shape[1:]), values.dtype)])
        try:
            found = self._session.run(
                [self.features_name, self.scores_name], {self._input.name: np.ascontiguousarray(filled)}
            )
        except Exception as error:  # the runtime's errors share no class
            told = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise InputError(
                f"{self._path} did not take pictures of shape {values.shape}; onnxruntime says: {told:.300}. Give the "
                "size that it was made for."
            ) from error
        return [part[:count] for part in found]

    def _opened(self) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            return self._runtime.InferenceSession(self._content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # likewise
            told = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise DataError(
                f"Expected an ONNX model that onnxruntime runs in {self._path}; got: {told:.300}. Export it again."
            ) from error

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxNetwork:
        """Itself: it has no weights that could change."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None, "_runtime": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._runtime = _libraries()[1]
        self._session = self._opened()


def _read(onnx: Any, path: str) -> Any:
    try:
        file = regular(path)
        if file.stat().st_size > MOST_BYTES:
            raise ValueError("a file of more than 2 GiB")
        model = onnx.load(file)
        if model.ByteSize() > MOST_BYTES:
            raise ValueError("a model of more than 2 GiB")
    except Exception as error:  # the parser of a foreign format tells what is damaged in many ways
        told = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}".splitlines()[0]
        raise DataError(f"Expected an ONNX model in {path}; got: {told:.300}. Export it again.") from error
    if not model.graph.node:
        raise DataError(f"Expected an ONNX model in {path}; got a file without a graph. Export it again.")
    return model


def _told(model: Any, path: str) -> _Told | None:
    """What its metadata say; normalisation is inside and only told.

    Raises:
        DataError: if that cannot be.
    """
    found = {one.key: one.value for one in model.metadata_props}.get(METADATA)
    if found is None:
        return None
    try:
        said = json.loads(found)
        came, names = dict(said["preprocessing"]), said["classes"]
        mean, std, channels = tuple(came.pop("mean")), tuple(came.pop("std")), came.pop("channels")
        if names is not None and not all(isinstance(name, str) for name in names):
            raise ValueError("classes that are no names")
        framing = Framing(**came)
        return _Told(Preprocessing(framing, mean, std, channels), None if names is None else tuple(names))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"Expected what `equipoise export` writes under the key {METADATA!r} of the metadata of {path}; got "
            f"{found!r:.100} ({error}). Export it again."
        ) from error


def _scores(model: Any, output: str | None, path: str) -> str:
    names = [value.name for value in model.graph.output]
    if output is None and len(names) == 1:
        return str(names[0])
    if output in names:
        return str(output)
    raise InputError(
        f"Expected {'the name of the scores' if output is None else f'an output {output!r}'} among the outputs of "
        f"{path}; it has {', '.join(names)}. Say which are the scores, `output`."
    )


def _before_last(model: Any, scores: str) -> str:
    """What goes into the last layer that has weights, on the way back from the scores."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {value.name for value in model.graph.initializer}
    constants |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    at = scores
    while (node := makers.get(at)) is not None:
        fed = [name for name in node.input if name and name not in constants]
        if node.op_type in LINEAR and fed:
            return str(fed[0])
        if node.op_type not in CARRYING or len(fed) != 1:
            break
        at = fed[0]
    raise InputError(
        f"Expected the scores {scores!r} to come from a last layer; got "
        f"{'an input' if node is None else node.op_type}. Name the value in the graph that are the features, `layer`."
    )


def _exposed(onnx: Any, model: Any, name: str, path: str) -> None:
    """Make a value inside the graph one of its outputs."""
    if any(value.name == name for value in model.graph.output):
        return
    inside = {made for node in model.graph.node for made in node.output}
    inside |= {value.name for value in model.graph.input}
    if name not in inside:
        some = ", ".join(sorted(inside)[-10:])
        raise InputError(f"{path} has no value {name!r}. Choose one that it has, such as: {some}.")
    model.graph.output.append(onnx.ValueInfoProto(name=name))


def _input(session: Any, path: str) -> _Input:
    inputs = session.get_inputs()
    one = inputs[0] if len(inputs) == 1 else None
    if one is None or one.type not in TYPES or len(one.shape) != 4:
        got = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
        raise InputError(
            f"Expected one input of floats (batch, channels, height, width) in {path}; got {got}. Export the model "
            "with pictures alone as its input."
        )
    batch, *rest = (number if isinstance(number, int) and number > 0 else None for number in one.shape)
    last = rest[2] in (1, 3, 4) and rest[0] not in (1, 3, 4)
    channels, height, width = (rest[2], *rest[:2]) if last else rest
    if height != width:
        raise InputError(
            f"Expected square pictures in {path}; got {height}×{width}. Export the model for squares."
        )
    return _Input(one.name, TYPES[one.type], batch, last, channels, height)


def _libraries() -> tuple[Any, Any]:
    try:
        return importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError(
            f"Networks named onnx:… need onnx and onnxruntime; got: {error}. Install them: "
            "pip install 'equipoise[onnx]'."
        ) from error
