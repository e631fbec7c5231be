import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from equipoise.report import audit_html, audit_text, write_audit, write_audit_report
from equipoise.report.audit.words import AUDIT_LIMITS, audit_headline, best_risk

HOSTILE = "<script>window.hacked = true</script>\"'&"


SIZES = {
    "usual": {},
    "no groups": {"attributes": {}},
    "one risk": {"risks": 1},
    "no errors": {"errors": False},
    "hostile": {"attributes": {HOSTILE: (HOSTILE, "plain")}, "title": HOSTILE},
}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_whole(make_audit, size, read_page):
    text = audit_html(make_audit(**SIZES[size]))
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
    for line in AUDIT_LIMITS:
        assert line in words
    assert "annotations" in words


def test_pictures_are_inside_the_file(make_audit, tmp_path, png):
    record = make_audit()
    (tmp_path / "pictures").mkdir()
    for file in record.pictures.values():
        (tmp_path / file).write_bytes(png)
    write_audit(record, tmp_path)
    text = write_audit_report(tmp_path).read_text()
    assert text.count("data:image/png;base64,") == len(record.pictures)
    photograph = io.BytesIO()
    Image.new("RGB", (8, 8)).save(photograph, "JPEG")
    (tmp_path / record.pictures["label_noise_lowest"]).write_bytes(photograph.getvalue())
    assert write_audit_report(tmp_path).read_text().count("data:image/jpeg;base64,") == 1
    (tmp_path / record.pictures["label_noise_lowest"]).write_bytes(b"GIF89a")
    assert "not a PNG or JPEG picture" in write_audit_report(tmp_path).read_text()
    (tmp_path / record.pictures["label_noise_highest"]).unlink()
    assert "is missing from the run&#39;s folder" in write_audit_report(tmp_path).read_text()


def nothing_found(record):
    return replace(record, slices=replace(record.slices, found=[]))


def test_the_summary_names_the_best_risk_and_the_groups_that_every_score_agrees_on(make_audit):
    record = make_audit()
    assert best_risk(record).title == "dropout disagrees"
    title, sentences = audit_headline(record)
    assert title.startswith(
        "One hidden group found; the worst, face #1, is wrong 60\u202f% against 10\u202f%"
    )
    assert "holds 40\u202f% of the errors" in sentences[1]
    assert audit_headline(nothing_found(record))[0] == sentences[1].removesuffix(".")
    text = " ".join(sentences)
    assert "right on 90.0" in text
    assert "representation risk is measurably higher for Black;" in text
    assert "White" not in text
    assert "tiny" not in text  # under 30 images
    assert "annotations" in audit_text(record)


def test_without_errors_nothing_is_claimed(make_audit):
    title, sentences = audit_headline(nothing_found(make_audit(errors=False)))
    assert title.startswith("No wrong prediction among 500 images")
    assert not any("AUROC" in sentence for sentence in sentences)


def test_a_risk_like_chance_is_called_so(make_audit):
    assert (
        audit_headline(nothing_found(make_audit(auroc=0.52)))[0]
        == "No risk measurably finds the model’s errors"
    )


def test_an_undefined_number_says_why(make_audit):
    assert "no image is of this kind" in audit_html(make_audit())


def test_enrichment_stands_with_the_representation_risk_only(make_audit, read_page):
    record = make_audit()
    page = " ".join("".join(read_page(audit_html(record)).text).split())
    assert page.count("Enrichment at ESS 0.5") == 1
    assert page.count("Rarity found the rare (race).") == 1
    shown = audit_text(record)
    assert "Drawn by “far from its neighbours” at ESS 0.5: Rarity found the rare (race)." in shown
    table = shown[shown.index("Enrichment by race at ESS 0.5") :].splitlines()
    one = record.groups["race"]["Black"].enrichment["representation_neighbours"]
    row = next(row for row in table if row.startswith("Black"))
    assert f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" in row
    assert table[3].startswith("tiny")  # the smallest group first
    assert "Enrichment" not in audit_text(make_audit(attributes={}))
