"""Pages of many classes: what is worst stands first, the rest is folded, and names are other people's text."""

import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from equipoise import fairness
from equipoise.groups import Groups
from equipoise.probabilities import from_logits
from equipoise.rate import Rate
from equipoise.report.debias.class_words import class_headline, is_of_classes
from equipoise.report.debias.page import html
from equipoise.report.debias.record import (
    DataRecord,
    ResamplingRecord,
    RunRecord,
    TimingRecord,
    from_json,
    to_json,
)
from equipoise.report.debias.terminal import text
from equipoise.run.debias.numbers import Truth, measure

pytestmark = pytest.mark.slow


def scene(classes, n, *, names=None, better=0.0, sites=("north", "east"), seed=0):
    """Labels, sites and logits of two models; class 1 in the east is often taken for class 0, by the first more so."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    site = rng.choice(sites, n)
    names = names or tuple(f"kind {i}" for i in range(classes))
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += 4
    first, second = logits.copy(), logits.copy()
    hit = np.flatnonzero((labels == 1) & (site == "east"))
    first[hit[: int(0.8 * len(hit))], 0] += 20
    second[hit[: int((0.8 - better) * len(hit))], 0] += 20
    return labels, names, site, {"plain": first, "debiased": second}


def record_of(labels, names, groups, logits, detected=None):
    scores = {
        model: from_logits(values[:, 1] - values[:, 0] if len(names) == 2 else values)
        for model, values in logits.items()
    }
    truth = Truth(labels, names, groups, 1 if len(names) == 2 else detected)
    measured = measure(scores, truth, fpr=0.01, replicates=100, seed=0, say=lambda line: None)
    counts = {name: int((labels == i).sum()) for i, name in enumerate(names)}
    return RunRecord(
        command="equipoise debias --data photos/",
        recipe={"name": "equipoise", "objective": "classifier"},
        settings={},
        seed=0,
        versions={"equipoise": "0.1.0"},
        data=DataRecord({"test": "0123"}, {"test": counts}, {"data": "photos/"}, {}, 0),
        fpr=0.01,
        **measured.parts(),
        resampling=None,
        timing=TimingRecord(1.0, 2.0, 3),
    )


def made(classes, n, *, detected=None, **options):
    labels, names, site, logits = scene(classes, n, **options)
    return record_of(labels, names, [Groups.from_column(site, attribute="site")], logits, detected)


def test_the_headline_is_about_the_worst_cell():
    labels, names, site, logits = scene(4, 2000, better=0.5)
    record = record_of(labels, names, [Groups.from_column(site, attribute="site")], logits)
    told = class_headline(record)
    assert (told.title, told.tone) == ("Higher worst-group accuracy by site", "fewer")
    cell = (labels == 1) & (site == "east")
    right = {model: (values.argmax(1) == labels)[cell].mean() for model, values in logits.items()}
    for model, sentence in zip(logits, told.sentences, strict=False):
        assert f"The {model} model calls {100 * right[model]:.1f}" in sentence
        assert f"kind 1 × east, {cell.sum()} images" in sentence
    change = 100 * (right["debiased"] - right["plain"])
    assert f"Paired difference: +{change:.1f} percentage points" in told.sentences[2]
    assert "Of all 2,000 test images the debiased model calls" in told.sentences[3]


@pytest.mark.parametrize(
    ("swapped", "better", "title", "tone"),
    [
        (False, 0.5, "Higher worst-group accuracy by site", "fewer"),
        (True, 0.5, "Lower worst-group accuracy by site", "more"),
        (False, 0.0, "No measurable difference in worst-group accuracy by site", "none"),
    ],
)
def test_better_is_higher_and_worse_is_lower(swapped, better, title, tone):
    labels, names, site, logits = scene(4, 2000, better=better)
    if swapped:
        logits = {"plain": logits["debiased"], "debiased": logits["plain"]}
    record = record_of(labels, names, [Groups.from_column(site, attribute="site")], logits)
    told = class_headline(record)
    assert (told.title, told.tone) == (title, tone)


def test_without_groups_it_is_about_the_worst_class():
    labels, names, _, logits = scene(4, 2000, better=0.5)
    told = class_headline(record_of(labels, names, [], logits))
    assert told.title == "Higher accuracy in the worst class"
    assert "of its worst class right (kind 1," in told.sentences[0]


@pytest.mark.parametrize(("classes", "n"), [(3, 600), (9, 1800), (150, 6000), (1000, 6000)])
def test_a_page_of_any_number_of_classes_is_whole_and_no_larger_than_it_must_be(read_page, classes, n):
    names = ("<b>x</b>", "a\u202eb\x1b[31m", *(f"kind {i}" for i in range(classes - 2)))
    page_text = html(made(classes, n, names=names, detected=2))
    page = read_page(page_text)
    assert page.problems == []
    assert "<b>x</b>" not in page_text
    assert "\x1b" not in page_text
    assert "\u202e" not in page_text
    assert len(page_text) < 3_000_000
    shown = " ".join(page.text)
    assert "Classes and groups" in shown
    assert "Detection of kind 0" in shown
    assert bool(re.search(r"[0-9] more", shown)) == (classes > 3)


def test_a_page_without_a_positive_class_has_no_detection():
    shown = html(made(5, 500))
    assert 'id="classes"' in shown
    assert 'id="groups"' not in shown
    assert "Detection of" not in shown
    assert "compared in pairs" not in shown


def rows(page_text, caption):
    """Cells of a table, row by row, as text."""
    table = next(t for t in re.findall(r"<table.*?</table>", page_text, re.S) if f"<caption>{caption}" in t)
    return [
        [re.sub(r"<[^>]+>", " ", cell).split() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>.*?</tr>", table, re.S)
    ]


def test_classes_stand_in_the_order_of_what_is_bad_beyond_doubt():
    labels, names, site, logits = scene(20, 3000, better=0.4)
    labels[labels == 7] = 3
    labels[np.flatnonzero(labels == 3)[0]] = 7  # one image, called wrong: 0 %, and nobody knows
    record = record_of(labels, names, [Groups.from_column(site, attribute="site")], logits)
    found = record.models["plain"].classes.recall
    assert found["kind 7"].value == 0
    page = html(record)
    first, *shown = rows(page, "Recall by class<")
    highs = [found[" ".join(row[0][:2])].high for row in shown]
    assert highs == sorted(highs)
    assert len(shown) == 12
    assert " ".join(shown[0][0][:2]) != "kind 7"
    assert first[1] == ["Images"]
    assert record.models["plain"].classes.worst_cell["site"]["recall"].value == 0
    later = page[page.index("Accuracy by site</caption>") :]
    cells, all_cells = (rows(part, "Recall by class and site<")[1:] for part in (page, later))
    assert len(all_cells) > 8
    assert "Right by class and site, worst first" in page  # bars of the worst cell alone would have no length
    assert cells == all_cells[:8]


def test_mistakes_are_those_of_the_model_that_the_page_is_about():
    record = made(14, 4000, better=0.5)
    taken = record.models["debiased"].classes.confusion["kind 1"]["taken_for"]
    _, *shown = rows(html(record), "What images are taken for by “debiased”")
    row = next(row for row in shown if row[0][:2] == ["kind", "1"])
    first, count = next(iter(taken.items()))
    assert " ".join(row[2]).startswith(f"{first} {count}")
    assert (
        int(row[1][0]) == sum(taken.values()) + record.models["debiased"].classes.confusion["kind 1"]["other"]
    )


def test_classes_of_equally_many_images_have_one_accuracy():
    labels, names, _, logits = scene(3, 600)
    heads = rows(html(record_of(labels, names, [], logits)), "Accuracy over all test images")[0]
    assert ["Balanced", "accuracy"] in heads
    some = np.concatenate([np.flatnonzero(labels == k)[:100] for k in range(3)])
    equal = record_of(labels[some], names, [], {name: values[some] for name, values in logits.items()})
    heads = rows(html(equal), "Accuracy over all test images")[0]
    assert ["Accuracy"] in heads
    assert ["Balanced", "accuracy"] not in heads


def test_the_terminal_shows_ten_rows_and_how_many_there_are():
    said = text(made(40, 4000))
    block = said.split("Called right by class, ")[1].split("\n\n")[0].split("\n")
    assert len([line for line in block if line.startswith("kind")]) == 10
    assert "30 more in the report." in block
    assert "All models, percent called right" in said


def test_of_two_classes_the_cells_are_shown_only_where_both_have_groups():
    labels, names, site, logits = scene(2, 800, better=0.4)
    groups = Groups.from_column(site, attribute="site")
    assert "Both classes, by group" in html(record_of(labels, names, [groups], logits))
    of_positives = Groups.from_column(
        [value if label else None for value, label in zip(site, labels, strict=True)], attribute="site"
    )
    record = record_of(labels, names, [of_positives], logits)
    assert "Both classes, by group" not in html(record)
    assert not is_of_classes(record)


def test_of_the_class_itself_no_cells_are_told():
    labels, names, _, logits = scene(4, 800, better=0.4)
    itself = Groups.from_column([names[label] for label in labels], attribute="label")
    record = record_of(labels, names, [itself], logits)
    assert "kind 1 × kind 1" not in html(record) + text(record)
    assert class_headline(record).title == "Higher accuracy in the worst class"


def test_records_of_classes_come_back_as_they_were():
    record = made(5, 500, detected=2)
    assert repr(asdict(from_json(to_json(record)))) == repr(asdict(record))
    assert from_json(to_json(record)) == record


def test_measured_numbers_are_those_of_fairness():
    labels, names, site, logits = scene(5, 900, better=0.3)
    groups = [Groups.from_column(site, attribute="site")]
    record = record_of(labels, names, groups, logits, detected=2)
    for model, values in logits.items():
        expected = fairness.evaluate_classes(values.argmax(1), labels, groups, classes=names)
        assert repr(asdict(record.models[model].classes)) == repr(asdict(expected))
        detected = fairness.one_vs_rest(
            from_logits(values), labels, groups, positive="kind 2", classes=names, replicates=100
        )
        assert repr(asdict(record.models[model].numbers)) == repr(asdict(detected))
    compared = fairness.compare_classes(
        {model: values.argmax(1) for model, values in logits.items()},
        labels,
        groups,
        classes=names,
        baseline="plain",
    )
    assert repr(asdict(record.class_comparisons)) == repr(asdict(compared))
    assert record.positive == "kind 2"
    assert record.models["threshold-only"].classes is None


def test_each_row_of_the_differences_is_of_its_name():
    record = made(4, 2000, better=0.5)
    found = record.class_comparisons.differences["debiased"]
    labels = rows(html(record), "Change of accuracy over all test images")
    shown = {" ".join(row[0]): " ".join(row[1]) for row in labels[1:]}
    expected = {
        "Accuracy": found.accuracy,
        "Balanced accuracy": found.balanced_accuracy,
        "Worst class": found.worst_class,
        "Worst cell, class × site": found.worst_cell["site"],
        "Worst group by site": found.worst_group["site"],
        "Gap by site": found.gap["site"],
    }
    assert len({round(rate.value, 4) for rate in expected.values()}) == len(expected)
    assert shown.keys() == expected.keys()
    for name, rate in expected.items():
        sign = "+" if rate.value > 0 else "\u2212"
        assert f"{sign}{abs(100 * rate.value):.1f}" in shown[name], name


def test_the_group_drawn_most_is_told_of_each_class():
    drawn = ResamplingRecord(
        rule="appearance",
        ess=0.7,
        max_weight=3.0,
        natural_share={"site": {"north": 0.9, "east": 0.1}},
        share={"site": {"north": 0.8, "east": 0.2}},
        enrichment={"site": {"north": Rate(0.89, 0.8, 0.95, 90), "east": Rate(2.0, 1.5, 2.5, 10)}},
        verdict="",
        images=100,
    )
    even = replace(drawn, ess=0.9, enrichment={"site": {"north": Rate(1.1, 1.0, 1.2, 90)}})
    record = replace(made(4, 500), class_resampling={"kind 1": even, "kind 0": drawn})
    _, first, second = rows(html(record), "How the images of each class were drawn")
    assert [" ".join(cell) for cell in first[:4]] == ["kind 0", "100", "0.700", "3.00"]
    assert " ".join(first[4]).startswith("east 2.00 ×")
    assert " ".join(second[4]).startswith("north 1.10 ×")
    assert "effective sample size 0.70 to 0.90 of a class, largest weight 3.0" in " ".join(
        text(record).split()
    )
