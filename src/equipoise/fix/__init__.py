"""A new last layer for those whom the old one fails: from features and labels, in seconds.

Pure functions of rows on axes, one a paper; `FIXES` names them; `refit` fits one, `choose` finds the best without
labels of groups and without test data, `refit_shards` fits what memory does not hold. Features come from
`nn.features`; the layer goes back into the network.
"""

from equipoise.fix.axes import Axes, feature_moments
from equipoise.fix.choice import Choice, choose
from equipoise.fix.group_thresholds import group_thresholds
from equipoise.fix.refit import cross_fitted, refit
from equipoise.fix.registry import FIXES, Fix
from equipoise.fix.rows import Known, Rows
from equipoise.fix.sharded import refit_shards
from equipoise.fix.trial import LEAVE, Candidate

__all__ = [
    "FIXES",
    "LEAVE",
    "Axes",
    "Candidate",
    "Choice",
    "Fix",
    "Known",
    "Rows",
    "choose",
    "cross_fitted",
    "feature_moments",
    "group_thresholds",
    "refit",
    "refit_shards",
]
