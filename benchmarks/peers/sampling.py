"""Peers that draw some training pictures more often than others; the network and its loss stay plain."""

from __future__ import annotations

import numpy as np

from equipoise.resample import temper
from equipoise.train.appearance import appearance_rarity

from .clusters import class_clusters
from .harness import Outcome, Part, Task, Watch, cell_weights, drawing


def uniform(task: Task) -> Outcome:
    """Control of all that draw rows: drawn with replacement, all alike."""
    return task.scored(task.train(probabilities=np.ones(len(task.training))))


def balanced(task: Task) -> Outcome:
    """Classes equally often, within a class its cells equally often."""
    weights = cell_weights(task.training.cells, task.training.target)
    return task.scored(task.train(probabilities=weights), told=drawing(task.training, weights))


def jtt(task: Task, times: int = 5) -> Outcome:
    """Just train twice: errors of a classifier stopped early are drawn `times` as often.

    Source: Liu et al. 2021. Differs from it in: the first network stops after a quarter of the steps, and nothing is
    tuned on groups.
    """
    with Watch() as watch:
        weights = upweighted(task.early.logits(task.training.images), task.training.target, times)
    told = drawing(task.training, weights) | {"errors": float((weights > 1).mean())}
    network = task.train(probabilities=weights)
    return task.scored(network, task.early, told=told, seconds=watch.seconds)


def upweighted(logits: np.ndarray, target: np.ndarray, times: float) -> np.ndarray:
    """`times` for rows that are called wrong, 1 for the others."""
    return np.where((logits >= 0) != target, float(times), 1.0)


def unseen_errors(task: Task) -> Outcome:
    """Class × whether out-of-fold right, in place of class × group: drawn equally often."""
    weights = cell_weights(task.unseen_cells)
    told = drawing(task.training, weights) | {"errors": float((task.unseen_cells % 2 == 0).mean())}
    return task.scored(task.train(probabilities=weights), task.halves[1], told=told)


def cluster_balanced(task: Task) -> Outcome:
    """Clusters of early features within each class, drawn equally often.

    Source: Sohoni et al. 2020 (GEORGE). Differs from it in: clusters are drawn equally often, where there GroupDRO
    is trained on them; k-means on eight principal axes.
    """
    with Watch() as watch:
        cells, told = class_clusters(
            *((task.early.features(part.images), part.target) for part in (task.training, task.held_out)),
            seed=task.seed,
        )
    weights = cell_weights(cells, task.training.target)
    network = task.train(probabilities=weights)
    told |= drawing(task.training, weights)
    return task.scored(network, task.early, told=told, seconds=watch.seconds)


def rarity(task: Task, classes: tuple[int, ...] = (1,), ess: float = 0.5) -> Outcome:
    """The rule of recipe "equipoise" on the plain network: pictures of some classes drawn by how rare they look."""
    with Watch() as watch:
        weights = rarity_weights(task.training, classes, ess)
    network = task.train(probabilities=weights)
    return task.scored(network, told=drawing(task.training, weights), seconds=watch.seconds)


def rarity_weights(part: Part, classes: tuple[int, ...], ess: float) -> np.ndarray:
    """Within each of the classes by rarity of appearance at an effective sample size; classes keep their shares."""
    weights = np.ones(len(part))
    for label in classes:
        mine = np.flatnonzero(part.target == label)
        rare = appearance_rarity(
            lambda mine=mine: (part.images[mine[start : start + 512]] for start in range(0, len(mine), 512))
        )
        weights[mine] = len(mine) * temper(rare.numpy(), ess=ess, max_weight=10.0)
    return weights
