import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import slices


def test_a_planted_group_is_measured_as_found_and_a_lost_one_as_lost():
    features, labels, logits, hidden = slices.planted(0, 2, n=3000, width=64)
    numbers = slices.groups_found((features, labels, logits, hidden), 0)
    assert [group["size"] for group in numbers["groups"]] == [(hidden == group).sum() for group in (0, 1)]
    assert max(group["purity"] for group in numbers["groups"]) >= slices.PURE
    lost = slices.groups_found((features, labels, np.where(labels == 1, 1.0, -1.0), hidden), 0)
    assert [group["together_recall"] for group in lost["groups"]] == [0.0, 0.0]


def test_the_page_tells_each_part():
    group = {"size": 9, "errors": 0.5, "purity": 0.9, "largest_purity": 0.9, "largest_recall": 0.5}
    group |= {"together_purity": 0.8, "together_recall": 0.6}
    lines = [
        {
            "method": "planted",
            "setting": {"groups": 1},
            "numbers": {"slices": 2, "unrelated": 1, "groups": [group]},
        },
        {"method": "null", "setting": {}, "numbers": {"slices": 0, "tested": 3}},
        {"method": "intervals", "setting": {}, "numbers": {"slices": 4, "held": 3}},
    ]
    told = slices.table(lines)
    assert (
        "100% of 1 groups found, purity of the best slice 0.90; 2.0 slices a run, 1.0 of them unrelated"
        in told
    )
    assert "null: 0 of 1 runs have a slice." in told
    assert "3 of 4 hold what is so" in told
