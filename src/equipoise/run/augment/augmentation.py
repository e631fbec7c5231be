"""What pairs shall differ in, and how they are made and mixed with the real images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from equipoise.errors import InputError
from equipoise.latent import Generator
from equipoise.latent.pairs import Variant
from equipoise.nn import digest_of
from equipoise.run.augment.protected import DISCOVER
from equipoise.run.identity import Setting, model_digest
from equipoise.run.sources import Reading
from equipoise.train import GAN

__all__ = ["Attributes", "Augmentation"]

STEPS = 6000  # of a generator that is trained on the spot
Kept = Literal["as-meant", "all"]
Learning = Literal["balanced", "plain"]
Sampling = Literal["balanced", "natural"]


@dataclass(frozen=True)
class Attributes:
    """What is to be told, and what it shall not hang on.

    Args:
        target: Column with the target attribute: 0 and 1, or `Reading.positive_class` says which value has it.
        protected: Columns with two values each, that pairs shall differ in; or "discover" alone.
    """

    target: str
    protected: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """The protected attributes that somebody wrote down."""
        return [name for name in self.protected if name != DISCOVER]

    def checked(self, reading: Reading, variant: str) -> Attributes:
        """The same, each protected attribute once.

        Raises:
            InputError: if they do not go together with the target, or with how pairs are made.
        """
        names = tuple(dict.fromkeys(self.protected))
        if not names or (DISCOVER in names and len(names) > 1) or self.target in names:
            raise InputError(
                f"`protected` must be one column or several, other than the target {self.target!r}, or {DISCOVER!r} "
                f"alone; got {', '.join(names) or 'none'}. Name what the pairs shall differ in."
            )
        if "target" in names:  # pairs call the scores of f_t so
            raise InputError(
                "A protected attribute must not be called 'target', which names the target's own scores; got one. "
                "Rename the column."
            )
        if reading.label_column is not None:
            raise InputError(
                f"The target names the label column; got `label_column` {reading.label_column} too. Leave it out."
            )
        if variant == "complement_by_side" and len(names) > 1:
            raise InputError(
                "complement_by_side takes one protected attribute; got more. Choose another `variant`."
            )
        return replace(self, protected=names)

    def classes(self, reading: Reading) -> tuple[str, str]:
        """What the negative and the positive class are called."""
        positive = self.target if reading.positive_class is None else reading.positive_class
        return f"not {positive}", positive


@dataclass(frozen=True)
class Augmentation:
    """How pairs are made and mixed. How the defaults were chosen stands in docs/augment.md.

    Args:
        generator: What `generator_source` takes; or how one is trained on the training images.
        share: Generated images among those trained on, in (0, 1).
        margin: Pairs are kept whose first image has a score of f_t at least this far from the threshold.
        keep: "as-meant" leaves pairs out whose target changed, or whose protected attribute did not, in the eyes of
            the classifiers; "all" is as published.
        classifiers: "balanced" shows the attribute classifiers all cells of target × protected equally often; "plain"
            is as published.
        sampling: "balanced" draws the real images beside the pairs so that all cells are equally frequent; "natural"
            takes them as they are, as published.
        variant: How latents are edited, see `equipoise.latent.pairs`.
        latents: Latents that hyperplanes are fitted to; half as many more validate them.
        show_edits: Put pairs of edited images on the page. They are a step of training, not a finding.

    Raises:
        InputError: if a number is out of range or a name unknown.
    """

    generator: str | os.PathLike[str] | Generator | GAN = field(default_factory=lambda: GAN(steps=STEPS))
    share: float = 0.67
    margin: float = 0.0
    keep: Kept = "as-meant"
    classifiers: Learning = "balanced"
    sampling: Sampling = "balanced"
    variant: Variant = "complement"
    latents: int = 10_000
    show_edits: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(
                f"`share` must be in (0, 1); got {self.share}. 0.5 is as many generated as real."
            )
        if not 0 <= self.margin < 0.5:
            raise InputError(f"`margin` must be in [0, 0.5); got {self.margin}. 0 keeps all pairs.")
        if self.latents < 100:
            raise InputError(f"`latents` must be 100 or more; got {self.latents}. 10000 is usual.")
        for name, known in (
            ("keep", Kept),
            ("classifiers", Learning),
            ("sampling", Sampling),
            ("variant", Variant),
        ):
            if getattr(self, name) not in get_args(known):
                raise InputError(
                    f"`{name}` must be one of {', '.join(get_args(known))}; got {getattr(self, name)!r}. "
                    "Choose one of these."
                )

    @property
    def making(self) -> GAN | None:
        """How a generator is trained; None if there is one."""
        return self.generator if isinstance(self.generator, GAN) else None

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        given, named = self.generator, None
        if not isinstance(given, GAN):
            named = os.fspath(given) if isinstance(given, str | os.PathLike) else type(given).__name__
        steps = given.steps if isinstance(given, GAN) else None
        return {**vars(self), "generator": named, "generator_steps": steps}

    def brought(self) -> dict[str, str]:
        """What can be known of the generator before the data are read: its files, or what its settings do not say."""
        if isinstance(self.generator, GAN):
            usual = replace(GAN(), steps=self.generator.steps) == self.generator
            return {} if usual else {"generator_settings": digest_of(asdict(self.generator))}
        if isinstance(self.generator, str | os.PathLike) and Path(self.generator).is_dir():
            return {"generator": model_digest(self.generator)}
        return {}
