import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness.table import all_measures, side_by_side


@pytest.fixture
def evaluations(made):
    scores = {"plain": made.scores, "debiased": np.sqrt(made.scores)}
    return {
        name: fairness.evaluate(s, made.labels, [made.race, made.gender], fpr=0.02)
        for name, s in scores.items()
    }


def test_a_row_a_group_and_the_numbers_of_the_evaluation(evaluations):
    table = side_by_side(evaluations, "race", "fnr_at_fpr")
    assert table.columns == ("race", "n", "plain", "debiased")
    assert [row[0] for row in table.rows] == [
        "a",
        "b",
        "c",
        "all",
        "worst group",
        "gap",
        "variance (percent²)",
    ]
    assert "missed at 2 % FPR" in table.title
    rate = evaluations["plain"].groups["race"]["c"].fnr_at_fpr
    assert table.rows[2][2] == f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    assert table.rows[2][1] == str(rate.n)
    assert table.rows[4][2].startswith("c: ")
    worst = evaluations["plain"].worst_group["race"]["at_fpr"]["tpr"].complement
    assert f"{100 * worst.value:.1f} %" in table.rows[4][2]


@pytest.mark.parametrize(
    "measure", ["tpr", "fnr", "tpr_at_fpr", "auroc", "mean_probability", "fpr", "accuracy"]
)
def test_every_measure_is_a_full_table(evaluations, measure):
    table = side_by_side(evaluations, "race × gender", measure)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert all(isinstance(cell, str) and "nan" not in cell for row in table.rows for cell in row)


def test_all_measures_of_one_model(evaluations):
    table = all_measures(evaluations["plain"], "race")
    assert all(len(row) == len(table.columns) == 6 for row in table.rows)
    auroc = evaluations["plain"].groups["race"]["a"].auroc
    assert table.rows[0][4].startswith(f"{auroc.value:.3f} [")


def test_text_is_aligned(evaluations):
    lines = side_by_side(evaluations, "race").text().split("\n")
    rule = next(line for line in lines if set(line) == {"-"})
    assert max(len(line) for line in lines[lines.index(rule) + 1 :]) <= len(rule)
    assert len({line.index("]") for line in lines if line[:2] in ("a ", "b ")}) == 1


def test_small_and_undefined_groups_are_marked():
    labels = np.r_[np.ones(60), np.zeros(50)]
    groups = Groups.from_column(["big"] * 50 + ["tiny"] * 10 + ["none"] * 50, attribute="race")
    scores = np.r_[np.full(55, 0.9), np.full(5, 0.2), np.linspace(0, 0.4, 50)]
    with pytest.warns(UndefinedRateWarning):
        found = fairness.evaluate(scores, labels, groups, fpr=0.01)
    table = side_by_side({"plain": found}, "race", "tpr")
    cells = {row[0]: row[2] for row in table.rows}
    assert cells["none *"] == "undefined: no positives"
    assert "tiny *" in cells
    assert "big" in cells
    notes = " ".join(table.notes)
    assert "fewer than 30 positives" in notes
    assert "Not compared, no positives: none." in notes
    assert "Of 50 negatives, 0 % lie above the threshold matched to 1 %" in notes
    assert "none" in table.text()


def test_undefined_sums_are_words():
    found = fairness.evaluate([0.9, 0.2], [1, 1], Groups.from_column(["a", "a"], attribute="race"))
    table = side_by_side({"plain": found}, "race", "tpr_at_fpr")
    assert {row[2] for row in table.rows} == {"undefined: no negatives"}


def test_an_attribute_that_was_not_evaluated_is_refused(evaluations):
    with pytest.raises(InputError, match="evaluated by 'age'"):
        side_by_side(evaluations, "age")
    with pytest.raises(InputError, match="got 'speed'"):
        side_by_side(evaluations, "race", "speed")
    with pytest.raises(InputError, match="got 0 models"):
        side_by_side({}, "race")
