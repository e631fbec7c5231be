"""Latent codes or embeddings → log-density in nats, higher = more common: what a model has seen much of.

Each method stands twice in its file: pure functions, and a module that learns from training codes with
`fit` and scores any codes with `log_prob`.
"""

from equipoise.density.active import active_units
from equipoise.density.agreement import agreement, ranks
from equipoise.density.cell_moments import CellMoments
from equipoise.density.chunks import Latents, chunks
from equipoise.density.histogram import Bins, HistogramDensity, bin_rows, histogram_bins, log_probabilities
from equipoise.density.mixture import Mixture
from equipoise.density.neighbours import NeighbourDensity
from equipoise.density.normalisation import normalised
from equipoise.density.principal import Moments, moments

__all__ = [
    "Bins",
    "CellMoments",
    "HistogramDensity",
    "Latents",
    "Mixture",
    "Moments",
    "NeighbourDensity",
    "active_units",
    "agreement",
    "bin_rows",
    "chunks",
    "histogram_bins",
    "log_probabilities",
    "moments",
    "normalised",
    "ranks",
]
