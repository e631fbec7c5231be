"""UTKFace: all in the file's name."""

import pytest

from equipoise.data import read
from equipoise.data.utkface import NAME, utkface
from equipoise.errors import DataError


def test_names_are_read_and_malformed_ones_listed(tmp_path, write):
    for name in (
        "100_1_0_20170112213500903.jpg.chip.jpg",
        "1_0_4_20161219140623097.jpg",
        "2_0_4_20161219140623097.jpg",
        "part2/26_0_3_20170116174525125.JPG",
        "39_1_20170116174525125.jpg.chip.jpg",
        "61_3_20170109142408075.jpg",
    ):
        write(tmp_path / name, format="JPEG")
    table = read(tmp_path, image_size=8, max_rejected=0.4)
    assert table.labels.tolist() == [1, 1, 1, 1]
    assert table.column("age") == [100, 1, 2, 26]
    assert table.column("gender") == ["female", "male", "male", "male"]
    assert table.column("race") == ["White", "other", "other", "Indian"]
    assert [item.path.rpartition("/")[2][:4] for item in table.rejected] == ["39_1", "61_3"]
    assert {item.reason for item in table.rejected} == {"the name is not age_gender_race_date.jpg"}
    with pytest.raises(DataError, match="got 2 of 6"):
        read(tmp_path, image_size=8)


@pytest.mark.parametrize(
    "name", ["20_2_0_2017.jpg", "20_0_5_2017.jpg", "_0_0_2017.jpg", "20_0_0_.jpg", "20_0_0_1.png"]
)
def test_malformed_names(name):
    assert NAME.fullmatch(name) is None


def test_no_such_name(tmp_path, write):
    write(tmp_path / "cat.jpg")
    with pytest.raises(DataError, match="got 1 pictures"):
        utkface(tmp_path)
