"""`Recipe`: a frozen dataclass that is the whole training setting."""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from equipoise.errors import InputError

__all__ = ["AUGMENTATIONS", "Optimisation", "Recipe", "Resampling", "epochs_of"]

#: What training may do to pictures.
AUGMENTATIONS = ("flip", "shift", "zoom", "light", "colour", "erase")


@dataclass(frozen=True)
class Optimisation:
    """How one model is optimised.

    Args:
        optimizer: The optimizer, with Keras' defaults where the labs relied on them (ε = 1e-7).
        learning_rate: Peak rate for "one-cycle", constant rate otherwise.
        schedule: "one-cycle" rises for the first quarter and falls to zero by a cosine.
        weight_decay: Decoupled for "adamw", ignored by the labs' optimizers.
        batch_size: Images a step, half of them positives; of more classes equal shares of each.
        epochs: Passes; one pass is ⌊N / batch_size⌋ steps. "auto" makes as many as give 2,000 steps, 4 to 40: few
            pictures are seen more often.
        augmentation: Names out of `AUGMENTATIONS`, applied to training batches.
        clip: Largest gradient norm; None leaves gradients alone.
        average: Decay a step of an exponential average of the weights that replaces them at the end; None = off.
        first_layer_rate: Share of the learning rate that the first layer has, in (0, 1]; those between have shares
            that grow geometrically in the order of layers (discriminative rates, Howard & Ruder 2018, who take 1/2.6 a
            layer). None = all alike.
    """

    optimizer: Literal["adam", "adamw", "adagrad", "adadelta"] = "adam"
    learning_rate: float = 5e-4
    schedule: Literal["constant", "one-cycle"] = "constant"
    weight_decay: float = 0.0
    batch_size: int = 32
    epochs: int | Literal["auto"] = 6
    augmentation: tuple[str, ...] = ()
    clip: float | None = None
    average: float | None = None
    first_layer_rate: float | None = None


def epochs_of(optimisation: Optimisation, per_epoch: int) -> int:
    """Passes, of so many steps each."""
    if optimisation.epochs == "auto":
        return min(40, max(4, math.ceil(2000 / max(1, per_epoch))))
    return optimisation.epochs


@dataclass(frozen=True)
class Resampling:
    """How sampling weights come from latent codes, or from an embedding that the user brings.

    With an embedding, `fit(embedding=...)`, every rule on codes works on its vectors, once, before training; and
    "appearance" gives way to "neighbours". "capsa" cannot: it needs a reconstruction.

    Args:
        rule: On codes: "max" (the lab's), "product" (the paper's), "capsa" (the 2023 lab's), "equipoise" (ours: one
            over the density by neighbours at the scale of groups), "neighbours" (the same at fine scale), "histogram"
            (over active units), "mixture" (one over the density of Gaussian clusters) or "clusters" (one over the
            size of the cluster). On the pictures themselves, before training: "appearance" (ours). Or "errors": plain
            models of two halves, trained a third as long, say which images of the other half they get wrong, and in
            every class the wrong ones are drawn as often as the right ones (errors as groups; after JTT, Liu et al.
            2021, which trains on what one model gets wrong of its own training images); by `max_weight` alone, not
            `ess`.
        bins: Bins of the histogram of each latent dimension.
        smoothing: α of the rules; larger is nearer to uniform.
        ess: Target effective sample size of the weights in (0, 1]; None leaves them as the rule gives them.
        max_weight: No image weighs more than this many times its natural share; None = no limit. An image is in a batch
            once at most, so where batches hold much of a class, what is drawn is nearer to uniform than the weights.
        queue: Codes of the last so many images that the density is built on; None = all.
        renew: Before every epoch, or once before training.
        warmup: Epochs of uniform sampling before the first weights.
        harvest: Take codes from the training batches and encode only images that were not drawn.
        classes: Of two classes, "both" draws the negatives by their rarity among negatives too, tempered on its own to
            the same `ess` and `max_weight`. For rule "appearance" and for embeddings: a DB-VAE learns to rebuild
            positives alone, so its latent codes say nothing of how rare a negative is. Of more classes each is drawn
            by the rarity of its images within it, whatever stands here; by latent codes, those that carry the VAE.
        clusters: Clusters of a class, for the rules "mixture" and "clusters".
        normalisation: Of an embedding's vectors, see `density.normalised`: "cosine" (direction alone), "standardised"
            (each dimension by its standard deviation) or "raw".
    """

    rule: Literal[
        "max",
        "product",
        "capsa",
        "equipoise",
        "neighbours",
        "histogram",
        "mixture",
        "clusters",
        "appearance",
        "errors",
    ] = "equipoise"
    bins: int = 10
    smoothing: float = 0.001
    ess: float | None = None
    max_weight: float | None = None
    queue: int | None = None
    renew: Literal["every-epoch", "once"] = "every-epoch"
    warmup: int = 0
    harvest: bool = False
    classes: Literal["positives", "both"] = "positives"
    clusters: int = 16
    normalisation: Literal["cosine", "standardised", "raw"] = "cosine"


@dataclass(frozen=True)
class Recipe:
    """The whole training setting. Saved with every run.

    Args:
        name: What it is called.
        summary: One sentence on where it is from.
        plain: Optimisation of the plain classifier.
        debiased: Optimisation of the debiased model.
        resampling: How positives, or the images of each of more than two classes, are drawn while it trains.
        objective: What the debiased model learns besides the class: "db-vae" to rebuild the positives (of more than two
            classes all images, or those of `vae_classes`), or "classifier", nothing; then rarity comes from pictures
            or an embedding, as there are no codes.
        mirror: Models in use average the logits of an image and its mirror image.
        width: Filters of the first convolution, of the decoder too.
        depth: Convolutions, each halving the image.
        latent: Latent dimensions k.
        reconstruction: Mean absolute error, or the squared error summed over pixels and channels.
        decoder_output: What stands after the decoder's last layer.
        kl_weight: c of L_VAE = c·L_KL + L_x.
        norm_momentum: Momentum of batch norm in PyTorch's sense (0.01 is Keras' 0.99).
        precision: What the engine's "auto" means; the labs trained in 32 bit, and at a constant rate half precision
            costs their DB-VAE accuracy.
        split: "stratified", or "first-80" (first 80 % of each class to train, the rest to test).
        vae_classes: Names of the classes whose images the DB-VAE learns to rebuild, as the training data name them.
            None: of two classes the positives, of more all.
        backbone: What is done with a network that the user brings, `fit(backbone=...)`: "frozen" fits a last layer on
            its features, "trained" then trains all of it. "none" takes none.
        C: Of the last layer that is fitted, see `nn.fit_linear`: smaller is smoother.
    """

    name: str
    summary: str = ""
    plain: Optimisation = field(default_factory=Optimisation)
    debiased: Optimisation = field(default_factory=Optimisation)
    resampling: Resampling = field(default_factory=Resampling)
    objective: Literal["db-vae", "classifier"] = "db-vae"
    mirror: bool = False
    width: int = 12
    depth: int = 4
    latent: int = 100
    reconstruction: Literal["l1", "squared_l2"] = "l1"
    decoder_output: Literal["relu", "linear", "sigmoid"] = "relu"
    kl_weight: float = 0.0005
    norm_momentum: float = 0.01
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    split: Literal["stratified", "first-80"] = "stratified"
    vae_classes: tuple[str, ...] | None = None
    backbone: Literal["none", "frozen", "trained"] = "none"
    C: float = 0.01

    def __post_init__(self) -> None:
        _check(self, "recipe")
        for part in ("plain", "debiased", "resampling"):
            _check(getattr(self, part), f"recipe.{part}")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON-able values; settings that are younger than recorded runs only where they are used."""
        values: dict[str, Any] = _plain(dataclasses.asdict(self))
        if self.vae_classes is None:
            del values["vae_classes"]
        if self.backbone == "none":
            del values["backbone"], values["C"]
        for part in ("plain", "debiased"):
            if values[part]["first_layer_rate"] is None:
                del values[part]["first_layer_rate"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The recipe that `to_dict` described.

        Raises:
            InputError: if a key is unknown (the nearest name is given) or a value is out of range.
        """
        nested = {"plain": Optimisation, "debiased": Optimisation, "resampling": Resampling}
        known = {
            key: _build(nested[key], value, f"recipe.{key}") if key in nested else value
            for key, value in values.items()
        }
        built: Recipe = _build(cls, known, "recipe")
        return built


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _build(kind: Any, values: dict[str, Any], where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a group of settings; got {values!r:.60}. Give names and values.")
    names = [f.name for f in dataclasses.fields(kind)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1) or [names[0]]
            raise InputError(
                f"{where} has no setting {key!r}; its settings are {', '.join(names)}. Did you mean {near[0]!r}?"
            )
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


_POSITIVE = {
    "learning_rate",
    "batch_size",
    "epochs",
    "bins",
    "width",
    "depth",
    "latent",
    "norm_momentum",
    "clip",
    "queue",
    "clusters",
    "C",
}
_NOT_NEGATIVE = {"weight_decay", "smoothing", "warmup", "kl_weight"}
_NUMBERS = _POSITIVE | _NOT_NEGATIVE | {"ess", "max_weight", "average", "first_layer_rate"}
_WHOLE = {"batch_size", "epochs", "bins", "width", "depth", "latent", "queue", "warmup", "clusters"}


def _check(setting: Any, where: str) -> None:
    hints = typing.get_type_hints(type(setting))
    for entry in dataclasses.fields(setting):
        value = getattr(setting, entry.name)
        if typing.get_origin(hints[entry.name]) is Literal:
            allowed = typing.get_args(hints[entry.name])
            if value not in allowed:
                raise InputError(
                    f"{where}.{entry.name} must be one of {', '.join(allowed)}; got {value!r}. Choose one of them."
                )
        if value is None or (entry.name == "epochs" and value == "auto"):
            continue
        if entry.name in _WHOLE and (not isinstance(value, int) or isinstance(value, bool)):
            raise InputError(
                f"{where}.{entry.name} must be a whole number; got {value!r}. Give a whole number."
            )
        if entry.name in _NUMBERS and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise InputError(f"{where}.{entry.name} must be a number; got {value!r}. Give a number.")
        if (entry.name in _POSITIVE and not value > 0) or (entry.name in _NOT_NEGATIVE and not value >= 0):
            bound = "larger than 0" if entry.name in _POSITIVE else "0 or larger"
            raise InputError(f"{where}.{entry.name} must be {bound}; got {value!r}. Give another value.")
        if entry.name == "vae_classes" and (
            not isinstance(value, tuple) or not value or not all(isinstance(name, str) for name in value)
        ):
            raise InputError(
                f"{where}.vae_classes must be a list of class names; got {value!r:.60}. "
                'Write for example vae_classes=["smiling"].'
            )
        if entry.name == "ess" and not 0 < value <= 1:
            raise InputError(
                f"{where}.ess is a share of a class in (0, 1]; got {value!r}. Try 0.5; 1 is uniform sampling."
            )
        if entry.name == "first_layer_rate" and not 0 < value <= 1:
            raise InputError(f"{where}.first_layer_rate is a share in (0, 1]; got {value!r}. Try 0.1.")
        if entry.name == "max_weight" and not value >= 1:
            raise InputError(f"{where}.max_weight must be 1 or larger; got {value!r}. Try 10.")
        if entry.name == "average" and not 0 < value < 1:
            raise InputError(f"{where}.average is a decay in (0, 1); got {value!r}. Try 0.99.")
        if entry.name == "batch_size" and value < 2:
            raise InputError(
                f"{where}.batch_size must be 2 or more, half of it positives; got {value}. Try 64."
            )
        if entry.name == "augmentation":
            for name in value:
                if name not in AUGMENTATIONS:
                    raise InputError(
                        f"{where}.augmentation knows {', '.join(AUGMENTATIONS)}; got {name!r}. Choose among them."
                    )
