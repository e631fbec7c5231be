import csv
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.shown import cell_value, csv_text, harmless, one_line

STEERS = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07name",
    "one byte escape": "\x9b2Jname",
    "carriage return": "first\rlast",
    "backspace": "safe\b\b\b\bevil",
    "line": "name\nworst group: nobody",
    "override": "gpj.\u202eexe",
    "isolate": "\u2066name\u2069",
    "no width": "na\u200bme\ufeff",
    "line separator": "a\u2028b\u2029c",
    "next line": "a\x85b",
    "surrogate": "na\udcffme",
    "null": "na\x00me",
    "tag": "name\U000e0041",
    "private": "\ue000",
}


@pytest.mark.parametrize("name", STEERS)
def test_nothing_that_steers_is_left(name):
    for shown in (harmless(STEERS[name]), one_line(STEERS[name])):
        assert all(c.isprintable() or c in " \u00a0\u2009" for c in shown)
        shown.encode()  # a terminal in UTF-8 can take it
    assert len(harmless(STEERS[name])) == len(STEERS[name])  # columns stay aligned


@pytest.mark.parametrize(
    "text", ["Ã©té", "日本語", "שלום", "a b\u00a0c", "🙂", "[red]x[/red]", "$x^2$", "e\u0301", ""]
)
def test_what_people_write_stays(text):
    assert harmless(text) == text


def test_lines_of_a_message_become_one():
    assert one_line("  first:\n\t  second\r\n third \x1b[1m") == "first: second third �[1m"


@given(st.text())
def test_harmless_twice_is_harmless_once(text):
    assert harmless(harmless(text)) == harmless(text)


FORMULAS = [
    "=1+1",
    "+SUM(A1)",
    "-2+3",
    "@cmd",
    "\t=1",
    "\r=1",
    "\n=1",
    '=HYPERLINK("http://x","y")',
    " =1",
    '"=1"',
    "'=1",
    "\u00a0=1",
    "\ufeff=1",
    "  @x",
    "|calc",
    "%x",
    "＝1+1",
    "-1e",
    "+",
    "=",
    "-",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_quoted_and_come_back(text):
    written = csv_text((text, "plain"), [(text, -1.5), ("x", text)])
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert rows[0][0].startswith("'")
    assert rows[1][0].startswith("'")
    assert [cell_value(rows[0][0]), cell_value(rows[1][0]), cell_value(rows[2][1])] == [text] * 3
    assert rows[1][1] == "-1.5"


@pytest.mark.parametrize(
    "value", [-1, 0.5, -1e-300, "-1", "+2.5", "-1e-3", ".5", "plain", "a=b", "1-2", "", None, "x -1"]
)
def test_numbers_and_plain_text_stay(value):
    rows = list(csv.reader(io.StringIO(csv_text(("value",), [(value,)]))))
    assert [*rows, [""]][1] in ([str(value)], [""], []) if value is None else rows[1] in ([str(value)], [])
    assert value is None or value == "" or rows[1] == [str(value)]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_comes_back(text):
    _, row = csv.reader(io.StringIO(csv_text(("a", "b"), [(text, "x")]), newline=""))
    assert cell_value(row[0]) == text


def test_names_of_files_that_are_no_unicode_can_be_written(tmp_path):
    name = b"na\xffme".decode(errors="surrogateescape")
    csv_text(("path",), [(name,)]).encode()
    assert sys.getfilesystemencodeerrors() == "surrogateescape" or tmp_path
