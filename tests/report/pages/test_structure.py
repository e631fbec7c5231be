"""Pages as people meet them, in a browser: what stands on the first screen, what is folded, and whether all fits."""

import pytest

from equipoise.report.debias.models import main_point, points_of
from equipoise.report.debias.words import headline, too_strict

pytestmark = pytest.mark.slow

JOBS = ("debias", "evaluate", "weak", "classes", "audit", "fix", "augment", "sweep")
TEXT = "h1, h2, p, td, th, li, small, summary, figcaption, .tag, button, nav a"
CONTRAST = """selector => {
  const parts = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const found = parts(getComputedStyle(node).backgroundColor);
      if (found.length === 3 || found[3] > 0.99) return found;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const node of document.querySelectorAll(selector)) {
    if (!node.checkVisibility() || !node.innerText.trim()) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least[0]) least = [ratio, node.outerHTML.slice(0, 80)];
  }
  return least;
}"""
OPEN = "document.querySelectorAll('details').forEach(box => { box.open = true })"


@pytest.fixture
def visit(browser, pages):
    """Opens a page; closes all that it opened."""
    contexts = []

    def open_page(job, width=1200, height=900, anchor="", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(pages[job].as_uri() + anchor)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("job", JOBS)
def test_headline_and_chart_stand_on_the_first_screen_and_the_words_after_it(visit, job):
    page = visit(job)
    title, chart, words = (
        page.locator(f"#result {what}").first.bounding_box()
        for what in ("h1", ".drawing svg:visible", ".lead")
    )
    assert title["y"] + title["height"] <= chart["y"]
    assert chart["y"] + chart["height"] <= 900
    assert chart["width"] >= 900
    assert chart["y"] + chart["height"] <= words["y"]


@pytest.mark.parametrize("job", JOBS)
def test_nothing_is_wider_than_the_page_folded_or_open(visit, job):
    page = visit(job)
    for unfold in ("0", OPEN):
        page.evaluate(unfold)
        for width in (1200, 800, 390):
            page.set_viewport_size({"width": width, "height": 900})
            fits(page, width)


def fits(page, width):
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    chart = page.locator("#result .drawing svg:visible")
    assert chart.count() == 1
    box = chart.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    loose = """[...document.querySelectorAll('table, pre, img')].filter(one => one.checkVisibility()
      && one.getBoundingClientRect().right > innerWidth && !one.closest('.scroll, .drawing')).length"""
    assert page.evaluate(loose) == 0
    scrolled = """[...document.querySelectorAll('.drawing')]
      .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth).length"""
    assert page.evaluate(scrolled) == 0


@pytest.mark.parametrize("job", JOBS)
def test_details_are_folded_and_open_by_key_link_and_for_print(visit, job):
    page = visit(job)
    folds = page.locator(".fold > details")
    assert folds.count() >= 4
    assert page.locator(".fold > details[open]").count() == 0
    first = folds.first.locator("> summary")
    first.focus()
    assert first.evaluate("node => getComputedStyle(node).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert folds.first.evaluate("node => node.open")
    page.keyboard.press("Space")
    assert not folds.first.evaluate("node => node.open")
    page.locator("nav a[href='#limits']").click()
    assert page.locator("#limits").is_visible()
    assert page.locator("#limits").evaluate("node => node.getBoundingClientRect().top < innerHeight")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".fold > details[open]").count() == 1


@pytest.mark.parametrize("job", ["debias", "augment"])
def test_a_link_from_outside_opens_its_fold(visit, job):
    page = visit(job, anchor="#settings")
    assert page.locator("#settings").is_visible()
    assert page.locator("#settings").evaluate("node => node.getBoundingClientRect().top < innerHeight")


@pytest.mark.parametrize("job", ["debias", "fix"])
def test_without_scripts_folds_open_and_print_shows_all(visit, job):
    page = visit(job, java_script_enabled=False)
    assert not page.locator("#settings").is_visible()
    page.locator(".fold > details > summary", has_text="ettings").click()
    assert page.locator("#settings").is_visible()
    assert not page.locator("#limits li").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("#limits li").first.bounding_box()["height"] > 0


@pytest.mark.parametrize("job", ["debias", "fix", "augment"])
def test_text_can_be_read_in_the_light_and_in_the_dark(visit, job):
    seen = []
    for scheme in ("light", "dark"):
        page = visit(job, color_scheme=scheme)
        page.evaluate(OPEN)
        least, where = page.evaluate(CONTRAST, TEXT)
        assert least >= 4.5, (scheme, where)
        look = "node => [getComputedStyle(node).backgroundColor, getComputedStyle(node).color]"
        seen.append(page.locator("body").evaluate(look))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


def test_what_became_worse_stands_between_headline_and_chart(visit):
    page = visit("fix")
    harm, chart = page.locator("#result .harm"), page.locator("#result .drawing svg:visible")
    assert harm.inner_text().startswith("Measurably worse: ")
    assert harm.bounding_box()["y"] < chart.bounding_box()["y"]
    assert "Measurably worse" not in page.locator("#result .lead").inner_text()


def test_pictures_of_hidden_groups_stand_unfolded_after_the_chart(visit):
    for job, most in (("fix", 4), ("audit", 1)):
        shown = visit(job).locator("#slices img:visible")
        assert shown.count() == most
    caption = visit("fix").locator("#slices figcaption").first.inner_text()
    assert "the first 7 of 10 are called right now" in caption


def test_models_that_miss_all_at_the_matched_rate_are_judged_at_the_threshold_and_it_is_said(
    make_weak, make_record, visit
):
    record = make_weak(models=2)
    assert points_of(make_record(models=3)) == ("at_fpr", "at_0.5")
    assert points_of(record) == ("at_0.5", "at_fpr")
    assert main_point(record) == "at_0.5"
    assert too_strict(make_record(models=3)) == ""
    said = too_strict(record)
    assert said in headline(record).sentences
    assert "every model misses more than 95\u202f% of each group" in said
    assert f"“{record.models['plain'].title}” 0.6\u202f% (0.4 to 0.8)" in said
    assert "of its worst group by race" in " ".join(headline(record).sentences)
    assert "at threshold 0.5" in headline(record).sentences[headline(record).harmed]
    page = visit("weak")
    assert page.locator("#result h2").first.inner_text().endswith("at threshold 0.5")
    assert (
        page.locator("#groups [role=tab][aria-selected=true]").nth(1).inner_text()
        == "Missed at threshold 0.5"
    )


@pytest.mark.slow
@pytest.mark.parametrize("job", ["debias", "classes", "audit", "fix", "augment", "sweep"])
def test_the_largest_page_is_under_two_megabytes(largest, written, tmp_path, job):
    record, room = largest[job]
    assert written(record, tmp_path / job, room).stat().st_size < 2_000_000
