"""A new last layer for those whom the old one fails: from features and labels, in seconds.

Pure functions of rows on axes, one a paper; `FIXES` names them; `refit` fits one, `choose` finds the best without
labels of groups and without test data. Features come from `nn.features`; the layer goes back into the network.
"""

from equipoise.fix.axes import Axes
from equipoise.fix.choice import Choice, choose
from equipoise.fix.group_thresholds import group_thresholds
from equipoise.fix.refit import cross_fitted, refit
from equipoise.fix.registry import FIXES, Fix
from equipoise.fix.rows import Known, Rows
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
    "group_thresholds",
    "refit",
]
