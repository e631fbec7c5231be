import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import fine_categories
import slices


def test_a_planted_group_is_measured_as_found_and_a_lost_one_as_lost():
    features, labels, logits, hidden = slices.planted(0, 2, n=3000, width=64)
    numbers = slices.groups_found((features, labels, logits, hidden), 0)
    assert [group["size"] for group in numbers["groups"]] == [(hidden == group).sum() for group in (0, 1)]
    assert max(group["purity"] for group in numbers["groups"]) >= slices.PURE
    lost = slices.groups_found((features, labels, np.where(labels == 1, 1.0, -1.0), hidden), 0)
    assert [group["together_recall"] for group in lost["groups"]] == [0.0, 0.0]


def test_the_page_tells_each_part():
    group = {"size": 9, "errors": 0.5, "rest": 0.1, "purity": 0.9, "in_any": 0.7, "rest_in_any": 0.1}
    group |= {"largest_purity": 0.9, "largest_recall": 0.5, "together_purity": 0.8, "together_recall": 0.6}
    lost = group | {"errors": 0.2, "purity": 0.3, "together_recall": 0.0}

    def line(method, *groups, **setting):
        numbers = {"slices": 2, "unrelated": 1, "groups": list(groups)}
        return {"method": method, "setting": setting, "numbers": numbers}

    lines = [
        {"method": "null", "setting": {}, "numbers": {"slices": 0, "tested": 3}},
        {"method": "intervals", "setting": {}, "numbers": {"slices": 4, "held": 3}},
        line("planted", group, group, groups=2),
        line("planted", group, lost, groups=2),
        line("categories", group, lost),
        line("waterbirds", group, lost),
    ]
    told = slices.table(lines)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in told.splitlines() if row[:1] == "|"]
    planted = next(row for row in rows if "2 planted groups" in row[0])
    assert planted[1:3] == ["2", "4"]
    assert planted[3].startswith("0.75 [")
    assert planted[4].startswith("0.75 [")
    assert planted[5].startswith("0.45 [")
    failing = next(row for row in rows if "fail by 20 points" in row[0])
    assert failing[1:6] == ["1", "1", "1.00", "0.90", "0.60"]
    assert "70 % of the pictures of such a category are in a slice, 10 % of the rest of its class" in told
    birds = next(row for row in rows if row[0] == "waterbirds on land")
    assert birds[1:] == ["20%", "0.90", "0.50", "0.80", "0.00"]
    assert "Errors by chance: 0 of 1 runs have a slice." in told
    assert "3 of 4 hold what is so" in told


def test_a_group_of_a_scene_of_several_classes_is_wrong_where_the_largest_logit_is_another():
    features, labels, _, hidden = slices.planted(0, 2, n=800, width=64)
    logits = np.eye(2)[np.where(hidden == 0, 1 - labels, labels)]
    numbers = slices.groups_found((features, labels, logits, hidden), 0)
    assert [(one["errors"], one["rest"]) for one in numbers["groups"]] == [(1.0, 0.0), (0.0, 0.0)]


def test_two_rare_categories_a_class_are_kept_at_2_to_5_percent_and_all_are_held_out_in_half():
    every = [name for names in fine_categories.COARSE.values() for name in names]
    assert len(every) == len(set(every)) == 137
    fine = np.repeat(np.array(every, dtype=object), 200)
    trains, held_out, rare = fine_categories.sides(fine, 0)
    assert not (trains & held_out).any()
    assert len(set(rare)) == 10
    for place, names in enumerate(fine_categories.COARSE.values()):
        assert set(rare[2 * place : 2 * place + 2]) <= set(names)
    for name in every:
        mine = fine == name
        assert held_out[mine].sum() == 100
        assert 2 <= trains[mine].sum() <= 5 if name in rare else trains[mine].sum() == 100
    assert fine_categories.sides(fine, 1)[2] != rare
