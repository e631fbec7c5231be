"""What SpuCo makes of features: groups it infers, and its own last layer; run by a Python that has it.

    python benchmarks/peers/spuco_groups.py IN.npz OUT.npz

IN holds of the training pictures `features`, `labels`, and cross-fitted `logits` (n, 2); of two halves of pictures with
known groups `fit_features`, `fit_labels`, `fit_groups`, and the same of `validation`; and `seed`. OUT
holds group ids of the training pictures by EIIL, JTTInference and Cluster, and the layer of DFR as `DFR` (d + 1,) for
features as they are, each with its processor seconds.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from spuco.datasets import GroupLabeledDatasetWrapper
from spuco.group_inference import EIIL, Cluster, JTTInference
from spuco.last_layer_retrain import DFR
from spuco.models import SpuCoModel
from spuco.utils import set_seed
from torch.utils.data import TensorDataset

STEPS, RATE = 20_000, 1e-2
"""Of EIIL, as SpuCo's own examples have them."""
CLUSTERS = 2


def ids_of(partition: dict[tuple[int, int], list[int]], many: int) -> np.ndarray:
    """Group ids out of a partition."""
    found = np.full(many, -1)
    for number, key in enumerate(sorted(partition)):
        found[np.asarray(partition[key], int)] = number
    return found


def labelled(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> GroupLabeledDatasetWrapper:
    """Pictures with known groups, as SpuCo takes them."""
    pictures = TensorDataset(torch.from_numpy(features), torch.from_numpy(labels))
    partition = {(0, int(group)): np.flatnonzero(groups == group).tolist() for group in np.unique(groups)}
    return GroupLabeledDatasetWrapper(pictures, partition)


def last_layer(given: dict[str, np.ndarray]) -> np.ndarray:
    """DFR of the half that fits, chosen on the other: coefficients and bias for features as they are."""
    sides = [
        labelled(*(given[f"{side}_{what}"] for what in ("features", "labels", "groups")))
        for side in ("fit", "validation")
    ]
    training = TensorDataset(torch.from_numpy(given["features"]), torch.from_numpy(given["labels"]))
    model = SpuCoModel(torch.nn.Identity(), given["features"].shape[1], 2)
    dfr = DFR(sides[0], model, validation_set=sides[1], data_for_scaler=training)
    dfr.train()
    _, coefficients, bias, scaler = dfr.linear_model
    slope = coefficients[0] / scaler.scale_
    return np.append(slope, bias[0] - slope @ scaler.mean_)


def main() -> None:
    given = dict(np.load(sys.argv[1]))
    set_seed(int(given["seed"]))
    labels, logits, many = given["labels"].tolist(), torch.from_numpy(given["logits"]), len(given["labels"])
    inferring = {
        "EIIL": lambda: EIIL(logits, labels, STEPS, RATE),
        "JTTInference": lambda: JTTInference(logits.argmax(1).tolist(), labels),
        "Cluster": lambda: Cluster(torch.from_numpy(given["features"]), labels, num_clusters=CLUSTERS),
    }
    found: dict[str, np.ndarray] = {}
    for name, infer in inferring.items():
        began = time.process_time()
        found[name] = ids_of(infer().infer_groups(), many)
        found[f"{name} seconds"] = np.array(time.process_time() - began)
    began = time.process_time()
    found["DFR"] = last_layer(given)
    found["DFR seconds"] = np.array(time.process_time() - began)
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
