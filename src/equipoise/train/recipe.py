"""`Recipe`: a frozen dataclass that is the whole training setting; the labs' recipes and ours by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """The whole training setting. Saved with every run."""

    name: str
    model: Literal["cnn", "dbvae"] = "dbvae"
    # network
    width: int = 12
    depth: int = 4
    latent: int = 100
    image_size: int = 64
    reconstruction: Literal["l1", "squared_l2"] = "l1"
    decoder_output: Literal["relu", "linear", "sigmoid"] = "relu"
    kl_weight: float = 0.0005
    # optimisation
    optimizer: Literal["adam", "adagrad", "adadelta"] = "adam"
    learning_rate: float = 5e-4
    schedule: Literal["constant", "one-cycle"] = "constant"
    weight_decay: float = 0.0
    batch_size: int = 32
    epochs: int = 6
    augmentation: tuple[str, ...] = ()
    # resampling: None = uniform
    rule: Literal["max", "product", "equipoise"] | None = "max"
    bins: int = 10
    smoothing: float = 0.001
    ess: float | None = None  # target effective sample size; None = as the rule gives it
    max_weight: float | None = None
    renew: Literal["every-epoch", "once"] = "every-epoch"
    source: str = ""


RECIPES: dict[str, Recipe] = {}
