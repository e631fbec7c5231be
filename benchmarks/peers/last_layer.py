"""Peers that keep a trained network and fit its last layer again on other rows or weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from equipoise.seeds import child_seed

from .harness import Outcome, Part, Task, Trained, Watch, cell_weights, mean_of_cells, trained

PULLS = (1e-3, 1e-2, 1e-1, 1.0)
"""How strongly the layer is held back to what it was, in cross-entropy a squared unit of weight."""
Start = tuple[torch.Tensor, torch.Tensor]


def last_layer(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, start: Start, pull: float
) -> tuple[np.ndarray, float]:
    """Logistic regression from a start that pulls it back: weights and bias."""
    x, y, w = (torch.from_numpy(np.asarray(a, np.float64)) for a in (features, targets, weights))
    first = [p.detach().double().clone() for p in start]
    now = [p.clone().requires_grad_() for p in first]
    solver = torch.optim.LBFGS(now, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        each = binary_cross_entropy_with_logits(x @ now[0][0] + now[1][0], y, reduction="none")
        total = (w * each).sum() / w.sum()
        total = total + pull * sum(((a - b) ** 2).sum() for a, b in zip(now, first, strict=True))
        total.backward()
        return total

    solver.step(closure)
    return now[0][0].detach().numpy(), now[1].item()


def layer_of(network: Trained) -> Start:
    """The last layer of a standard CNN."""
    output: nn.Linear = network.model.output
    return output.weight, output.bias


def by_layer(task: Task, network: Trained, layer: tuple[np.ndarray, float], **more: object) -> Outcome:
    """The outcome of a network with another last layer."""
    weight, bias = layer
    return task.outcome(lambda part: network.features(part.images) @ weight + bias, network, **more)


def retrained(task: Task, cells: np.ndarray) -> Outcome:
    """Plain's last layer fitted to the held-out part with these cells weighing alike.

    The pull is chosen by fitting to one half of the held-out part and looking at the other, both ways.
    """
    network, part = task.plain, task.held_out
    with Watch() as watch:
        features, start = network.features(part.images), layer_of(network)
        weights = cell_weights(cells, part.target)
        half = np.random.default_rng(child_seed(task.seed, "last layer")).permutation(len(part)) % 2

        def quality(pull: float) -> float:
            logits = np.empty(len(part))
            for side in (0, 1):
                mine, other = half == side, half != side
                weight, bias = last_layer(features[mine], part.target[mine], weights[mine], start, pull)
                logits[other] = features[other] @ weight + bias
            return mean_of_cells(logits, part.target, cells)

        pull = max(PULLS, key=quality)
        layer = last_layer(features, part.target, weights, start, pull)
    return by_layer(task, network, layer, told={"pull": pull}, seconds=watch.seconds)


def class_balanced(task: Task) -> Outcome:
    """Source: LaBonte, Muthukumar, Kumar 2023, class-balanced last-layer retraining. Differs from it in: rows are
    weighted, not drawn, and the layer is pulled back to where it was."""
    return retrained(task, task.held_out.target)


def dfr(task: Task) -> Outcome:
    """Source: Kirichenko, Izmailov, Wilson 2023 (DFR on a validation part). Differs from it in: cells are weighted,
    not subsampled, and the layer is pulled back to where it was in place of an L1 penalty."""
    return retrained(task, task.held_out.cells)


def afr(task: Task, sharpness: float | None = None) -> Outcome:
    """Last layer retrained on a fifth set aside, by exp(−γ p of the right class).

    Args:
        task: What to do.
        sharpness: γ; None chooses 2, 5 or 10 by the worse class of the held-out part.

    Source: Qiu et al. 2023. Differs from it in: γ is not chosen on groups; the pull is fixed.
    """
    rng = np.random.default_rng(child_seed(task.seed, "afr"))
    aside = rng.random(len(task.training)) < 0.2
    if "aside" not in task.__dict__:
        most = task.training.take(~aside)
        task.__dict__["aside"] = trained(most.images, most.target, task.seed, task.steps)
    network: Trained = task.__dict__["aside"]
    rest = task.training.take(aside)
    with Watch() as watch:
        features, start = network.features(rest.images), layer_of(network)
        right = 1 / (1 + np.exp(-np.where(rest.target, 1, -1) * network.logits(rest.images)))
        layers = {
            gamma: last_layer(
                features,
                rest.target,
                np.exp(-gamma * right) * cell_weights(rest.target),
                start,
                pull=1e-2,
            )
            for gamma in ((2, 5, 10) if sharpness is None else (sharpness,))
        }
        seen = network.features(task.held_out.images) if len(layers) > 1 else None
        gamma = max(layers, key=lambda g: 0 if seen is None else worse_class(seen, task.held_out, layers[g]))
    return by_layer(task, network, layers[gamma], told={"gamma": gamma}, seconds=watch.seconds)


def worse_class(features: np.ndarray, part: Part, layer: tuple[np.ndarray, float]) -> float:
    """Accuracy of the class that is worse off."""
    right = (features @ layer[0] + layer[1] >= 0) == part.target
    return float(min(right[part.target == label].mean() for label in (0, 1)))


def self_disagreement(task: Task, share: float = 0.25) -> Outcome:
    """Last layer fitted to the held-out pictures in which plain and a network stopped early disagree most.

    Source: LaBonte, Muthukumar, Kumar 2023, Towards last-layer retraining for group robustness with fewer
    annotations (SELF, early-stop disagreement by KL). Differs from it in: the network stopped early is of a run of
    its own; a fixed share of pictures, weighted by class; the layer is pulled back to where it was.
    """
    network, part = task.plain, task.held_out
    with Watch() as watch:
        gap = divergence(network.logits(part.images), task.early.logits(part.images))
        chosen = part.take(np.argsort(-gap, kind="stable")[: max(2, round(share * len(part)))])
        both = len(np.unique(chosen.target)) == 2
        rows = chosen if both else part  # a choice of one class cannot be balanced
        weights = cell_weights(rows.target)
        layer = last_layer(network.features(rows.images), rows.target, weights, layer_of(network), 1e-2)
    told = {"pictures": len(rows)}
    weight, bias = layer
    return task.outcome(
        lambda p: network.features(p.images) @ weight + bias,
        network,
        task.early,
        told=told,
        seconds=watch.seconds,
    )


def divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """KL of the second's class probabilities from the first's, nats."""
    p, q = (1 / (1 + np.exp(-np.clip(logits, -30, 30))) for logits in (first, second))
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
