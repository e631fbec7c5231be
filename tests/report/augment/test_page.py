import dataclasses
import re

import pytest

from equipoise.cli.entry import main
from equipoise.rate import Rate
from equipoise.report import augment_html, augment_text, write_augment, write_augment_report
from equipoise.report.augment.measures import MEASURES, outcome
from equipoise.report.augment.words import AUGMENT_LIMITS, EDITS_HIDDEN, augment_headline
from equipoise.report.parts import words

HOSTILE = "<script>window.hacked = true</script>\"'&"
PLAIN = ("plain", "plain", "", (0.9, 0.6, 0.3, 0.9))
BETTER = ("balanced pairs", "augmented", "in training", (0.85, 0.65, 0.45, 0.85))
GENDER = {"gender": ("Female", "Male")}


SIZES = {
    "usual": {"models": {"plain": PLAIN, "augmented": BETTER}},
    "only plain": {"models": {"plain": PLAIN}},
    "nothing measured": {"measured": []},
    "no model": {"models": {}},
    "hostile": {
        "attributes": {HOSTILE: (HOSTILE, "Male")},
        "models": {"plain": PLAIN, "augmented": (HOSTILE, *BETTER[1:])},
        "target": HOSTILE,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_whole(make_augment, size, read_page):
    record = make_augment(**SIZES[size])
    text = augment_html(record)
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
    assert "nan" not in page.words.lower().split()
    for line in AUGMENT_LIMITS:
        assert line in page.words
    assert "annotations" in augment_text(record)


@pytest.fixture(scope="module")
def by_gender(make_augment):
    """A record and its page."""
    record = make_augment(attributes=GENDER)
    return record, augment_html(record)


def test_every_model_and_every_number_is_there(by_gender, read_page):
    record, page = by_gender
    text = read_page(page).words
    for model in record.models.values():
        assert model.title in text
        metrics = model.numbers["gender"].metrics
        for found in (metrics, model.changes.get("gender")):
            for one in MEASURES if found else ():
                rate = getattr(found, one.key)
                show = words.decimal if found is metrics else words.signed
                assert show(one.scale * rate.value, one.digits) in text
                signed = found is not metrics
                assert words.interval(rate, one.scale, one.digits, with_sign=signed) in text
        for cell in metrics.cells:
            assert f"{cell.n:,}" in text
            assert re.sub(r"\s+", " ", words.percent(cell.accuracy.value)) in text
    for shown in ("−0.27", "65.4", "8,123", "0.889", "14 min 48 s", "15.8", "71.6", *record.notes):
        assert shown in text


def test_who_needs_the_groups_is_told_at_a_glance(by_gender):
    _, text = by_gender
    rows = re.findall(r"<th class=[^>]*scope=\"row\".*?</th>|<th scope=\"row\".*?</th>", text, re.S)
    told = {row for row in rows if "needs groups in use" in row}
    assert told
    assert all("threshold per group" in row for row in told)
    assert all("needs groups in use" in row for row in rows if "threshold per group" in row)
    assert all("groups in training" in row for row in rows if "balanced sampling" in row)


def test_undefined_is_said_with_its_reason(make_augment):
    text = augment_html(make_augment(models={"plain": PLAIN, "augmented": BETTER}))
    assert text.count("no positives with cluster = &#39;3&#39;") > 20
    assert "undefined" in text
    assert "under 30 images" in text
    assert "nearly the target’s" in text  # cosine −0.87
    assert "gender 0.61" in text  # agreement of the discovered attribute


def test_a_discovered_attribute_that_leads_and_is_undefined_claims_nothing(make_augment):
    record = make_augment(measured=["cluster", "gender"])
    told = augment_headline(record)
    assert told.title == "By cluster: nothing can be said about a change"
    assert told.tone == "unknown"
    assert told.others[0][0].startswith("By gender: a smaller gap")
    assert "undefined: no positives with cluster = '3'" in augment_text(record)


@pytest.mark.parametrize(
    ("right", "half", "title", "tone"),
    [
        (
            (0.85, 0.65, 0.45, 0.85),
            0.05,
            "a smaller gap between groups and a more accurate worst cell",
            "fewer",
        ),
        ((0.90, 0.60, 0.33, 0.90), 0.05, "no measurable change", "none"),
        (
            (0.92, 0.58, 0.20, 0.95),
            0.05,
            "a larger gap between groups and a less accurate worst cell",
            "more",
        ),
        (
            (0.90, 0.60, 0.32, 0.70),
            0.05,
            "a smaller gap between groups, the worst cell within chance",
            "none",
        ),
        (
            (0.40, 0.20, 0.30, 0.60),
            0.05,
            "a smaller gap between groups but a less accurate worst cell",
            "none",
        ),
    ],
)
def test_the_headline_claims_what_the_intervals_allow(make_augment, right, half, title, tone):
    models = {"plain": PLAIN, "augmented": (*BETTER[:3], right)}
    told = augment_headline(make_augment(models=models, half=half, attributes=GENDER))
    assert told.title.startswith(f"By gender: {title}")
    assert told.tone == tone
    within = [sentence for sentence in told.sentences if "within chance" in sentence]
    assert any(sentence.startswith("Accuracy in the worst cell") for sentence in within) == (
        "within chance" in title or "no measurable" in title
    )


def test_a_cost_is_in_the_headline(make_augment):
    models = {"plain": PLAIN, "augmented": (*BETTER[:3], (0.60, 0.60, 0.40, 0.60))}
    told = augment_headline(make_augment(models=models, attributes=GENDER))
    assert told.title.endswith("at a cost in average accuracy")
    assert told.tone == "none"


def test_a_gap_that_closes_from_above_is_no_success(make_augment):
    models = {"plain": PLAIN, "augmented": (*BETTER[:3], (0.90, 0.60, 0.32, 0.70))}
    told = augment_headline(make_augment(models=models, half=0.05, attributes=GENDER))
    assert "Less accurate beyond chance: Male, old (−20.0 points)." in told.sentences
    assert told.tone == "none"


def test_who_does_better_is_named(make_augment):
    rivals = {
        "c": ("the control", "control", "", (0.85, 0.65, 0.50, 0.85)),
        "d": ("clear winner", "comparison", "in use", (0.8, 0.7, 0.7, 0.8)),
    }
    models = {"plain": PLAIN, "augmented": BETTER, **rivals}
    told = augment_headline(make_augment(models=models, attributes=GENDER))
    said = " ".join(told.sentences)
    assert (
        "Better than “balanced pairs” in the worst cell: “clear winner” (comparison, 70.0, intervals apart, needs "
        "groups in use), “the control” (control, 50.0, intervals overlap)." in said
    )
    assert "as a control: “the control”. So this run does not show" in said
    assert told.tone == "none"
    alone = augment_headline(make_augment(models={"plain": PLAIN, "augmented": BETTER}, attributes=GENDER))
    assert "Better than" not in " ".join(alone.sentences)
    assert alone.tone == "fewer"


def test_unequal_steps_are_said(make_augment):
    record = make_augment(attributes=GENDER)
    record.models["augmented"] = dataclasses.replace(record.models["augmented"], steps=900)
    assert "500 steps, “balanced pairs” for 900" in " ".join(augment_headline(record).sentences)


def test_a_difference_without_an_interval_claims_nothing():
    assert outcome(Rate(0.4, float("nan"), float("nan"), 10), MEASURES[0]) == "unknown"
    assert outcome(Rate.undefined("no positives"), MEASURES[0]) == "unknown"
    assert {one.key: outcome(Rate(-0.2, -0.3, -0.1, 10), one) for one in MEASURES} == {
        "worst_cell_accuracy": "worse",
        "deo": "better",
        "ap": "worse",
        "balanced_accuracy": "worse",
        "average_accuracy": "worse",
        "ba": "changed",
        "kl": "better",
    }


def test_edited_pictures_are_shown_only_if_they_were_asked_for(make_augment, tmp_path, png, read_page):
    (tmp_path / "pictures").mkdir()
    for name in ("samples", "edits"):
        (tmp_path / "pictures" / f"{name}.png").write_bytes(png)
    for edits in (False, True):
        write_augment(make_augment(models={}, edits=edits), tmp_path)
        text = write_augment_report(tmp_path).read_text()
        assert text.count("data:image/png;base64,") == 1 + edits
        assert (EDITS_HIDDEN in read_page(text).words) == (not edits)
        assert ("Edited images." in text) == edits


def test_the_text_for_the_terminal_is_short_and_aligned(make_augment):
    text = augment_text(make_augment())
    assert len(text.splitlines()) < 40
    assert re.search(r"threshold per group \* +58\.0 \[", text)
    assert "Note: cluster = '3' has no positives" in text
    long = {"plain": PLAIN, "thresholds": ("plain, with a threshold for each of the groups", *BETTER[1:])}
    for shown in (text, augment_text(make_augment(models=long))):
        assert max(map(len, shown.splitlines())) <= 96
    steered = make_augment(models={"plain": PLAIN, "augmented": ("a\x1b[31mb", *BETTER[1:])})
    assert "\x1b" not in augment_text(steered)


def test_the_command_line_renders_it_again(make_augment, tmp_path, capsys):
    write_augment(make_augment(models={"plain": PLAIN, "augmented": BETTER}), tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("By gender: a smaller gap")
    assert f"Report: {tmp_path / 'report.html'}" in said
    assert "equipoise augment" in (tmp_path / "report.html").read_text()


def test_in_a_browser_it_is_quiet_and_fits_a_phone(browser, make_augment, tmp_path):
    write_augment(make_augment(**SIZES["hostile"]), tmp_path)
    context = browser.new_context(viewport={"width": 390, "height": 800}, offline=True)
    page = context.new_page()
    heard = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(write_augment_report(tmp_path).as_uri())
    assert [one for one in heard if not one.startswith(("file:", "data:"))] == []
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("document.querySelectorAll('.fold > details').forEach(box => { box.open = true })")
    page.locator("#scores [role=tab]", has_text="plain").first.click()
    page.locator("#metrics [role=tab]", has_text="DEO").first.click()
    assert page.locator("#metrics .panel table:visible caption").nth(1).inner_text().startswith("DEO by")
    context.close()
