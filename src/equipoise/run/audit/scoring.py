"""Which risks an audit tells, and how its methods learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from equipoise.errors import InputError
from equipoise.risk import (
    MVE,
    VAE,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    LastLayer,
    Method,
    Neighbours,
    Thresholds,
)
from equipoise.run.audit.accuracy import check_expected
from equipoise.run.naming import Naming
from equipoise.run.sources import Source
from equipoise.seeds import child_seed

__all__ = ["AUDIT_METHODS", "TITLES", "Scoring"]

#: Name of a risk that an audit can tell → its method, made with a seed.
AUDIT_METHODS: dict[str, Callable[[int], Method]] = {
    "neighbours": lambda seed: Neighbours(seed=seed),
    "histogram": lambda seed: Histogram(),
    "histogram_vae": lambda seed: HistogramVAE(seed=seed),
    "vae": lambda seed: VAE(seed=seed),
    "dropout": lambda seed: Dropout(seed=seed),
    "last_layer": lambda seed: LastLayer(seed=seed),
    "ensemble": lambda seed: Ensemble(seed=seed),
    "mve": lambda seed: MVE(seed=seed),
}
"""Name → a method with its usual settings, from a seed."""

TITLES = {
    "neighbours": "far from its neighbours",
    "histogram": "rare features",
    "histogram_vae": "rare in a VAE's code",
    "vae": "badly reconstructed",
    "dropout": "dropout disagrees",
    "last_layer": "last layer unsure",
    "ensemble": "members disagree",
    "mve": "noise expected",
}


@dataclass(frozen=True, eq=False)
class Scoring:
    """How risks are told.

    Args:
        reference: The training data, with labels: methods learn from it and score all images. None: each half of the
            images is scored by methods that learned from the other half.
        methods: Names out of `AUDIT_METHODS`; at least one of representation and one of epistemic risk.
        epochs: Passes of methods with layers of their own; None makes about 400 steps of them.
        expect_accuracy: What is known of the model, in [0, 1]: an audit whose measured accuracy is off by more than
            its interval is refused before methods learn.
        thresholds: From which percentile on an image is rare, hard, mislabelled, a bad picture.
        naming: Words that hidden groups are compared with, and the model by which they are.
    """

    reference: Source = None
    methods: Sequence[str] = ("neighbours", "last_layer", "mve")
    epochs: int | None = None
    expect_accuracy: float | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    naming: Naming = field(default_factory=Naming)

    def chosen(self, seed: int) -> dict[str, Method]:
        """Methods by name; the split into kinds needs both of the risks that it rests on.

        Raises:
            InputError: if a name is not known, one of the two is missing, nothing can be learned, or what is expected
                is no share.
        """
        check_expected(self.expect_accuracy)
        if self.epochs is not None and self.epochs < 1:
            raise InputError(
                f"`epochs` must be 1 or larger; got {self.epochs}. Leave it out for about 400 steps."
            )
        chosen: dict[str, Method] = {}
        for name in (name.replace("-", "_") for name in self.methods):
            if name not in AUDIT_METHODS:
                raise InputError(
                    f"`methods` must be among {', '.join(AUDIT_METHODS)}; got {name!r}. Choose some of them."
                )
            chosen[name] = AUDIT_METHODS[name](child_seed(seed, name))
        told_of = {kind for method in chosen.values() for kind in method.kinds}
        missing = [kind for kind in ("representation", "epistemic") if kind not in told_of]
        if missing:
            raise InputError(
                f"Expected methods of representation and of epistemic risk; got none of {' and '.join(missing)} risk "
                f"among {', '.join(chosen) or 'none'}. Add one: neighbours, last_layer."
            )
        return chosen
