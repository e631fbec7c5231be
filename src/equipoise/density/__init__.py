"""Latent codes or embeddings → log-density in nats, higher = more common: what a model has seen much of.

Each method stands twice in its file: pure functions, and a module that learns from training codes with
`fit` and scores any codes with `log_prob`.
"""

from equipoise.density.active import active_units
from equipoise.density.agreement import agreement, ranks
from equipoise.density.chunks import Latents, chunks
from equipoise.density.histogram import Bins, Histogram, bin_rows, histogram_bins, log_probabilities
from equipoise.density.mixture import Mixture
from equipoise.density.neighbours import Neighbours, neighbour_distances, sample
from equipoise.density.normalisation import Normalisation, normalised
from equipoise.density.principal import Moments, chunk_moments, principal_axes
from equipoise.nn import PictureTable, embed

__all__ = [
    "Bins",
    "Histogram",
    "Latents",
    "Mixture",
    "Moments",
    "Neighbours",
    "Normalisation",
    "PictureTable",
    "active_units",
    "agreement",
    "bin_rows",
    "chunk_moments",
    "chunks",
    "embed",
    "histogram_bins",
    "log_probabilities",
    "neighbour_distances",
    "normalised",
    "principal_axes",
    "ranks",
    "sample",
]
