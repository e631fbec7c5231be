"""The labs' recipes and ours by name.

The labs' settings are facts from the courses MIT 6.S191 (labs of 2021 and 2023, assignment 7) and from
a public re-implementation of 2025; `equipoise` is our default; how it was chosen, and what that does to its
figures, stands in benchmarks/README.md.
"""

from __future__ import annotations

import dataclasses
import difflib

from equipoise.errors import InputError
from equipoise.train.recipe import Optimisation, Recipe, Resampling

__all__ = ["RECIPES", "recipe"]

_OURS = Optimisation(
    learning_rate=2e-3,
    schedule="one-cycle",
    batch_size=64,
    epochs="auto",
    augmentation=("flip", "shift", "light"),
    clip=1.0,
)
_LATENT = dataclasses.replace(_OURS, epochs=6)
_TUNED = Optimisation(
    "adamw",
    learning_rate=2e-4,
    schedule="one-cycle",
    weight_decay=0.01,
    epochs=3,
    augmentation=("flip", "shift", "light"),
    clip=1.0,
    average=0.98,
    first_layer_rate=0.1,
)
_RARE = Resampling(rule="neighbours", ess=0.85, max_weight=10.0, renew="once")
_WRONG = Resampling(rule="errors", max_weight=10.0, renew="once")

#: Name → recipe: the labs' settings and ours.
RECIPES: dict[str, Recipe] = {
    entry.name: entry
    for entry in (
        Recipe(
            "equipoise",
            "Our default: the labs' CNN with a better schedule; positives drawn by how rare they look.",
            plain=_OURS,
            debiased=_OURS,
            resampling=Resampling(rule="appearance", ess=0.85, max_weight=10.0, renew="once"),
            objective="classifier",
            mirror=True,
            norm_momentum=0.1,
        ),
        Recipe(
            "equipoise-latent",
            "A DB-VAE with a better schedule; positives drawn by how rare their codes are, taken while training.",
            plain=_LATENT,
            debiased=_LATENT,
            resampling=Resampling(rule="equipoise", ess=0.5, max_weight=10.0, warmup=1, harvest=True),
            decoder_output="linear",
            norm_momentum=0.1,
        ),
        Recipe(
            "probe",
            "A last layer on the features of your network, which stays as it is: seconds once they are computed.",
            resampling=_RARE,
            objective="classifier",
            backbone="frozen",
        ),
        Recipe(
            "fine-tune",
            "All layers of your network, from a fitted last layer on; early layers learn slowly.",
            plain=_TUNED,
            debiased=_TUNED,
            resampling=_RARE,
            objective="classifier",
            backbone="trained",
        ),
        Recipe(
            "errors-as-groups",
            "As equipoise, but images that plain models of half the data get wrong are drawn as often as the others.",
            plain=_OURS,
            debiased=_OURS,
            resampling=_WRONG,
            objective="classifier",
            mirror=True,
            norm_momentum=0.1,
        ),
        Recipe(
            "fine-tune-errors",
            "As fine-tune, with images that a last layer of half the data gets wrong drawn as often as the others.",
            plain=_TUNED,
            debiased=_TUNED,
            resampling=_WRONG,
            objective="classifier",
            backbone="trained",
        ),
        Recipe(
            "mit-2021",
            "MIT 6.S191, lab 2 of 2021 (Amini et al. 2019).",
            plain=Optimisation(epochs=2),
            resampling=Resampling(rule="max"),
            precision="32-true",
        ),
        Recipe(
            "assignment-7",
            "The course assignment: as mit-2021 with squared-L2 reconstruction; α is the thing to vary.",
            plain=Optimisation(epochs=2),
            resampling=Resampling(rule="max"),
            reconstruction="squared_l2",
            precision="32-true",
        ),
        Recipe(
            "inspiredk-2025",
            "A public re-implementation of 2025: k = 150, Adadelta, one pass, weights once.",
            plain=Optimisation("adagrad", 5e-3, batch_size=64, epochs=1),
            debiased=Optimisation("adadelta", 0.3, epochs=1),
            resampling=Resampling(rule="max", smoothing=0.0, renew="once"),
            latent=150,
            precision="32-true",
        ),
        Recipe(
            "capsa-2023",
            "MIT 6.S191, lab 3 of 2023: histogram VAE, weights from density and reconstruction error.",
            plain=Optimisation(learning_rate=1e-4),
            debiased=Optimisation(learning_rate=1e-4),
            resampling=Resampling(rule="capsa", bins=5, queue=2000),
            split="first-80",
            precision="32-true",
        ),
    )
}


def recipe(name: str | Recipe) -> Recipe:
    """A recipe by name; a recipe is given back as it is.

    Raises:
        InputError: if there is no recipe of that name.
    """
    if isinstance(name, Recipe):
        return name
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1, 0.0)[0]
        raise InputError(
            f"A recipe must be one of {', '.join(RECIPES)}; got {name!r}. Did you mean {near!r}?"
        )
    return RECIPES[name]
