"""From flags to the objects that a run takes. Commands import it when they run, not before."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise import run
from equipoise.cli.flags import with_flags
from equipoise.cli.invocation import command_line
from equipoise.cli.saying import say_aside
from equipoise.cli.settings import (
    Backbone,
    Continuing,
    Data,
    Embedding,
    Encoder,
    Evaluation,
    Framed,
    General,
    Machine,
    Network,
    Networks,
    Passing,
    Planted,
    Test,
    TrainedEncoder,
    Training,
)
from equipoise.errors import InputError

if TYPE_CHECKING:
    from equipoise.train import Recipe

__all__ = [
    "backbone_of",
    "engine_of",
    "groups_of",
    "measuring_of",
    "network_of",
    "networks_of",
    "output_of",
    "reading_of",
    "recipe_of",
    "sources_of",
    "teller",
    "training_of",
]


def sources_of(*flags: Data | Planted | Test, source: str | None = None) -> run.Sources:
    """What to work on; a source that stands alone as an argument is one that holds both classes.

    Raises:
        InputError: if `data` is given too.
    """
    given = {name: value for part in flags for name, value in dataclasses.asdict(part).items()}
    if source is not None and given.get("data") is not None:
        raise InputError("Expected one source; got one as argument and another as `data`. Give one of them.")
    return run.Sources(**given | ({} if source is None else {"data": source}))


def reading_of(flags: Framed, groups: Sequence[str] = ()) -> run.Reading:
    """How sources are read; a table of slices among the groups is joined to them.

    Raises:
        InputError: if there are several such tables.
    """
    asked = dataclasses.asdict(flags)
    files = list(dict.fromkeys(name for name in (*groups, asked.get("slices")) if name and _is_file(name)))
    if len(files) > 1:
        raise InputError(
            f"Expected one table of slices; got {', '.join(files)}. Write them into one, by path and slice."
        )
    return run.Reading(**asked | ({"slices": files[0]} if files else {}))


def groups_of(groups: Sequence[str]) -> tuple[str, ...]:
    """Columns whose values are compared: of a table of slices the one that it is joined as."""
    return tuple(dict.fromkeys(run.SLICE if _is_file(name) else name for name in groups))


def _is_file(name: str) -> bool:
    return name.lower().endswith(".parquet")


def network_of(model: str, flags: Network, encoder: TrainedEncoder) -> run.Network:
    """A model and what it needs to be read.

    Raises:
        InputError: if `mean` or `std` are no numbers.
    """
    return run.Network(model, encoder.encoder, **_network(flags))


def networks_of(models: Sequence[str], flags: Networks) -> list[run.Network]:
    """Several of them.

    Raises:
        InputError: likewise, or if there are not as many `weights` as networks.
    """
    return run.networks(models, **_network(flags))


def _network(flags: Network) -> dict[str, Any]:
    asked: dict[str, Any] = {field.name: getattr(flags, field.name) for field in dataclasses.fields(flags)}
    for name in ("mean", "std"):
        try:
            asked[name] = tuple(float(value) for value in asked[name])
        except ValueError as error:
            raise InputError(
                f"`{name}` must be numbers, one a channel; got {', '.join(asked[name])}. Write them as in 0.5,0.5,0.5."
            ) from error
    return asked


def engine_of(flags: Machine | Passing | str, general: General) -> run.Engine:
    """Where models run: all that is said of the machine, or the device alone; --quiet hides the bars too."""
    asked = {"device": flags} if isinstance(flags, str) else dataclasses.asdict(flags)
    return run.Engine(**asked, progress=not general.quiet)


def recipe_of(flags: Training, usual: str = "equipoise") -> Recipe:
    """The recipe with what --tune changes, then what the flags of their own name change."""
    from equipoise.train import recipe  # brings torch, which not every command needs

    chosen = run.tuned(recipe(flags.recipe or usual), flags.tune)
    optimisation = _given(epochs=flags.epochs, batch_size=flags.batch_size)
    return dataclasses.replace(
        chosen,
        vae_classes=tuple(flags.vae_classes) or chosen.vae_classes,
        plain=dataclasses.replace(chosen.plain, **optimisation),
        debiased=dataclasses.replace(chosen.debiased, **optimisation),
        resampling=dataclasses.replace(
            chosen.resampling, **_given(ess=flags.ess, max_weight=flags.max_weight)
        ),
    )


def training_of(
    flags: Training, *brought: Encoder | Embedding, backbone: Backbone = Backbone()
) -> run.Training:
    """How models are trained."""
    own = {name: value for part in brought for name, value in dataclasses.asdict(part).items()}
    network = backbone_of(backbone)
    recipe = recipe_of(flags, "equipoise" if network is None else "probe")
    return run.Training(recipe, **own, backbone=network, seed=flags.seed)


def backbone_of(flags: Backbone) -> run.Network | None:
    """The backbone and what it needs; None without one.

    Raises:
        InputError: if numbers are none, or something is said of a backbone that is not there.
    """
    options = _network(flags)
    named = options.pop("backbone")
    if named is not None:
        return run.Network(named, **options)
    extra = [f"`{name}`" for name, value in options.items() if value]
    if extra:
        raise InputError(f"{', '.join(extra)} are for a `backbone`; got none. Name one, or leave them out.")
    return None


def measuring_of(flags: Evaluation, *, controls: bool = True) -> run.Measuring:
    """What is measured."""
    asked = dataclasses.asdict(flags)
    return run.Measuring(groups_of(asked.pop("groups")), **asked, controls=controls)


def output_of(out: Path, general: General, continuing: Continuing | None = None) -> run.Output:
    """Where results go, and who is told."""
    asked = dataclasses.asdict(continuing or Continuing())
    return run.Output(out, **asked, tell=teller(general), command=command_line())


def _given(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}


def teller(general: General) -> Callable[[str], None]:
    """Where lines about the stages of a run go: to stderr, or with --quiet nowhere."""
    return lambda line: None if general.quiet else say_aside(with_flags(line))
