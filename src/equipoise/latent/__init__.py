"""Latent codes of a generator, moved so that a protected attribute changes and the target does not.

A hyperplane of each attribute is fitted to labelled latents; the nearest latent under linear equations then has
the target's score and the other side of the protected attribute. A generator decodes both, and such pairs of
images join the real ones. Attributes like gender are what annotators or classifiers saw in a picture; here they
serve to make training data balanced, and to measure unequal error.
"""

from equipoise.latent.adapters import DBVAEGenerator, ModuleGenerator, ProgressiveGAN, StyleGAN
from equipoise.latent.complement import all_sides, complement, complement_by_side, mirror, onto
from equipoise.latent.generator import Generator, check_generator
from equipoise.latent.hyperplane import Hyperplane, fit_hyperplane
from equipoise.latent.inversion import invert
from equipoise.latent.kept_pairs import read_pairs
from equipoise.latent.labelled import fit_hyperplanes, scored_latents
from equipoise.latent.mixing import mixed
from equipoise.latent.nearest import nearest
from equipoise.latent.pairs import pairs, pairs_of
from equipoise.latent.scores import attribute_scores

__all__ = [
    "DBVAEGenerator",
    "Generator",
    "Hyperplane",
    "ModuleGenerator",
    "ProgressiveGAN",
    "StyleGAN",
    "all_sides",
    "attribute_scores",
    "check_generator",
    "complement",
    "complement_by_side",
    "fit_hyperplane",
    "fit_hyperplanes",
    "invert",
    "mirror",
    "mixed",
    "nearest",
    "onto",
    "pairs",
    "pairs_of",
    "read_pairs",
    "scored_latents",
]
