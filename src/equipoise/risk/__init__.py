"""Wrap any model, get its risks: how badly represented, uncertain or noisy each prediction is.

`Method(...)(model)` gives a `Wrapped` model that behaves as before, and tells a `Risk` when asked. A file a method.
"""

from equipoise.pictures.quality import picture_quality
from equipoise.risk.analysis import (
    accuracy_by_decile,
    correlation,
    correlations,
    deciles,
    detection_auroc,
    extremes,
    mean_images,
    percentile_ranks,
    precision_at_recall,
)
from equipoise.risk.compose import Compose
from equipoise.risk.coverage import rejection, risk_coverage
from equipoise.risk.dropout import Dropout
from equipoise.risk.ensemble import Ensemble
from equipoise.risk.histogram import Histogram
from equipoise.risk.histogram_vae import HistogramVAE
from equipoise.risk.kept import KeptFeatures
from equipoise.risk.kinds import IMAGE_KINDS, Thresholds, kinds, quality_score
from equipoise.risk.label_noise import label_noise
from equipoise.risk.last_layer import LastLayer
from equipoise.risk.mve import MVE
from equipoise.risk.neighbours import Neighbours
from equipoise.risk.percentiles import Percentiles
from equipoise.risk.risk import KINDS, Risk
from equipoise.risk.scores import write_risks
from equipoise.risk.vae import VAE
from equipoise.risk.wrapped import Method, Wrapped

__all__ = [
    "IMAGE_KINDS",
    "KINDS",
    "MVE",
    "VAE",
    "Compose",
    "Dropout",
    "Ensemble",
    "Histogram",
    "HistogramVAE",
    "KeptFeatures",
    "LastLayer",
    "Method",
    "Neighbours",
    "Percentiles",
    "Risk",
    "Thresholds",
    "Wrapped",
    "accuracy_by_decile",
    "correlation",
    "correlations",
    "deciles",
    "detection_auroc",
    "extremes",
    "kinds",
    "label_noise",
    "mean_images",
    "percentile_ranks",
    "picture_quality",
    "precision_at_recall",
    "quality_score",
    "rejection",
    "risk_coverage",
    "write_risks",
]
