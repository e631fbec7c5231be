"""JSON lines: numbers as they are written, and the line that is wrong."""

import pytest

from equipoise.data.json_lines import read_json_lines
from equipoise.errors import DataError


def lines(folder, *rows, encoding="utf-8"):
    path = folder / "t.jsonl"
    path.write_bytes("\n".join(rows).encode(encoding))
    return path


def test_values_are_text(tmp_path):
    path = lines(
        tmp_path,
        '{"a": 1, "b": "01", "c": true, "d": null, "e": [1, {"x": "y\\u2028"}]}',
        "",
        '{"a": 1.0, "b": 10000000000000000001, "c": "true", "d": "", "f": NaN}',
    )
    table, notes = read_json_lines(path)
    assert table.to_pydict() == {
        "a": ["1", "1.0"],
        "b": ["01", "10000000000000000001"],
        "c": ["True", "true"],
        "d": [None, None],
        "e": ['[1, {"x": "y\u2028"}]', None],
        "f": [None, None],
    }
    assert notes == ()


def test_utf_16_with_a_mark(tmp_path):
    assert read_json_lines(lines(tmp_path, '{"a": "ü"}', encoding="utf-16"))[0].to_pydict() == {"a": ["ü"]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"a": 1', "line 2"),
        ("[1]", "list in place of an object"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('{"a": 1, " a": 2}', "'a' more than once"),
        ('{"a": ' + "[" * 100_000, "line 2"),
        ('{"a": "\\ud800"}', "line 2"),
        ('{"\\ud800": 1}', "line 2"),
        ('{"a": 01}', "line 2"),
    ],
)
def test_the_cause_is_said(tmp_path, row, words):
    with pytest.raises(DataError, match=words):
        read_json_lines(lines(tmp_path, '{"a": 1}', row))
