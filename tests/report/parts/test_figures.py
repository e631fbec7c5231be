import math
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from equipoise.rate import Rate
from equipoise.report.parts.figures import (
    COLOURS,
    Curve,
    Series,
    Steps,
    bars,
    curves,
    differences,
    histograms,
    thinned,
)

RATES = [Rate(0.1, 0.05, 0.2, 40), Rate.undefined("no positives"), Rate(0.3, math.nan, math.nan, 9)]

STEPS = [Steps("f", "#123123", "solid", [3, 1]), Steps("m", "#321321", "dashed", [0, 0])]


def drawn():
    series = [Series("a", COLOURS[0], RATES), Series("b", COLOURS[1], RATES)]
    return [
        bars(["x", "y", "z"], series, label="missed (%)", title="Bars"),
        differences(["x", "y", "z"], series, label="change", title="Dots"),
        histograms([0, 0.5, 1], {"top": STEPS, "none": []}, label="score", title="Steps", threshold=0.4),
        curves([Curve("a", COLOURS[0], "solid", [1, 2], [3, math.nan])], label="step", title="Curves"),
    ]


@pytest.mark.parametrize("number", range(4))
def test_figures_are_svg_that_stands_in_a_page(number):
    svg = drawn()[number]
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.findtext("title")
    assert "http" not in svg
    assert "currentColor" in svg
    ids = re.findall(r' id="([^"]+)"', svg)
    for used in re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg):
        assert used in ids


def test_the_same_numbers_give_the_same_bytes():
    assert drawn() == drawn()


def test_figures_on_one_page_share_no_id():
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in drawn()]
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]


def test_undefined_rates_are_written_not_drawn_as_zero():
    series = [Series("a", "#123123", RATES)]
    svg = bars(["x", "y", "z"], series, label="missed", title="t")
    assert svg.count("undefined") == 1
    assert svg.count("fill: #123123") == 2


def test_histograms_are_shares_and_one_without_images_is_left_out():
    def svg(*counts):
        steps = [Steps("f", "#123123", "solid", counts), STEPS[1]]
        return histograms([0, 0.5, 1], {"top": steps, "below": []}, label="score", title="t", threshold=0.4)

    assert svg(3, 1) == svg(30, 10) != svg(1, 3)
    assert "#321321" not in svg(3, 1)
    assert "below: none" in svg(3, 1)


def test_names_are_escaped_and_taken_literally():
    names = ["<script>alert(1)</script>", "$\\frac{1}{0}$ & co", "顔 \U0001f600"]
    svg = bars(names, [Series("a", COLOURS[0], RATES)], label="l", title='"<b>')
    ET.fromstring(svg)
    assert "<script" not in svg
    assert "$\\frac{1}{0}$ &amp; co" in svg


def test_the_settings_of_others_stay():
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before


def test_long_curves_keep_their_mean_and_their_ends():
    x, y = thinned(list(range(10_000)), [1.0] * 5_000 + [3.0] * 5_000)
    assert len(x) == len(y) <= 240
    assert y[0] == 1.0
    assert y[-1] == 3.0
    assert sum(y) / len(y) == pytest.approx(2.0, abs=0.02)
    assert thinned([1.0, 2.0], [math.nan, 4.0])[1][1] == 4.0
