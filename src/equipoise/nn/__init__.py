"""Networks and their losses: the labs' standard CNN and decoder, the debiasing VAE, any classifier as a baseline.

Modules take float images (batch, channels, height, width) in [0, 1]; `pixels` makes them from stored
pictures.
"""

from equipoise.nn.dbvae import DBVAE
from equipoise.nn.decoder import Decoder
from equipoise.nn.digest import architecture_digest, digest_of
from equipoise.nn.embedding import embed
from equipoise.nn.losses import kl_divergence, reparameterise
from equipoise.nn.modes import evaluating, modes_kept
from equipoise.nn.objective import Classifier, Losses, Objective
from equipoise.nn.passes import affordable, home, placed, run_over, slices
from equipoise.nn.pixels import pixels
from equipoise.nn.standard_cnn import StandardCNN

__all__ = [
    "DBVAE",
    "Classifier",
    "Decoder",
    "Losses",
    "Objective",
    "StandardCNN",
    "affordable",
    "architecture_digest",
    "digest_of",
    "embed",
    "evaluating",
    "home",
    "kl_divergence",
    "modes_kept",
    "pixels",
    "placed",
    "reparameterise",
    "run_over",
    "slices",
]
