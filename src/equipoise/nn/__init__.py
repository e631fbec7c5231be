"""Networks and their losses: the labs' standard CNN and decoder, the debiasing VAE, any classifier as a baseline.

Modules take float images (batch, channels, height, width) in [0, 1]; `pixels` makes them from stored
pictures.
"""

from equipoise.nn.dbvae import DBVAE, Encoding
from equipoise.nn.decoder import Decoder
from equipoise.nn.digest import architecture_digest, digest_of
from equipoise.nn.embedding import embed
from equipoise.nn.losses import (
    db_vae_loss,
    kl_divergence,
    l1_reconstruction,
    reparameterise,
    squared_l2_reconstruction,
    vae_loss,
)
from equipoise.nn.modes import evaluating, modes_kept
from equipoise.nn.objective import Classifier, Losses, Objective
from equipoise.nn.passes import PictureTable, affordable, home, placed, run_over, slices
from equipoise.nn.pixels import pixels
from equipoise.nn.standard_cnn import StandardCNN

__all__ = [
    "DBVAE",
    "Classifier",
    "Decoder",
    "Encoding",
    "Losses",
    "Objective",
    "PictureTable",
    "StandardCNN",
    "affordable",
    "architecture_digest",
    "db_vae_loss",
    "digest_of",
    "embed",
    "evaluating",
    "home",
    "kl_divergence",
    "l1_reconstruction",
    "modes_kept",
    "pixels",
    "placed",
    "reparameterise",
    "run_over",
    "slices",
    "squared_l2_reconstruction",
    "vae_loss",
]
