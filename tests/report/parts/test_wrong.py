"""The section of wrong pictures: what it says, what it escapes, and what is not there."""

import dataclasses
import json

import pytest

from equipoise.rate import Rate
from equipoise.report import audit_html, html, write, write_audit
from equipoise.report.audit.record import read_audit
from equipoise.report.debias.record import read
from equipoise.report.parts.wrong import WrongCell, WrongPicture, WrongPictures, wrong_page


def found(**changes):
    """Two cells, of the second all is shown."""
    one = WrongPicture(7, "night/<b>7</b>.png", "dog", "cat & co", 0.9312, "pictures/wrong_7.png")
    other = dataclasses.replace(
        one, row=9, path=None, probability=0.9991, file="pictures/wrong_9.png", **changes
    )
    cells = [
        WrongCell("dog × night", Rate(0.25, 0.2, 0.31, 200), [one, other]),
        WrongCell("fox × day", Rate(0.1, 0.01, 0.4, 10), [one]),
    ]
    return WrongPictures("debiased", "class × time", cells)


def test_how_many_there_are_and_how_they_were_chosen_is_said():
    page = wrong_page(found(), None)
    assert "2 worst cells (class × time) of “debiased”" in page.lead
    assert "at random" in page.lead
    first, second = page.cells
    assert first[0] == "dog × night"
    assert first[1].startswith(
        "50 of 200 images are called wrong, 25.0\u202f% (20.0 to 31.0); here are 2 of them"
    )
    assert second[1].endswith("here are all of them.")
    assert [tile.place for tile in first[2]] == ["night/<b>7</b>.png", "row 9"]
    assert [tile.said for tile in first[2]] == ["cat & co, 93\u202f%", "cat & co, 99.9\u202f%"]


def test_where_there_is_nothing_there_is_no_section(make_record):
    assert wrong_page(None, None) is None
    assert wrong_page(WrongPictures("debiased", "class", []), None) is None
    assert 'id="wrong"' not in html(make_record(models=2))


@pytest.mark.parametrize("job", ["run", "audit"])
def test_each_picture_has_words_for_those_who_do_not_see_it(
    job, make_record, make_audit, read_page, png, tmp_path
):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "wrong_7.png").write_bytes(png)
    make, page = {"run": (make_record, html), "audit": (make_audit, audit_html)}[job]
    drawn = page(dataclasses.replace(make(), wrong=found()), tmp_path)
    read = read_page(drawn)
    assert not read.problems
    texts = [value for tag, name, value in read.attributes if (tag, name) == ("img", "alt")]
    assert texts.count("night/<b>7</b>.png: label dog, prediction cat & co, 93\u202f%") == 2
    assert "<b>7</b>" not in drawn
    assert "The picture pictures/wrong_9.png is missing" in read.words
    assert "wrong" in read.ids
    assert ("a", "href", "#wrong") in read.attributes


@pytest.mark.parametrize("job", ["run", "audit"])
def test_records_of_before_stay_readable_and_new_ones_come_back(job, make_record, make_audit, tmp_path):
    make, writer, reader = {
        "run": (make_record, write, read),
        "audit": (make_audit, write_audit, read_audit),
    }[job]
    record = dataclasses.replace(make(), wrong=found())
    file = writer(record, tmp_path)
    assert reader(tmp_path).wrong == record.wrong
    content = json.loads(file.read_text())
    for name in ("wrong", "called"):
        content.pop(name, None)
    file.write_text(json.dumps(content))
    assert reader(tmp_path) == dataclasses.replace(record, wrong=None)


def test_a_picture_outside_of_the_folder_is_left_out(tmp_path, png):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.png").write_bytes(png)
    cells = wrong_page(found(), tmp_path / "run").cells
    assert all(tile.picture.uri is None for _, _, tiles in cells for tile in tiles)
    stolen = dataclasses.replace(found().cells[0].shown[0], file="../secret.png")
    page = wrong_page(
        WrongPictures("m", "class", [WrongCell("c", Rate(1.0, 0.1, 1.0, 1), [stolen])]), tmp_path / "run"
    )
    assert page.cells[0][2][0].picture.uri is None
