"""Numbers about groups, with their doubt, and comparisons of models on the same images. No torch.

`evaluate` gives all numbers of one model; the other doors give one of them, or compare.
"""

from equipoise.fairness.evaluation import Evaluation, GroupNumbers, WorstGroup, evaluate, threshold_only
from equipoise.fairness.rates import (
    accuracy,
    auroc,
    false_negative_rate,
    false_positive_rate,
    mean_probability,
    threshold_at_fpr,
    true_positive_rate,
)

__all__ = [
    "Evaluation",
    "GroupNumbers",
    "WorstGroup",
    "accuracy",
    "auroc",
    "evaluate",
    "false_negative_rate",
    "false_positive_rate",
    "mean_probability",
    "threshold_at_fpr",
    "threshold_only",
    "true_positive_rate",
]
