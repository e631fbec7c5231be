"""Other people's methods on one data set, one network and one budget; a file a family, `METHODS` lists them.

Written here from the papers, each with what differs; what a library does by itself is called: k-means and silhouettes
of scikit-learn, ThresholdOptimizer of fairlearn. `sources` says what could not be called.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from .harness import HALF, HOW, Method, Outcome, Part, Task, Trained, cell_weights, steps_of, trained
from .last_layer import afr, class_balanced, dfr, self_disagreement
from .product import fitted, wide
from .reweighting import group_dro
from .sampling import balanced, cluster_balanced, jtt, rarity, uniform, unseen_errors
from .thresholds import class_threshold, group_threshold, logit_adjustment, logit_scaling, threshold_optimizer

__all__ = [
    "HALF",
    "HOW",
    "METHODS",
    "Method",
    "Outcome",
    "Part",
    "Task",
    "Trained",
    "cell_weights",
    "sources",
    "steps_of",
    "trained",
]

OURS = f"equipoise {version('equipoise')}"
CLUSTERING = f"scikit-learn {version('scikit-learn')}"


def plain(task: Task) -> Outcome:
    return task.scored(task.plain)


def bare(task: Task) -> Outcome:
    return task.scored(task.train(augmentation=()))


METHODS: dict[str, Method] = {
    "plain, no augmentation": Method(bare, "control"),
    "plain": Method(plain, "control; flips, shifts, light"),
    "uniform sampling (control)": Method(uniform, "control"),
    "balanced sampling": Method(balanced, "control with groups", sees_groups=True),
    "GroupDRO": Method(group_dro, "Sagawa et al. 2020", sees_groups=True),
    "JTT": Method(jtt, "Liu et al. 2021"),
    "last layer, class-balanced": Method(class_balanced, "LaBonte et al. 2023"),
    "DFR": Method(dfr, "Kirichenko et al. 2023", sees_groups=True),
    "AFR": Method(afr, "Qiu et al. 2023"),
    "SELF": Method(self_disagreement, "LaBonte et al. 2023"),
    "logit adjustment": Method(logit_adjustment, "Menon et al. 2021"),
    "logit scaling per class": Method(logit_scaling, "control"),
    "threshold per class": Method(class_threshold, "control"),
    "threshold per group, in use too": Method(
        group_threshold, "control with groups", sees_groups=True, in_use=True
    ),
    "ThresholdOptimizer, in use too": Method(
        threshold_optimizer, f"fairlearn {version('fairlearn')}", sees_groups=True, in_use=True
    ),
    "unseen errors as cells": Method(unseen_errors, "own control, after Nam et al. 2020 and Liu et al. 2021"),
    "cluster-balanced sampling": Method(cluster_balanced, f"after Sohoni et al. 2020; {CLUSTERING}"),
    "rarity sampling with the plain CNN": Method(rarity, OURS),
    "rarity sampling with the plain CNN, both classes": Method(partial(rarity, classes=(0, 1)), OURS),
    "equipoise": Method(partial(fitted, name="equipoise"), OURS),
    "equipoise, uniform (control)": Method(partial(fitted, name="equipoise", method="uniform"), OURS),
    "equipoise, uniform, wide, ten views": Method(wide, OURS),
    "mit-2021": Method(partial(fitted, name="mit-2021"), f"Amini et al. 2019; MIT 6.S191, lab 2; {OURS}"),
}
"""Name → method. Those with `in_use` are to be left out where test pictures have no groups."""


def sources() -> str:
    """Where every method is from, and the library that could not be called, as Markdown."""
    listed = "; ".join(f"{name}: {method.source}" for name, method in METHODS.items())
    return (
        f"Sources: {listed}. Not called: SpuCo 2.0.3, a library of such methods, which "
        "trains networks of its own; GroupDRO, DFR, JTT and clusters are therefore written here. Installed in an "
        "environment of its own (torch 2.14.1, torchvision 0.29.1), it is called in B5, for what it makes of features."
    )
