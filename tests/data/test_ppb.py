"""PPB 2017: a metadata file whose rows end in a bare carriage return."""

import pytest

from equipoise.data import read
from equipoise.data.ppb import ppb
from equipoise.errors import DataError

ROWS = ["1,a_1.jpg,Female,1,Lighter,Iceland", '2,"a_2.jpg",Male,0,Darker,"Rwanda"']


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("header", [[], ["id,image,gender,numeric,bi_fitz,country"]])
def test_rows_may_end_in_anything(tmp_path, write, ending, header):
    write(tmp_path / "imgs" / "a_1.jpg", (10, 0, 0), size=(20, 30))
    write(tmp_path / "imgs" / "a_2.jpg", (60, 0, 0), size=(20, 30))
    (tmp_path / "PPB-2017-metadata.csv").write_bytes(ending.join([*header, *ROWS, ""]).encode())
    table = read(tmp_path, image_size=16)
    assert table.labels.tolist() == [1, 1]
    assert table.attributes.to_pydict() == {
        "gender": ["female", "male"],
        "skin": ["lighter", "darker"],
        "country": ["Iceland", "Rwanda"],
        "path": [str(tmp_path / "imgs" / "a_1.jpg"), str(tmp_path / "imgs" / "a_2.jpg")],
    }
    assert table.batch([0, 1])[:, 8, 8, 0].tolist() == pytest.approx([10, 60], abs=3)


def test_malformed(tmp_path):
    with pytest.raises(DataError, match="Check the path"):
        ppb(tmp_path)
    (tmp_path / "PPB-2017-metadata.csv").write_text("1,a.jpg,Female\n")
    with pytest.raises(DataError, match=r"got .'1', 'a\.jpg', 'Female'"):
        ppb(tmp_path)
    (tmp_path / "PPB-2017-metadata.csv").write_text("\n")
    with pytest.raises(DataError, match="got no row"):
        ppb(tmp_path)
