"""Latent codes of a generator, moved so that a protected attribute changes and the target does not.

A hyperplane of each attribute is fitted to labelled latents; the nearest latent under linear equations then has
the target's score and the other side of the protected attribute. Attributes like gender are what annotators or
classifiers saw in a picture; here they serve to make training data balanced, and to measure unequal error.
"""

from equipoise.latent.complement import all_sides, complement, complement_by_side, mirror, onto
from equipoise.latent.hyperplane import LOWEST_AUROC, Hyperplane, fit_hyperplane
from equipoise.latent.nearest import nearest

__all__ = [
    "LOWEST_AUROC",
    "Hyperplane",
    "all_sides",
    "complement",
    "complement_by_side",
    "fit_hyperplane",
    "mirror",
    "nearest",
    "onto",
]
