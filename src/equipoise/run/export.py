"""`export`: a model in a format that others read, written whole or not at all, and read again before it counts."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from equipoise.errors import DataError, InputError
from equipoise.files import PART, held, part_name, remove_abandoned, replacing, write_text
from equipoise.nn import Preprocessing
from equipoise.nn.digest import digest_of
from equipoise.nn.export import own_network, write_onnx, write_state_dict, write_transformers
from equipoise.nn.hugging_face import HuggingFace
from equipoise.nn.last_layer import two_logits
from equipoise.nn.named import library_of
from equipoise.report.debias.record import RunRecord, read
from equipoise.report.model_card import model_card
from equipoise.run.identity import earlier_identity
from equipoise.run.model_source import Model, ModelSource, Network
from equipoise.run.reading import Reading

__all__ = ["FORMATS", "export"]

FORMATS = "onnx", "transformers", "state-dict"


def export(
    model: Model,
    *,
    format: str,
    out: str | os.PathLike[str],
    reading: Reading = Reading(),
    record: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Write a model so that other programs read it.

    - onnx: pictures in [0, 1] → logits, any number at a time, normalisation inside; how pictures become squares and
      what classes are called in its metadata. Compared with the network by onnxruntime.
    - transformers: the folder of a network that came as hf:…, with its image processor and a model card.
    - state-dict: safetensors under the network's own names, as timm, transformers or torch load them.

    Args:
        model: A run's folder, a name as `nn.named_backbone` takes it, a network or an `nn.Backbone`; or one of these
            with what it needs to be read, `Network`. An ONNX file is none: it has no torch network.
        format: One of `FORMATS`.
        out: The file, or the folder of transformers.
        reading: Size, framing and channels of the pictures of a network that does not know.
        record: Of transformers: the folder of an evaluation of this very model, whose numbers the model card tells.
        overwrite: Replace what lies there.
        tell: Takes a line on what was written; None is silent.

    Raises:
        InputError: if model and format do not fit, something lies at `out`, the record is of another model, or what was
            written says something else than the network; nothing is left behind then.
        DataError: if something cannot be read or written.
        MissingExtraError: if a library is not installed.
    """
    if format not in FORMATS:
        raise InputError(
            f"`format` must be one of {', '.join(FORMATS)}; got {format!r}. Choose one of these."
        )
    if record is not None and format != "transformers":
        raise InputError(
            f"Expected `record` with `format` transformers, whose card tells it; got it with {format}."
        )
    target = Path(os.path.abspath(out))
    _check_free(target, format, overwrite)
    source = (model if isinstance(model, Network) else Network(model)).loaded(reading)[0]
    if library_of(source.source) == "onnx":
        raise InputError(
            f"Expected a model that is a torch network; got {source.source}, which is written as ONNX already."
        )
    source = _for_others(source, format)
    network = None if source.backbone is None else source.backbone.network
    if format == "transformers" and not isinstance(network, HuggingFace):
        raise InputError(
            f"Expected a network that came as hf:NAME_OR_FOLDER for `format` transformers; got {source.source}. Export "
            "it as onnx or as a state-dict."
        )
    reading = source.reading(reading)
    if reading.transform is not None:
        raise InputError(
            f"Expected no `transform` for an export; got {reading.transform.name}, which no file can hold. Say how "
            "pictures are made by `resize`, `crop`, `mean` and `std`, or leave that to whoever reads the file."
        )
    came = Preprocessing(**_plain(source, reading))
    if isinstance(network, HuggingFace) and format == "transformers":
        card = _card(source, came, record)
        _write_folder(network, source, came, card, target)
    else:
        with replacing(target) as temporary:
            if format == "state-dict":
                write_state_dict(own_network(source.network), temporary)
            else:
                source.outputs(reading.framing, reading.channels)
                known: dict[str, Any] = {
                    "output": source.output,
                    "layer": None if source.saved else source.layer,
                }
                names, title = source.class_names, source.title
                write_onnx(source.network, came, temporary, **known, class_names=names, title=title)
    (tell or (lambda line: None))(f"Pictures: {came.framing}; read again and compared with the network.")
    return target


def _for_others(source: ModelSource, format: str) -> ModelSource:
    """A logit for each of two classes, where the network had so before its last layer was replaced, or must have."""
    found = source.backbone
    if found is None or source.saved is None or found.outputs != 1:
        return source
    if found.replaced != 2 and format != "transformers":
        return source
    whole = two_logits(found)
    return replace(source, network=whole.module, backbone=whole)


def _plain(source: ModelSource, reading: Reading) -> dict[str, Any]:
    said = source.preprocessing(reading)
    rest = {key: tuple(said.pop(key)) for key in ("mean", "std")}
    return {**rest, "channels": said.pop("channels"), "framing": type(reading.framing)(**said)}


def _check_free(target: Path, format: str, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if target.is_dir() != (format == "transformers"):
        kind = "a folder" if format == "transformers" else "a file"
        raise InputError(
            f"Expected {kind} as `out` of {format}; got {target}, which is not. Choose another `out`."
        )
    if not overwrite and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(
            f"Something lies at {target} already. Choose another `out`, or give `overwrite` to replace it."
        )
    if target.is_dir() and any(target.iterdir()) and not (target / "config.json").is_file():
        raise InputError(
            f"Expected a folder of transformers to replace at {target}; got one without config.json. Choose another "
            "`out`."
        )


def _write_folder(
    network: HuggingFace, source: ModelSource, came: Preprocessing, card: str, target: Path
) -> None:
    named = (
        source.backbone.name if source.saved is not None and source.backbone is not None else source.source
    )
    name = named.partition(":")[2]
    with _building(target) as building:
        write_transformers(network, name, building, came)
        write_text(building / "README.md", card)
        building.chmod(0o755)
        old = building.with_name(f"{building.name}.old")
        if target.is_dir():
            target.rename(old)
        try:
            building.rename(target)
        except OSError:
            if old.is_dir():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _building(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target`; what is left of it when the block ends goes.

    Raises:
        DataError: if nothing can be written there.
    """
    building = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent, f"{PART}*")
        building = Path(tempfile.mkdtemp(prefix=part_name(), dir=target.parent))
        with held(building):
            yield building
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected to write {target}; got: {error.strerror or error}. Choose another `out`, or make room. Nothing "
            "half-written is left."
        ) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def _card(source: ModelSource, came: Preprocessing, record: str | os.PathLike[str] | None) -> str:
    said: dict[str, Any] = {
        "class_names": source.class_names, "preprocessing": came.settings(), "source": source.source
    }  # fmt: skip
    if record is None:
        return model_card(**said)
    found = read(record)
    return model_card(**said, record=found, model=_measured(source, found, Path(record)))


def _measured(source: ModelSource, record: RunRecord, folder: Path) -> str:
    """Which of a record's models this very one is, by its digest.

    Raises:
        InputError: if none is.
    """
    known = earlier_identity(folder)
    brought = (known.brought if known is not None else None) or {}
    mine = {source.digest, digest_of(source.network)}
    for place, name in enumerate(record.models, 1):
        if brought.get(f"model {place}") in mine:
            return name
    raise InputError(
        f"Expected the record of an evaluation of {source.source} in {folder}; got one of "
        f"{', '.join(record.models) or 'no model'}, none of which is this network with these weights. Evaluate it, or "
        "leave `record` out."
    )
