"""Features with a shortcut that is planted here: it says the class more clearly than what the class is about."""

import numpy as np
import pytest


def planted(n=900, *, classes=2, failing=0.06, shares=None, seed=0, clear=4.0):
    """Features, labels, and groups: the class that the shortcut says."""
    chance = np.random.default_rng(seed)
    labels = chance.choice(classes, n, p=shares)
    off = chance.random(n) < failing
    said = np.where(off, (labels + chance.integers(1, classes, n)) % classes, labels)
    features = chance.normal(size=(n, 6 + 2 * classes))
    features[:, :classes] += 2.0 * np.eye(classes)[labels]
    features[:, classes : 2 * classes] += clear * np.eye(classes)[said]
    return (3 * features + 10).astype(np.float32), labels, said


def worst(layer, features, labels, groups):
    """Accuracy of the worst cell of class × group."""
    import torch

    with torch.no_grad():
        logits = layer(torch.from_numpy(features)).numpy()
    said = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    cells = labels * (groups.max() + 1) + groups
    return min((said == labels)[cells == cell].mean() for cell in np.unique(cells))


@pytest.fixture
def scene():
    return planted


@pytest.fixture
def worst_group():
    return worst
