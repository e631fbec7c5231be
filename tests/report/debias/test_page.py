import base64
import dataclasses
import re

import pytest

from equipoise.errors import DataError
from equipoise.rate import Rate
from equipoise.report import html, text, write, write_report
from equipoise.report.debias.record import CountedDraws, MeantSampling
from equipoise.report.debias.words import DOES_NOT_PROVE, saturated

HOSTILE = "<script>window.hacked = true</script>\"'&"


SIZES = {
    "usual": {},
    "one model": {"models": 1},
    "six models": {"models": 6},
    "no attributes": {"attributes": {}},
    "bare": {"models": 1, "attributes": {}, "resampling": False, "compared": False, "pictures": False},
    "nothing": {"models": 0, "attributes": {}, "resampling": False, "compared": False, "pictures": False},
    "two groups": {"attributes": {"gender": ("Female", "Male")}},
    "not compared": {"models": 3, "compared": False},
    "not resampled": {"resampling": False},
    "many": {"models": 3, "attributes": {f"a{i}": tuple(f"g{j}" for j in range(20)) for i in range(4)}},
    "hostile": {"models": 3, "attributes": {HOSTILE: (HOSTILE, "long " * 60, "plain")}},
}


@pytest.mark.parametrize(
    "size", [pytest.param(size, marks=pytest.mark.slow if size == "many" else ()) for size in SIZES]
)
def test_the_page_is_whole_for_every_size(make_record, size, read_page):
    text = html(make_record(**SIZES[size]))
    page = read_page(text)
    assert page.problems == []
    assert len(page.ids) == len(set(page.ids))
    assert "http://" not in text
    assert "https://" not in text
    for tag, name, value in page.attributes:
        if name in ("src", "href", "data", "action", "poster", "srcset"):
            assert value.startswith(("#", "data:")), (tag, name, value)
        if name in ("href", "aria-controls", "aria-labelledby") and value.startswith("#"):
            assert value[1:] in page.ids
    for sentence in DOES_NOT_PROVE:
        assert sentence in page.words
    assert not re.search(r"\bnan\b|\bNone\b", page.words)


@pytest.mark.parametrize("size", ["usual", "no attributes"])
def test_every_chart_has_its_numbers_in_a_table(make_record, size, read_page):
    page = read_page(html(make_record(**SIZES[size])))
    assert page.charts
    assert all(svgs in (1, 2) and tables == 1 for svgs, tables in page.charts)  # 2: one for a telephone


def test_sections_stand_in_the_order_of_the_questions(record, read_page):
    page = read_page(html(record))
    asked = [
        "result",
        "groups",
        "overall",
        "comparisons",
        "controls",
        "losses",
        "sampling",
        "data",
        "settings",
    ]
    places = [page.ids.index(name) for name in [*asked, "limits"]]
    assert places == sorted(places)


def test_hostile_names_stay_text(make_record, read_page):
    record = make_record(**SIZES["hostile"])
    model = dataclasses.replace(record.models["plain"], title=HOSTILE)
    record = dataclasses.replace(
        record,
        command=HOSTILE,
        models={**record.models, "plain": model},
        recipe={"name": HOSTILE, HOSTILE: HOSTILE},
        pictures={HOSTILE: HOSTILE, "reconstructions": HOSTILE},
    )
    text = html(record, ".")
    page = read_page(text)
    assert page.problems == []
    assert text.count("<script") == 1
    assert page.words.count(HOSTILE.split('"')[0]) > 10


def test_undefined_says_so_and_why(record, read_page):
    page = read_page(html(record))
    assert "undefined no positives in this group" in page.words


def test_numbers_of_a_group_are_on_the_page(record, read_page):
    page = read_page(html(record))
    rate = record.models["debiased"].numbers.groups["race"]["Indian"].tpr_at_fpr.complement
    shown = f"{100 * rate.value:.1f}\u202f%", f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
    assert re.search(r"\s*".join(map(re.escape, shown)), " ".join(page.text))
    for label in (
        "under 30 positives",
        "9f2c9f2c",
        "3 pictures could not be read",
        "0.512",
        "9.73",
        "71.4",
        "1.43 GB",
    ):
        assert label in page.words


def test_the_same_record_gives_the_same_page(record):
    assert html(record) == html(record)


def test_what_is_not_there_is_said_to_be_missing(make_record, read_page):
    words = read_page(html(make_record(**SIZES["bare"]))).words
    assert "This run made no such picture." in words
    assert "Nothing was resampled in this run" in words
    assert "No group columns were given" in words
    assert "says nothing about differences" in words


def test_pictures_are_embedded_or_said_to_be_missing(record, tmp_path, png, read_page):
    write(record, tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "reconstructions.png").write_bytes(png)
    (tmp_path / "pictures" / "least_represented.png").write_bytes(b"<svg onload=alert(1)>")
    file = write_report(tmp_path)
    assert file == tmp_path / "report.html"
    page = read_page(file.read_text())
    images = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert len(images) == 1
    assert images[0].startswith("data:image/png;base64,")
    assert "pictures/least_represented.png is left out: it is not a PNG" in page.words
    assert "pictures/most_represented.png is missing from the run's folder" in page.words


def test_pictures_outside_the_folder_are_left_out(record, tmp_path, png):
    (tmp_path / "secret.png").write_bytes(png)
    (tmp_path / "run").mkdir()
    for path in ("../secret.png", str(tmp_path / "secret.png")):
        text = html(dataclasses.replace(record, pictures={"reconstructions": path}), tmp_path / "run")
        assert "data:image/png" not in text


def test_no_record_is_an_error_and_leaves_an_old_report(tmp_path):
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(DataError, match="Give the folder of a finished run"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "old"


@pytest.fixture
def opened(browser, make_record, tmp_path):
    """The report in a browser that writes down every complaint and every request."""
    write(make_record(attributes={"race": ("A", "B", "C", "D", HOSTILE), "gender": ("F", "M")}), tmp_path)
    context = browser.new_context(viewport={"width": 390, "height": 800}, offline=True)
    page = context.new_page()
    heard = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(write_report(tmp_path).as_uri())
    yield page, heard
    context.close()


def test_in_a_browser_it_is_quiet_and_fits_a_phone(opened):
    page, heard = opened
    assert [url for url in heard if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in heard) == 1
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_in_a_browser_tabs_turn_together(opened):
    page, _ = opened
    assert page.locator("#groups .panel table:visible").count() == 1
    page.evaluate("document.querySelectorAll('.fold > details').forEach(box => { box.open = true })")
    page.locator("#groups [role=tab]", has_text="gender").click()
    assert page.locator("#groups .panel table:visible caption").inner_text().startswith("Miss rate by gender")
    chosen = page.locator("#sampling [role=tab][aria-selected=true]")
    assert chosen.inner_text() == "gender"
    page.keyboard.press("ArrowLeft")
    assert page.locator("#sampling [role=tab][aria-selected=true]").inner_text() == "race"


def test_in_a_browser_columns_sort_with_undefined_last(opened):
    page, _ = opened
    table = page.locator("#groups .panel table:visible")
    head = table.locator("thead th").nth(2)
    column = "rows => rows.map(row => row.cells[2].dataset.sort)"
    head.locator("button").click()
    up = table.locator("tbody tr").evaluate_all(column)
    assert up[-1] is None
    assert up[:-1] == sorted(up[:-1], key=float)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").click()
    down = table.locator("tbody tr").evaluate_all(column)
    assert down == [*reversed(up[:-1]), None]


def test_the_page_has_enrichment_at_both_strengths_and_of_negatives(record, read_page):
    made = record.resampling
    page = read_page(html(record)).words
    assert f"At effective sample size 0.5: {made.verdict_at_half}" in page
    assert f"on {made.representation}" in page
    assert page.count("Enrichment at ESS 0.5") == len(made.enrichment)
    assert "The negatives" not in page
    both = dataclasses.replace(made, negatives=dataclasses.replace(made, verdict="Negatives alike."))
    page = read_page(html(dataclasses.replace(record, resampling=both))).words
    assert "The negatives" in page
    assert "Negatives alike." in page
    assert "Share of the negatives" in page


def test_the_page_says_what_could_not_be_drawn(record, read_page):
    made = record.resampling
    assert "Not all that was asked for" not in read_page(html(record)).words
    asked = {
        a: {g: Rate(2.5 * r.value, 1, 9, r.n) for g, r in of.items()} for a, of in made.enrichment.items()
    }
    few = dataclasses.replace(
        made,
        images=60,
        batch=32,
        meant=MeantSampling(0.31, 14.25, made.share, asked),
        counted=CountedDraws(40, 1280, made.share),
    )
    page = read_page(html(dataclasses.replace(record, resampling=few))).words
    assert "Not all that was asked for can be drawn." in page
    assert "an effective sample size of 0.31 and a largest weight of 14.2 times the mean" in page
    assert "A batch holds 32 of 60 positives, each once at most" in page
    assert "Counted in training: 1,280 draws of positives by weights, in 40 batches." in page
    assert f"{asked['race']['Black'].value:.2f} ×" in page
    alike = dataclasses.replace(
        few, meant=MeantSampling(made.ess, made.max_weight, made.share, made.enrichment)
    )
    assert "Not all" not in read_page(html(dataclasses.replace(record, resampling=alike))).words


def test_scores_that_rounding_ties_are_said(record, read_page):
    assert saturated(record) == ""
    assert "cannot be ranked" not in read_page(html(record)).words
    models, plain = dict(record.models), record.models["plain"]
    models["plain"] = dataclasses.replace(plain, numbers=dataclasses.replace(plain.numbers, saturated=1234))
    tied = dataclasses.replace(record, models=models)
    said = f"tied there: {models['plain'].title} (1,234). Which of them rank higher is not known"
    assert said in " ".join(text(tied).split())
    page = read_page(html(tied)).words
    assert said in page
    assert "Some scores cannot be ranked." in page


def test_a_model_without_an_autoencoder_misses_no_reconstructions(make_record, read_page):
    record = make_record(**SIZES["bare"])
    one = dataclasses.replace(record, recipe={"objective": "classifier"})
    assert "What the autoencoder keeps" in read_page(html(record)).words
    assert "What the autoencoder keeps" not in read_page(html(one)).words


def test_an_evaluation_does_not_say_that_nothing_was_resampled(make_record, read_page):
    record = make_record(**SIZES["bare"])
    models = {name: dataclasses.replace(model, steps=None) for name, model in record.models.items()}
    page = read_page(html(dataclasses.replace(record, models=models, resampling=None)))
    assert "These were trained before" in page.words
    assert "weights of a training came out stands in its own folder" in page.words
    assert "Nothing was resampled" not in page.words
    assert "sampling" not in page.ids


def test_the_rarest_stand_left_of_those_with_many_like_them(record, tmp_path, png, read_page):
    """Least before most, and each picture under its own name: the two sheets differ in a byte."""
    (tmp_path / "pictures").mkdir()
    for name in ("least", "most"):
        (tmp_path / "pictures" / f"{name}_represented.png").write_bytes(png + name.encode())
    page = read_page(html(record, tmp_path))
    images = [
        base64.b64decode(value.partition(",")[2]) for tag, key, value in page.attributes if key == "src"
    ]
    assert [image.removeprefix(png) for image in images] == [b"least", b"most"]
    alts = [value for tag, key, value in page.attributes if (tag, key) == ("img", "alt")]
    assert [alt.split(":")[0] for alt in alts] == ["Least represented", "Most represented"]
    assert "count as rare" in alts[0]
    assert alts[0].endswith("drawn most often.")
    assert "most like them" in alts[1]
    assert alts[1].endswith("drawn least often.")


def test_without_resampling_no_picture_was_drawn_more_often(make_record, read_page):
    words = read_page(html(make_record(resampling=False))).words
    assert "count as rare" in words
    assert "drawn most often" not in words
    assert "drawn least often" not in words


def test_the_legend_of_curves_names_those_that_have_one(record):
    part = html(record).split('id="losses">')[1].split("</section>")[0]
    legend = part[: part.index("</ul>")]
    assert record.models["plain"].title in legend
    assert record.models["threshold-only"].title not in legend


def test_models_of_an_evaluation_are_not_said_to_share_data_and_seed(make_record, read_page):
    record = make_record(models=2)
    assert "Controls share the data, the seed" in read_page(html(record)).words
    models = {name: dataclasses.replace(model, steps=None) for name, model in record.models.items()}
    words = read_page(html(dataclasses.replace(record, models=models))).words
    assert "share the data, the seed" not in words
    assert "These were trained before" in words


def test_what_counts_positives_is_called_so(record, read_page):
    """A group whose images are more than its positives shows its positives."""
    plain = record.models["plain"]
    groups = {
        a: {g: dataclasses.replace(r, n=r.n + 7000) for g, r in of.items()}
        for a, of in plain.numbers.groups.items()
    }
    models = {
        name: dataclasses.replace(model, numbers=dataclasses.replace(model.numbers, groups=groups))
        for name, model in record.models.items()
    }
    mixed = dataclasses.replace(record, models=models)
    positives = plain.numbers.groups["race"]["Black"].positives
    page, said = html(mixed), text(mixed)
    row = next(line for line in said.splitlines() if line.startswith("Black "))
    assert row.split()[1] == f"{positives:,}"
    assert f">{positives:,}</td>" in page
    assert f"{positives + 7000:,}" not in page + said
    assert "race" in said
    assert ">n</th>" not in page
    assert ">positives</th>" in page


@pytest.mark.parametrize(("width", "least"), [(1200, 900), (800, 700), (390, 340)])
def test_in_a_browser_charts_are_as_wide_as_the_text_and_the_page_does_not_overflow(opened, width, least):
    page, _ = opened
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#result .drawing svg:visible").first.bounding_box()["width"] >= least


def test_in_a_browser_the_first_key_leads_past_the_contents(opened):
    page, _ = opened
    page.keyboard.press("Tab")
    link = page.locator(".skip")
    assert link.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
