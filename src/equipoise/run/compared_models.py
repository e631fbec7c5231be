"""Several models that are asked about the same pictures: loaded, named, and known to fit one another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn.named import library_of
from equipoise.run.debias.numbers import TITLES
from equipoise.run.model_source import Model, ModelSource, Network, is_run
from equipoise.run.reading import Reading
from equipoise.sharing import shareable, shared_path
from equipoise.train.classes import told_classes
from equipoise.train.saved_model import has_encoder

__all__ = ["ComparedModels", "loaded", "networks", "say_numbered", "titled"]


class ComparedModels(dict[str, ModelSource]):
    """Name → model, of models that take the same pictures of the same classes.

    A run's model is named by its method, a network as the user named it; a second one of a name gets a number.

    Args:
        models: In their order.
        reading: How the user asked for pictures.

    Raises:
        InputError: if there are none, or they do not take the same pictures or classes; names both sides.
    """

    def __init__(self, models: Sequence[ModelSource], reading: Reading) -> None:
        if not models:
            raise InputError("Expected at least one model; got none. Name the folder of a run, or a network.")
        names: dict[str, ModelSource] = {}
        used: list[str] = []
        for one in models:
            name = _name(one)
            number = 1 + used.count(name)
            used.append(name)
            names[name if number == 1 else f"{name}-{number}"] = one
        super().__init__(names)
        self.reading = self._reading(reading)
        outputs = {
            name: one.outputs(self.reading.framing, self.reading.channels) for name, one in self.items()
        }
        self.classes = max(2, next(iter(outputs.values())))
        known = [one for one in models if one.class_names is not None]
        self.teacher = known[0] if known else models[0]
        self.numbered: tuple[str, ...] | None = (
            None  # what classes are called by number where a model does not know
        )
        if len({frozenset(one.class_names or ()) for one in known}) > 1:
            other = next(
                one for one in known if set(one.class_names or ()) != set(known[0].class_names or ())
            )
            raise InputError(
                f"Expected models of the same classes; got {told_classes(known[0].class_names or ())} of "
                f"{known[0].title} and {told_classes(other.class_names or ())} of {other.title}. Evaluate them apart."
            )
        if len({max(2, count) for count in outputs.values()}) > 1:
            told = ", ".join(f"{count} of {name}" for name, count in outputs.items())
            raise InputError(f"Expected models of the same classes; got logits: {told}. Evaluate them apart.")

    def checked(self, table: ImageTable, say: Callable[[str], None]) -> ImageTable:
        """Images with the class ids of the first model that knows its classes, once it is known that all fit.

        Raises:
            InputError: if one does not; names both sides.
        """
        for one in self.values():
            one.check_pictures(table)
        found = self.teacher.checked(table)
        if self.teacher.class_names is not None and set(table.class_names) == set(self.teacher.class_names):
            self.numbered = table.class_names  # as they are without a teacher
        else:
            self.numbered = found.class_names
        for one in self.values():
            say_numbered(one, self.numbered, say)
        return found

    def networks(self) -> dict[str, nn.Module]:
        """Name → images to logits, with the classes of all in one order."""
        names = self.teacher.class_names
        return {name: one.logits(names, numbered=self.numbered) for name, one in self.items()}

    def _reading(self, asked: Reading) -> Reading:
        """How pictures are read for all of them: what one knows holds for those that do not."""
        known = [one for one in self.values() if one.framing is not None]
        shapes = {(one.framing.size, one.channels) for one in known if one.framing is not None}
        if len(shapes) > 1:
            raise InputError(
                f"Expected models that take the same images; got (pixels a side, channels) {sorted(shapes, key=str)}. "
                "Evaluate them apart."
            )
        framings = sorted({str(one.framing) for one in known})
        if len(framings) > 1:
            raise InputError(
                f"Expected models that take images framed alike; got {', '.join(framings)}. Evaluate them apart."
            )
        return known[0].reading(asked) if known else asked


def _name(model: ModelSource) -> str:
    """A run's method; of a network what the user called it, without folders of this machine."""
    if model.saved is not None:
        return model.saved.method
    library, rest = library_of(model.source), model.source.partition(":")[2]
    if library is not None and (os.path.isabs(rest) or os.path.exists(rest)):
        return f"{library}:{os.path.basename(os.path.normpath(rest))}"
    return model.source


def networks(
    names: Sequence[str], *, weights: Sequence[str | os.PathLike[str]] = (), **options: Any
) -> list[Network]:
    """Several models; options are for those that are no run's folder, and so are weights, a file in order for each of
    those that do not hold their own, as an ONNX file does.

    Raises:
        InputError: if there are more or fewer files of weights than networks.
    """
    foreign = [name for name in names if not is_run(name)]
    filled = [name for name in foreign if library_of(name) != "onnx"]
    if weights and len(weights) != len(filled):
        raise InputError(
            f"Expected `weights` for each of {len(filled)} networks that are no run's folder and no ONNX file, "
            f"which holds its weights; got {len(weights)}. Give one for each, in their order."
        )
    if not foreign:
        return [Network(name, **options) for name in names]
    own = iter(weights or (None,) * len(filled))
    return [
        Network(name)
        if is_run(name)
        else Network(name, weights=None if library_of(name) == "onnx" else next(own), **options)
        for name in names
    ]


def say_numbered(model: ModelSource, class_names: Sequence[str], say: Callable[[str], None]) -> None:
    """Say where classes are told by number, as the model does not know what it calls them."""
    if model.class_names is None:
        say(
            f"{shareable(model.source)} does not say what its classes are called; its logits are taken to be of "
            f"{', '.join(class_names[:10])}{', …' if len(class_names) > 10 else ''}, in this order."
        )


def loaded(
    models: Sequence[Model], reading: Reading, encoder: nn.Module | None, device: str
) -> list[ModelSource]:
    """The models; the encoder goes to those that were trained with one.

    Raises:
        InputError: if none was.
    """
    asked = [one if isinstance(one, Network) else Network(one) for one in models]
    own = [encoder if is_run(one.name) and has_encoder(one.name) else None for one in asked]
    if encoder is not None and asked and not any(one is not None for one in own):
        raise InputError(
            f"Expected a model that was trained with an encoder of your own; got `encoder` and "
            f"{', '.join(one.name for one in asked)}, built by equipoise or no run's. Leave `encoder` out."
        )
    return [
        replace(one, encoder=given or one.encoder).loaded(reading, device=device)[0]
        for one, given in zip(asked, own, strict=True)
    ]


def titled(models: Mapping[str, ModelSource]) -> dict[str, str]:
    """What people read for models where their name alone does not tell: networks, and runs of which several are of one
    method: the method, and the shortest name of the run's folder that tells them apart. Folders of which none does (or
    whose names would tell where they lie) get numbers.
    """
    methods = [_name(one) for one in models.values()]
    places = [shared_path(str(_run_folder(Path(one.source)))).split("/") for one in models.values()]
    titles: dict[str, str] = {}
    for (name, one), place in zip(models.items(), places, strict=True):
        if one.saved is None:
            titles[name] = name
            continue
        method = one.saved.method
        if methods.count(method) == 1:
            continue
        rivals = [other for other, its in zip(places, methods, strict=True) if its == method]
        for length in range(1, len(place) + 1):
            if sum(other[-length:] == place[-length:] for other in rivals) == 1:
                break
        else:
            length = 1
        said = f"{TITLES.get(method, method)} ({'/'.join(place[-length:])})"
        used = sum(title.startswith(said) for title in titles.values())
        titles[name] = f"{said} {used + 1}" if used else said
    return titles


def _run_folder(folder: Path) -> Path:
    """The run that a folder of one of its models belongs to."""
    place = Path(os.path.abspath(folder))
    return place.parent.parent if place.parent.name == "models" else place
