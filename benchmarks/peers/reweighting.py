"""Peers that change the loss of rows, not how often they are drawn."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from .harness import Outcome, RowLoss, Task, Trained, cell_weights


def weighted(task: Task) -> Outcome:
    """Loss of each row over the share of its cell."""
    weights = torch.from_numpy(cell_weights(task.training.cells, task.training.target)).float()

    def loss(logits: torch.Tensor, targets: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return binary_cross_entropy_with_logits(logits, targets, weight=weights[rows])

    return task.scored(task.train(row_loss=loss))


class WorstCells:
    """The loss of GroupDRO, online: weights q of the cells move to those with the largest loss.

    Source: Sagawa, Koh, Hashimoto, Liang 2020, algorithm 1. Differs from it in: nothing; the network has no strong
    weight decay.
    """

    def __init__(self, cells: np.ndarray, rate: float = 0.01) -> None:
        self.names, place = np.unique(cells, return_inverse=True)
        self.q = torch.full((len(self.names),), 1 / len(self.names))
        self.ids, self.rate = torch.from_numpy(place), rate

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        each = binary_cross_entropy_with_logits(logits, targets, reduction="none")
        here = torch.nn.functional.one_hot(self.ids[rows], len(self.names)).float()
        means = (each[:, None] * here).sum(0) / here.sum(0).clamp(min=1)
        q = self.q * torch.exp(self.rate * means.detach())
        self.q = q / q.sum()
        return (self.q * means).sum()


def robust(task: Task, cells: np.ndarray) -> tuple[Trained, WorstCells]:
    """GroupDRO on some cells, drawn equally often within their class, classes equally often."""
    loss = WorstCells(cells)
    probabilities = cell_weights(cells, task.training.target)
    return task.train(probabilities=probabilities, row_loss=loss), loss


def group_dro(task: Task) -> Outcome:
    network, loss = robust(task, task.training.cells)
    weights = {str(name): float(value) for name, value in zip(loss.names, loss.q, strict=True)}
    return task.scored(network, told={"q": weights})


def prior(labels: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Log odds of label 1 among the rows with the same given value, 0 or 1."""
    shares = np.array([labels[given == value].mean() for value in (0, 1)])
    return np.log(shares / (1 - shares))[given]


def on_top_of(bias: np.ndarray) -> RowLoss:
    """Cross-entropy of logits that are added to what is known already."""
    known = torch.from_numpy(bias).float()
    return lambda logits, targets, rows: binary_cross_entropy_with_logits(logits + known[rows], targets)
