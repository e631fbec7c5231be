"""The labs' test faces: four folders."""

import pytest

from equipoise.data import read
from equipoise.data.lab_faces import lab_faces
from equipoise.errors import DataError


def test_four_folders(tmp_path, write):
    for index, name in enumerate(("LF", "LM", "DF", "DM")):
        write(tmp_path / name / "1.png", (index, 0, 0), mode="RGBA")
    table = read(tmp_path, image_size=8)
    assert table.labels.tolist() == [1] * 4
    assert table.column("skin") == ["light", "light", "dark", "dark"]
    assert table.column("gender") == ["female", "male", "female", "male"]
    assert table.batch([0, 1, 2, 3])[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert table.groups("skin", "gender").names == (
        "dark × female",
        "dark × male",
        "light × female",
        "light × male",
    )


def test_empty_folders(tmp_path):
    for name in ("LF", "LM", "DF", "DM"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="got none"):
        lab_faces(tmp_path)
