"""Numbers about groups, with their doubt, and comparisons of models on the same images. No torch.

`evaluate` gives all numbers of one model, `compare` what changed between models, `threshold_only` the control
that moves nothing but the threshold. `evaluate_classes` and `compare_classes` do the same for any number of classes, by
class × group cell, `evaluate_counts` and `compare_counts` from `ClassCounts`, which merge; `one_vs_rest` gives
detection numbers of one class, `frame` all these from a table of predictions. `windows` the PPB protocol, `enrichment`
whether resampling drew the rare groups more often; `attribute_metrics` and `compare_attributes` ask whether the
classifier of one attribute leans on another. Scores are probabilities; those of `from_logits` and `train.predict` keep
their logits and are ranked by them. The other doors give one number each. How intervals are made:
`equipoise.intervals`.
"""

from equipoise.fairness.attribute_comparison import AttributeDifference, compare_attributes
from equipoise.fairness.attributes import (
    AttributeMetrics,
    Cell,
    attribute_metrics,
    threshold_at_equal_error,
    threshold_at_prevalence,
)
from equipoise.fairness.class_comparison import (
    ClassComparison,
    ClassDifference,
    compare_classes,
    compare_counts,
)
from equipoise.fairness.class_counts import ClassCounts
from equipoise.fairness.classes import ClassEvaluation, GroupClasses, evaluate_classes, evaluate_counts
from equipoise.fairness.compare import Comparison, Difference, compare
from equipoise.fairness.enrichment import enrichment, rare_groups, shares, verdict
from equipoise.fairness.evaluation import Evaluation, WorstGroup, evaluate, threshold_only
from equipoise.fairness.frame import frame
from equipoise.fairness.metric_frames import MetricTable, from_metric_frame, metric_frame
from equipoise.fairness.one_vs_rest import one_vs_rest
from equipoise.fairness.operating import negatives_needed
from equipoise.fairness.predictions import Evaluated, PredictionColumns, Predictions
from equipoise.fairness.rates import (
    accuracy,
    auroc,
    false_negative_rate,
    false_positive_rate,
    mean_probability,
    threshold_at_fpr,
    true_positive_rate,
)
from equipoise.fairness.windows import windows
from equipoise.probabilities import from_logits

__all__ = [
    "AttributeDifference",
    "AttributeMetrics",
    "Cell",
    "ClassComparison",
    "ClassCounts",
    "ClassDifference",
    "ClassEvaluation",
    "Comparison",
    "Difference",
    "Evaluated",
    "Evaluation",
    "GroupClasses",
    "MetricTable",
    "PredictionColumns",
    "Predictions",
    "WorstGroup",
    "accuracy",
    "attribute_metrics",
    "auroc",
    "compare",
    "compare_attributes",
    "compare_classes",
    "compare_counts",
    "enrichment",
    "evaluate",
    "evaluate_classes",
    "evaluate_counts",
    "false_negative_rate",
    "false_positive_rate",
    "frame",
    "from_logits",
    "from_metric_frame",
    "mean_probability",
    "metric_frame",
    "negatives_needed",
    "one_vs_rest",
    "rare_groups",
    "shares",
    "threshold_at_equal_error",
    "threshold_at_fpr",
    "threshold_at_prevalence",
    "threshold_only",
    "true_positive_rate",
    "verdict",
    "windows",
]
