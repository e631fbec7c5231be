import math
import re

import pytest

from equipoise.errors import DataError
from equipoise.rate import Rate
from equipoise.report import read_sweep, sweep_html, sweep_text, write_sweep, write_sweep_report
from equipoise.report.sweep.page import axis_of
from equipoise.report.sweep.record import SweepRecord, SweptModel, SweptPoint, SweptRun, SweptSampling
from equipoise.report.sweep.words import SWEEP_LIMITS, sweep_headline

HOSTILE = "<script>window.hacked = true</script>\"'&"


def spread(value, half=0.02):
    return Rate(value, value - half, value + half, 3)


def model(title, miss, attributes, half=0.02):
    return SweptModel(
        *(title, spread(miss, half), spread(0.9)),
        worst_group=dict.fromkeys(attributes, "dark"),
        worst_miss={a: spread(2 * miss, half) for a in attributes},
        variance={a: spread(30.0) for a in attributes},
    )


def make(
    vary=None, *, misses=(0.10, 0.05, 0.2, 0.15), attributes=("skin",), failed=False, half=0.02, plain=None
):
    """A sweep; `misses` are those of the debiased model, point by point."""
    vary = {"resampling.smoothing": ["0.1", "0.001"]} if vary is None else vary
    combinations = [{}]
    for key, values in vary.items():
        combinations = [{**one, key: value} for one in combinations for value in values]
    runs, points = [], []
    for i, values in enumerate(combinations):
        sampling = SweptSampling(
            *(spread(0.4), spread(7.0)),
            natural_share={a: {"dark": 0.1, "light": 0.9} for a in attributes},
            enrichment={a: {"dark": spread(0.83), "light": spread(1.02)} for a in attributes},
        )
        models = {
            "plain": model("plain", plain[i] if plain else 0.12, attributes, half),
            "debiased": model("debiased", misses[i], attributes, half),
            "threshold-only": model("plain, threshold moved", 0.12, attributes, half + 0.01 * i),
        }
        lost = failed and i == 0
        points.append(
            SweptPoint(
                values,
                [] if lost else [0, 1, 2],
                3 * lost,
                {} if lost else models,
                None if lost else sampling,
            )
        )
        runs += [
            SweptRun(
                *(3 * i + seed + 1, values, seed, f"points/{3 * i + seed + 1:03}"),
                error="The loss is not finite." if lost else None,
                seconds=None if lost else 61.0,
                models={} if lost else models,
                sampling=None if lost else sampling,
            )
            for seed in range(3)
        ]
    return SweepRecord(
        command="equipoise sweep --vary resampling.smoothing=0.1,0.001",
        settings={"recipe": "assignment-7"},
        versions={"equipoise": "0.1.0"},
        vary=vary,
        seeds=[0, 1, 2],
        fpr=0.01,
        attributes=list(attributes),
        rarest=dict.fromkeys(attributes, "dark"),
        runs=runs,
        points=points,
    )


SIZES = {
    "usual": {},
    "two settings": {"vary": {"latent": ["10", "20"], "resampling.rule": ["max", "product"]}},
    "words": {"vary": {"resampling.rule": ["max", "product", "equipoise"]}},
    "seeds alone": {"vary": {}},
    "no groups": {"attributes": ()},
    "two attributes": {"attributes": ("skin", "hat")},
    "failed": {"failed": True},
    "all failed": {"vary": {"latent": ["10"]}, "failed": True},
    "hostile": {"vary": {HOSTILE: [HOSTILE, "b"]}, "attributes": (HOSTILE,)},
}


@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_whole(size, read_page):
    record = make(**SIZES[size])
    text = sweep_html(record)
    page = read_page(text)
    assert page.problems == []
    assert page.open == []
    assert "http://" not in text
    assert "https://" not in text
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value for tag, name, value in page.attributes if tag == "a" and name == "href"}
    assert targets <= {f"#{one}" for one in ids}
    assert "<script>window.hacked" not in text
    words = re.sub(r"\s+", " ", " ".join(page.text))
    assert "nan" not in words.lower().split()
    for line in SWEEP_LIMITS:
        assert line in words
    assert "annotations" in words
    assert "optimistic" in words
    assert text.count("<svg") == (
        0
        if size in ("seeds alone", "all failed")
        else 2 * max(len(record.attributes), 1)  # one for a telephone
    )


def test_the_table_and_the_text_hold_the_numbers():
    page, text = sweep_html(make()), sweep_text(make())
    for said in ("20.0", "10.0", "0.83", "dark", "resampling.smoothing", "plain"):
        assert said in page
        assert said in text
    assert "18.0 to 22.0" in page
    assert "[18.0, 22.0]" in text
    assert max(map(len, text.splitlines())) < 125
    assert "optimistic" in text


def test_each_number_of_the_table_stands_under_its_name():
    page = sweep_html(make())
    table = re.search(r"<table[^>]*>\s*<caption>Means over seeds.*?</table>", page, re.DOTALL)[0]
    heads, *rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    names = [
        " ".join(re.sub(r"<[^>]*>", " ", head).split())
        for head in re.findall(r"<th.*?</th>", heads, re.DOTALL)
    ]
    cells = [
        re.sub(r"<[^>]*>", " ", cell).split() for cell in re.findall(r"<t[hd].*?</t[hd]>", rows[0], re.DOTALL)
    ]
    first = {name: cell[0] for name, cell in zip(names, cells, strict=True)}
    assert first["Worst group missed"] == "20.0"
    assert first["All missed"] == "10.0"
    assert first["Variance, percent²"] == "30.0"
    assert first["Accuracy at 0.5"] == "90.0"
    assert first["Effective sample size"] == "0.40"
    assert first["Largest weight"] == "7.0"


def test_the_headline_claims_what_the_intervals_allow():
    title, sentences = sweep_headline(make())
    text = " ".join(sentences).replace("\u202f", " ")
    assert title == "Fewer misses with resampling.smoothing at 0.001 than at the other"
    assert (
        "in the worst group by skin at 1 % FPR: 10.0 % (8.0 to 12.0) at 0.001; most: 20.0 % (18.0 to 22.0)"
        in text
    )
    assert "lies below those of 1 of the other 1" in text
    assert "misses 24.0 % (22.0 to 26.0)" in text
    title, sentences = sweep_headline(make(half=0.06))
    assert title == "No measurable difference by resampling.smoothing"
    assert "does not show that the value matters" in " ".join(sentences)
    assert sweep_headline(make(misses=(0.1, 0.1)))[0] == "Misses are the same at every resampling.smoothing"
    assert "are the same everywhere: 20.0" in " ".join(sweep_headline(make(misses=(0.1, 0.1)))[1])


def test_the_plain_network_stands_once_where_it_is_the_same():
    page = sweep_html(make())
    assert "plain, at 0.1" not in page
    assert page.count('data-sort="plain">plain<') == 1
    assert "plain, at 0.1" in sweep_html(make(plain=[0.1, 0.2]))
    assert "threshold moved" not in page  # at the matched rate it is the plain network


def test_values_that_all_miss_nearly_all_are_said_to_tell_little():
    for misses, told in (((0.49, 0.495), True), ((0.1, 0.495), False)):
        said = " ".join(sweep_headline(make(misses=misses, plain=misses, half=0.001))[1])
        assert ("misses tell little here" in said) == told


def test_a_failed_run_is_named(tmp_path):
    for said in (sweep_html(make(failed=True)), sweep_text(make(failed=True))):
        assert "The loss is not finite." in said
        assert "3 failed" in said
        assert "not recorded" in said or "undefined" in said


def test_a_record_comes_back_as_it_was(tmp_path):
    record = make(SIZES["two settings"]["vary"])
    write_sweep(record, tmp_path)
    assert read_sweep(tmp_path) == record
    assert write_sweep_report(tmp_path).read_text() == sweep_html(record)
    with pytest.raises(DataError, match="Expected a record of a sweep"):
        read_sweep(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("values", "scale", "places"),
    [
        (["0.1", "0.01", "0.001"], "log", [0.1, 0.01, 0.001]),
        (["1", "5", "10"], "linear", [1, 5, 10]),
        (["0", "0.1", "0.001"], "category", [0, 1, 2]),
        (["none", "0.5"], "category", [0, 1]),
        (["-1", "1"], "linear", [-1, 1]),
        (["nan", "1"], "category", [0, 1]),
        (["0"], "category", [0]),
    ],
)
def test_values_on_an_axis(values, scale, places):
    found, at = axis_of(values)
    assert found == scale
    assert list(at.values()) == places
    assert all(math.isfinite(place) for place in at.values())
