"""What a page of a fix says first: a measured harm, whatever else there is."""

from dataclasses import replace

import pytest

from equipoise.rate import Rate
from equipoise.report.fix.words import fix_headline

MORE, LESS, NONE = Rate(0.2, 0.1, 0.3, 100), Rate(-0.2, -0.3, -0.1, 100), Rate(0.02, -0.1, 0.1, 100)


@pytest.mark.parametrize(
    ("cell", "accuracy", "title", "tone"),
    [
        (MORE, NONE, "Better by 20.0 points in the worst cell of class and site", "fewer"),
        (MORE, LESS, "Better by 20.0 points in the worst cell of class and site, at a price", "fewer"),
        (
            NONE,
            LESS,
            "Measurably worse, and no measurable difference in the worst cell of class and site",
            "more",
        ),
        (NONE, NONE, "No measurable difference in the worst cell of class and site", "none"),
        (LESS, LESS, "Worse by 20.0 points in the worst cell of class and site", "more"),
    ],
)
def test_a_harm_is_in_the_title_and_in_the_first_sentence(make_fixed, cell, accuracy, title, tone):
    record = make_fixed(slices=0)
    change = replace(
        record.comparisons.differences["after"],
        worst_cell={"site": cell},
        accuracy=accuracy,
        worst_class=NONE,
    )
    record = replace(record, comparisons=replace(record.comparisons, differences={"after": change}))
    found = fix_headline(record)
    assert (found.title, found.tone) == (title, tone)
    assert found.harmed == (accuracy is LESS)
    harm = "Measurably worse: accuracy over all images fell by 20.0 points."
    assert (found.sentences[0] == harm) == (accuracy is LESS)
