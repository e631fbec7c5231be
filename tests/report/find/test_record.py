"""find.json: it comes back as it was, and its keys are documented."""

from dataclasses import replace
from pathlib import Path

import pytest

from equipoise.errors import DataError
from equipoise.rate import Rate
from equipoise.report import find_html, find_text, read_find, write_find
from equipoise.report.audit.record import AskedWords, NearWord
from equipoise.report.find.record import FindData, FindRecord


@pytest.fixture
def record(make_audit):
    """Of the slices of an audit, with words."""
    slices = make_audit().slices
    near = NearWord("a <dark> room", Rate(0.9, float("nan"), float("nan"), 20), 0.3, 0.1, 0.001)
    found = [replace(slices.found[0], words=[near])]
    data = FindData({"predictions": "ab"}, {"predictions": "p.csv"}, {"face": 200}, 30, ["A note."])
    words = AskedWords(["a <dark> room", "snow"], "hf:clip")
    accuracy = Rate(0.9, 0.85, 0.94, 500)
    return FindRecord(
        "find", {"a": 1}, 0, {}, data, accuracy, replace(slices, found=found, words=words), 1.0, 10
    )


def test_it_comes_back(record, tmp_path):
    write_find(record, tmp_path)
    found = read_find(tmp_path)
    assert replace(found.slices.found[0], words=[]) == replace(record.slices.found[0], words=[])
    assert found.slices.found[0].words[0].word == "a <dark> room"
    assert found.slices.words == record.slices.words
    assert found.data == record.data
    assert "1 slice of 500 images" in repr(record)


def test_another_version_is_refused(record, tmp_path):
    write_find(record, tmp_path)
    text = (tmp_path / "find.json").read_text().replace('"schema_version": 1', '"schema_version": 2')
    (tmp_path / "find.json").write_text(text)
    with pytest.raises(DataError, match="schema version 1; got version 2"):
        read_find(tmp_path)


def test_every_key_is_documented(held):
    text = "".join(
        (Path(__file__).parents[3] / "docs" / name).read_text() for name in ("find.md", "audit.md")
    )
    for name, fields in held(FindRecord).items():
        for key in fields:
            assert f"`{key}`" in text, f"{name}.{key}"


def test_words_of_the_user_are_text_on_the_page(record):
    page = find_html(record)
    assert "a &lt;dark&gt; room" in page
    assert "<dark>" not in page
    assert "(in 90" in page
    assert "mean cosine 0.300 against 0.100" in page
    assert "A note." in page
    assert "near “a <dark> room” (p 0.001)" in " ".join(find_text(record).split())


def test_without_slices_it_says_so(record):
    none = replace(record, slices=replace(record.slices, found=[], words=None))
    assert "No hidden group was found" in find_html(none)
    assert "No hidden group was found" in find_text(none)
