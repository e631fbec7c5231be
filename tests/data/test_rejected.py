"""The list of pictures that could not be read."""

import dataclasses

import numpy as np

from equipoise.data import ImageTable, write_rejected
from equipoise.data.table import Rejected


def test_the_list_always_has_a_header(tmp_path):
    table = ImageTable.from_arrays(np.zeros((1, 8, 8, 3), np.uint8), [1])
    write_rejected(table, tmp_path / "rejected.csv")
    assert (tmp_path / "rejected.csv").read_text() == "path,reason\n"
    bad = dataclasses.replace(
        table, rejected=(Rejected("a, b.jpg", "the file is empty"), Rejected("é.png", 'x "y"'))
    )
    write_rejected(bad, tmp_path / "new" / "rejected.csv")
    assert (tmp_path / "new" / "rejected.csv").read_bytes().decode() == (
        'path,reason\n"a, b.jpg",the file is empty\né.png,"x ""y"""\n'
    )
