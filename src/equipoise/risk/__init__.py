"""Wrap any model, get its risks: how badly represented, uncertain or noisy each prediction is.

`Method(...)(model)` gives a `Wrapped` model that behaves as before, and tells a `Risk` when asked. A file a method.
"""

from equipoise.risk.compose import Compose
from equipoise.risk.histogram import Histogram
from equipoise.risk.histogram_vae import HistogramVAE
from equipoise.risk.mve import MVE
from equipoise.risk.percentiles import Percentiles
from equipoise.risk.risk import KINDS, Kind, Risk
from equipoise.risk.vae import VAE
from equipoise.risk.wrapped import Method, Wrapped

__all__ = [
    "KINDS",
    "MVE",
    "VAE",
    "Compose",
    "Histogram",
    "HistogramVAE",
    "Kind",
    "Method",
    "Percentiles",
    "Risk",
    "Wrapped",
]
