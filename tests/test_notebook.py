"""What a notebook shows of results: short, escaped, the numbers of the result."""

import subprocess
import sys

import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.data import ImageTable
from equipoise.notebook import table_html

NAME = "<script>alert(1)</script>"
LABELS = np.r_[np.ones(80, int), np.zeros(80, int)]
SCORES = np.r_[np.full(40, 0.9), np.full(30, 0.8), np.full(10, 0.3), np.full(80, 0.1)]


def results():
    """Results of each kind that hold a name of others."""
    import torch

    from equipoise.risk import Risk

    groups = Groups.from_column([NAME] * 40 + ["b"] * 40 + [None] * 80, attribute="race")
    scores = {"plain": SCORES, NAME: np.clip(SCORES + 0.1, 0, 1)}
    kinds: dict = {"classes": ["ant", NAME], "groups": groups}
    called = {"plain": SCORES >= 0.5, NAME: SCORES >= 0.2}
    return {
        "classes": fairness.evaluate_classes(called["plain"], LABELS, **kinds),
        "class comparison": fairness.compare_classes(called, LABELS, **kinds, baseline="plain"),
        "evaluation": fairness.evaluate(SCORES, LABELS, groups),
        "faces": fairness.evaluate(SCORES[:80], LABELS[:80], groups.take(np.arange(80))),
        "comparison": fairness.compare(scores, LABELS, groups, baseline="plain"),
        "windows": fairness.windows(SCORES, LABELS, groups),
        "table": ImageTable.from_arrays(np.zeros((4, 8, 8, 3), np.uint8), [0, 1, 1, 1], {NAME: list("abcd")}),
        "risk": Risk(torch.tensor([0.5, 2.0]), raw={NAME: torch.zeros(2)}),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["classes", "class comparison", "evaluation", "faces", "comparison", "windows", "table", "risk"]
)
def test_short_and_escaped(kind):
    result = results()[kind]
    assert len(repr(result)) < 300
    assert "\n" not in repr(result)
    html = result._repr_html_()
    assert html.startswith("<table>")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert len(html) < 3000


def test_the_numbers_are_those_of_the_result():
    found = results()
    assert "160 images of 2 classes; accuracy 0.938; balanced 0.938" in repr(found["classes"])
    assert "<td>0.875 (" in found["classes"]._repr_html_()
    assert "accuracy +0.062" in repr(found["class comparison"])
    assert "80 positives, 80 negatives; TPR 0.875 at 0.5" in repr(found["evaluation"])
    assert "1.000 at 1 % FPR, AUROC 1.0000; worst by race" in repr(found["evaluation"])
    assert "AUROC" not in repr(found["faces"])
    assert "worst by race b 0.750" in repr(found["faces"])
    assert "<td>0.750 (" in found["evaluation"]._repr_html_()
    assert "undefined: no negatives" in found["faces"]._repr_html_()
    assert "3</td>" in found["table"]._repr_html_()
    assert repr(found["risk"]).startswith("Risk(representation 2 values 0.5 to 2, raw: ")


def test_a_fit(scene):
    from equipoise import fit

    found = fit(scene(64, size=16), "mit-2021", method="plain")
    assert repr(found).startswith(f"Fit(plain, recipe mit-2021, {found.steps} steps in ")
    assert f"<td>{found.steps}</td>" in found._repr_html_()


def test_many_rows_are_cut_off_and_counted():
    html = table_html("x", ["a", "b"], [["1", "2"]] * 100)
    assert html.count("<tr>") == 1 + 30 + 1
    assert "and 70 more" in html


def test_no_torch_is_loaded():
    code = "import sys, equipoise.notebook, equipoise.fairness, equipoise.report; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
