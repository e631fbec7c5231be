"""What is rare is drawn more often: latent codes → log weights (rules), or risks, → weights with a chosen effective
sample size → batches, and what these draw.
"""

from equipoise.resample.cells import cell_rows
from equipoise.resample.inclusion import Draws, inclusion_probabilities
from equipoise.resample.risk import risk_weights
from equipoise.resample.rules import (
    capsa_rule,
    cluster_rule,
    equipoise_rule,
    max_rule,
    mixture_rule,
    neighbours_rule,
    product_rule,
)
from equipoise.resample.sampler import AdaptiveSampler
from equipoise.resample.weights import DegenerateWeightsError, effective_sample_size, sampling_weights, temper

__all__ = [
    "AdaptiveSampler",
    "DegenerateWeightsError",
    "Draws",
    "capsa_rule",
    "cell_rows",
    "cluster_rule",
    "effective_sample_size",
    "equipoise_rule",
    "inclusion_probabilities",
    "max_rule",
    "mixture_rule",
    "neighbours_rule",
    "product_rule",
    "risk_weights",
    "sampling_weights",
    "temper",
]
