"""CSV and TSV: text as it stands in the file, and the cause where it cannot be read."""

import pytest

from equipoise.data.delimited import read_delimited
from equipoise.errors import DataError


def csv_file(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def columns(folder, content, name="t.csv"):
    return read_delimited(csv_file(folder, content, name))[0].to_pydict()


@pytest.mark.parametrize(
    "values",
    [
        ["1", "01", "001"],
        ["10000000000000000001", "10000000000000000002"],
        ["True", "true", "1"],
        ["1", "1.0", "1e5"],
        ["2020-01-01", "2020-01-01 00:00:00"],
        ["NA", "None", "null", "nan"],
        ["(missing)", "missing"],
        ["５", "5", "٥"],
    ],
)
def test_no_type_is_guessed(tmp_path, values):
    rows = "".join(f"{value}\n" for value in values)
    assert columns(tmp_path, f"site\n{rows}") == {"site": values}
    assert columns(tmp_path, "n,site\n" + "".join(f"1,{v}\r\n" for v in values))["site"] == values


def test_empty_cells_are_missing_and_others_are_not(tmp_path):
    text = 'a,b\n1,\n"",NA\n  ,"x, y"\n'
    assert columns(tmp_path, text) == {"a": ["1", None, None], "b": [None, "NA", "x, y"]}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    assert columns(tmp_path, "path,städtchen\na,ü\n".encode(encoding)) == {"path": ["a"], "städtchen": ["ü"]}


def test_big_endian_text_with_a_mark(tmp_path):
    assert columns(tmp_path, b"\xfe\xff" + "a,b\n1,ü\n".encode("utf-16-be")) == {"a": ["1"], "b": ["ü"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,label\na,Ärger\n".encode("latin-1"), r"UTF-8.*line 2.*iconv"),
        ("path,label\na,1\nb,é\n".encode("cp1252"), "line 3"),
        ("path,label\na,1\n".encode("utf-16-le"), "null character in line 1.*UTF-16"),
        (b"path,label\na\0,1\n", "null character in line 2"),
        (b"\xff\xfea", "UTF-16"),
        (b"\x1f\x8b\x08\x00", "not utf-8"),
        (b"", "header line.*got no line"),
        (b"\n\n", "header line"),
        (b",,\n1,2,3\n", "names of columns"),
        (b"a,b\n1\n", "2 cells in every row.*got 1 in line 2"),
        (b"a,b\n1,2\n\n1,2,3\n", "got 3 in line 4"),
        (b'a,b\n1,"2\n3,4\n', "double quotes"),
        (b'a,b\n1,"2"x\n', "line 2"),
        (b"a,b,a\n1,2,3\n", "'a' more than once"),
        (b"a,b, a\n1,2,3\n", "'a' more than once"),
    ],
)
def test_the_cause_is_said(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_delimited(csv_file(tmp_path, content))


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("t.csv", "a;b\n1,5;2\n", "separated by semicolons"),
        ("t.csv", "a\tb\n1,5\t2\n", "separated by tabs"),
        ("t.csv", "a|b\n1,5|2\n", "separated by bars"),
        ("t.csv", '"a,x";b\n1,5;2\n', "separated by semicolons"),
        ("t.tsv", "a\tb\n1,5\t2\n", None),
        ("t.tsv", 'a,b\n"1,5",2\n', "separated by commas"),
    ],
)
def test_the_header_tells_the_separator(tmp_path, name, text, note):
    table, notes = read_delimited(csv_file(tmp_path, text, name))
    assert [column.to_pylist() for column in table.columns] == [["1,5"], ["2"]]
    assert (note is None) == (not notes)
    assert note is None or note in notes[0]


def test_blanks_around_names_are_left_out_and_said(tmp_path):
    table, notes = read_delimited(csv_file(tmp_path, 'path, label , race\na, 1, "w, x"\nb,0,w \n'))
    assert table.to_pydict() == {"path": ["a", "b"], "label": ["1", "0"], "race": ["w, x", "w "]}
    assert notes == ("Blanks around the names of columns are left out: label, race",)
    kept = columns(tmp_path, "path,race\na, w\n")  # no blanks in the header: they belong to the value
    assert kept["race"] == [" w"]


def test_a_column_without_a_name_is_left_out_and_said(tmp_path):
    table, notes = read_delimited(csv_file(tmp_path, ",path\n0,a\n1,b\n"))  # the index of a data frame
    assert table.to_pydict() == {"path": ["a", "b"]}
    assert notes == ("Columns without a name are left out: number 1",)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_they_like_and_cells_hold_lines(tmp_path, end):
    text = end.join(["a,b", '"1', '2",x', "", "3,y"])
    assert columns(tmp_path, text) == {"a": [f"1{end}2", "3"], "b": ["x", "y"]}


def test_more_rows_than_are_turned_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("equipoise.data.delimited.ROWS", 3)
    assert columns(tmp_path, "n\n" + "".join(f"{i:03}\n" for i in range(10)))["n"] == [
        f"{i:03}" for i in range(10)
    ]
    assert columns(tmp_path, "a,b\n") == {"a": [], "b": []}
