"""One door: what the path is decides, bad pictures are listed, and messages say what to do."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from equipoise.data import FORMATS, read
from equipoise.data.read import format_of
from equipoise.errors import DataError, InputError


@pytest.fixture
def pictures(tmp_path, write):
    """Two classes of 100 pictures."""
    folder = tmp_path / "pictures"
    for index in range(100):
        write(folder / "face" / f"{index:03}.png", (index, 0, 0), size=(8, 8))
        write(folder / "scene" / f"{index:03}.png", (0, index, 0), size=(8, 8))
    return folder


def test_positives_and_negatives_from_two_sources(pictures):
    both = [read(pictures / name, label=label, image_size=8) for name, label in (("face", 1), ("scene", 0))]
    table = type(both[0]).concat(both)
    assert len(table.positives) == len(table.negatives) == 100
    assert table.column("path")[0] == str(pictures / "face" / "000.png")
    assert (table.batch([50]) == (50, 0, 0)).all()
    assert (table.batch([150]) == (0, 50, 0)).all()


def test_a_label_is_needed_and_can_be_named(pictures):
    with pytest.raises(DataError, match="label=1"):
        read(pictures / "face")
    assert read(pictures, image_size=8).labels.sum() == 100
    assert read(pictures, image_size=8, positive="face").labels[0] == 1
    assert read(pictures, image_size=8).notes == ("Labels from folder: face = 1, scene = 0",)


def bad_pictures(folder, picture):
    """One of every kind that cannot be read, by name."""
    jpeg = picture(format="JPEG", size=(64, 64))
    (folder / "bad-empty.jpg").touch()
    (folder / "bad-text.jpg").write_text("no picture")
    (folder / "bad-truncated.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "bad-link.png").symlink_to(folder / "nowhere.png")


def test_bad_pictures_are_listed_and_skipped(pictures, picture):
    bad_pictures(pictures / "face", picture)
    table = read(pictures, image_size=8, max_rejected=0.02)
    assert len(table) == 200
    assert {item.path.rpartition("/")[2]: item.reason for item in table.rejected} == {
        "bad-empty.jpg": "the file is empty",
        "bad-text.jpg": "not a picture of a known format",
        "bad-truncated.jpg": table.rejected[-1].reason,
        "bad-link.png": "the file is missing",
    }
    assert "truncated" in table.rejected[-1].reason.lower()
    assert table.groups("folder").counts.tolist() == [100, 100]
    assert (table.batch([150]) == (0, 50, 0)).all()  # rows, labels and columns are still in step
    assert table.labels[150] == 0
    again = read(pictures, image_size=8, max_rejected=0.02)  # from the cache
    assert again.rejected == table.rejected


def test_too_many_bad_pictures_stop_the_reading(pictures, picture):
    bad_pictures(pictures / "face", picture)
    with pytest.raises(
        DataError, match=r"at most 0\.01 .* got 4 of 204 .*bad-empty.jpg: the file is empty.*max_rejected"
    ):
        read(pictures, image_size=8)
    for path in (pictures / "face").glob("bad-[tl]*"):
        path.unlink()
    assert len(read(pictures, image_size=8).rejected) == 1  # 1 of 201 is within 1 %


def test_nothing_but_bad_pictures(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match="got 1 of 1"):
        read(tmp_path, label=1, max_rejected=1)


def test_metadata_warnings_do_not_stop_the_reading(tmp_path, picture, write):
    # a palette with transparency given as bytes makes Pillow warn
    write(tmp_path / "a.png", format="PNG", mode="P", transparency=b"\0" * 10)
    assert len(read(tmp_path, label=1, image_size=8)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_rejected": 1.5}, r"share in \[0, 1\]"),
        ({"format": "hologram"}, "one of folder, manifest"),
        ({"channel_order": "bgr"}, "channel_order is for the format lab-hdf5; got .* read as folder"),
        ({"path_column": "x"}, "path_column is for the format manifest"),
        ({"label_column": "race"}, "one of folder; got 'race'"),
        ({"label": 1, "positive": "face"}, "Give label, or the others"),
    ],
)
def test_options_that_do_not_fit(pictures, options, words):
    with pytest.raises(InputError, match=words):
        read(pictures, **options)


def test_nothing_there(tmp_path):
    for format in (None, "folder", "celeba"):
        with pytest.raises(DataError, match="got nothing"):
            read(tmp_path / "nowhere", format=format)
    with pytest.raises(DataError, match="Expected pictures in"):
        read(tmp_path)
    (tmp_path / "a.xyz").touch()
    with pytest.raises(DataError, match=r"\.parquet.*Force a format: folder"):
        read(tmp_path / "a.xyz")


def test_a_folder_that_may_not_be_looked_into(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(DataError, match=r"Permission denied\. Check its permissions"):
        read(tmp_path)


def test_what_the_path_is(tmp_path, write):
    def file(name, content=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    data = pa.table({"image": pa.array([{"bytes": b"1", "path": "a"}])})
    (tmp_path / "parts").mkdir()
    parquet.write_table(data, tmp_path / "parts" / "a.parquet")
    parquet.write_table(pa.table({"path": ["a"]}), tmp_path / "list.parquet")
    write(tmp_path / "parts of utk" / "part1" / "1_0_2_20161219.jpg")
    write(tmp_path / "utk" / "1_0_2_20161219.jpg.chip.jpg")
    write(tmp_path / "utk" / "39_1_20170116174525125.jpg")
    write(tmp_path / "utk" / "39_1_1_20170116174525125.jpg")
    for name in ("LF", "LM", "DF", "DM"):
        write(tmp_path / "lab" / name / "1.png")
    expected = {
        file("celeba/list_attr_celeba.txt").parent: "celeba",
        file("anno/Anno/list_attr_celeba.txt").parents[1]: "folder",
        file("kaggle/list_attr_celeba.csv"): "celeba",
        file("fair/fairface_label_val.csv").parent: "fairface",
        file("train.csv", "file,age,gender,race,service_test\n"): "fairface",
        file("other.csv", "file,age\n"): "manifest",
        file("other.tsv"): "manifest",
        file("ppb/PPB-2017-metadata.csv").parent: "ppb",
        file("ppb/PPB-2017-metadata.csv"): "ppb",
        file("train_face.h5"): "lab-hdf5",
        file("shards/train-000.tar").parent: "shards",
        file("one.tar"): "shards",
        tmp_path / "shards" / "train-{000..001}.tar": "shards",
        file("saved/state.json").parent: "arrow",
        file("splits/dataset_dict.json").parent: "arrow",
        file("data-00000-of-00001.arrow"): "arrow",
        tmp_path / "parts": "parquet",
        tmp_path / "parts" / "a.parquet": "parquet",
        tmp_path / "list.parquet": "manifest",
        tmp_path / "utk": "utkface",
        tmp_path / "parts of utk": "utkface",
        tmp_path / "lab": "lab-faces",
        write(tmp_path / "plain" / "1.jpg").parent: "folder",
    }
    assert {path: format_of(path) for path in expected} == expected
    assert set(expected.values()) == set(FORMATS)
    (tmp_path / "anno" / "img_align_celeba").mkdir()
    assert format_of(tmp_path / "anno") == "celeba"


def test_the_shared_pictures(shared_data, tmp_path):
    slice_ = parquet.ParquetFile(shared_data / "fairface64" / "test.parquet").read_row_group(0).slice(0, 200)
    parquet.write_table(slice_, tmp_path / "faces.parquet")
    slice_ = (
        parquet.ParquetFile(shared_data / "tinyimagenet64" / "test.parquet").read_row_group(0).slice(0, 50)
    )
    parquet.write_table(slice_, tmp_path / "others.parquet")
    faces, others = read(tmp_path / "faces.parquet"), read(tmp_path / "others.parquet")
    assert len(faces.positives) == 200
    assert len(others.negatives) == 50
    assert faces.image_size == 64
    assert {"race", "gender", "age", "path"} == set(faces.attributes.column_names)
    assert len(faces.groups("race", "gender").names) > 7
    assert len(np.unique(faces.digests)) == 200
    assert faces.rejected == ()
