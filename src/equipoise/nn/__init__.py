"""Networks and their losses: the labs' standard CNN and decoder, the debiasing VAE, any classifier as a baseline; any
pretrained network as a `Backbone`, its features once, and a last layer on them.

Modules take float images (batch, channels, height, width) in [0, 1]; `pixels` makes them from stored
pictures.
"""

from equipoise.nn.backbone import Backbone, FeatureExtractor, Pass
from equipoise.nn.dbvae import DBVAE
from equipoise.nn.decoder import Decoder
from equipoise.nn.digest import architecture_digest, digest_of
from equipoise.nn.embedding import embed
from equipoise.nn.feature_store import FeatureStore
from equipoise.nn.features import Pace, features
from equipoise.nn.last_layer import BackboneClassifier, last_layer, with_last_layer
from equipoise.nn.linear import fit_linear
from equipoise.nn.losses import kl_divergence, reparameterise
from equipoise.nn.modes import evaluating, modes_kept
from equipoise.nn.named import named_backbone
from equipoise.nn.objective import Classifier, Losses, Objective
from equipoise.nn.passes import affordable, home, placed, run_over, slices
from equipoise.nn.pixels import pixels
from equipoise.nn.preprocessing import Preprocessing
from equipoise.nn.rank_norm import RankNorm
from equipoise.nn.ranks import RankGenerator, gathered, normal
from equipoise.nn.standard_cnn import StandardCNN

__all__ = [
    "DBVAE",
    "Backbone",
    "BackboneClassifier",
    "Classifier",
    "Decoder",
    "FeatureExtractor",
    "FeatureStore",
    "Losses",
    "Objective",
    "Pace",
    "Pass",
    "Preprocessing",
    "RankGenerator",
    "RankNorm",
    "StandardCNN",
    "affordable",
    "architecture_digest",
    "digest_of",
    "embed",
    "evaluating",
    "features",
    "fit_linear",
    "gathered",
    "home",
    "kl_divergence",
    "last_layer",
    "modes_kept",
    "named_backbone",
    "normal",
    "pixels",
    "placed",
    "reparameterise",
    "run_over",
    "slices",
    "with_last_layer",
]
