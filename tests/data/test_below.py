"""Paths and links stay below the folder that was given, unless they may leave it."""

import os

import pyarrow as pa
import pytest
from pyarrow import parquet

from equipoise.data import read
from equipoise.data.below import check_below, is_below
from equipoise.errors import DataError, InputError


@pytest.fixture
def places(tmp_path, write):
    """A folder of data, and a picture beside it that is nobody's business."""
    write(tmp_path / "secret" / "s.png", (1, 0, 0))
    write(tmp_path / "data" / "in" / "a.png", (2, 0, 0))
    return tmp_path


def listed(folder, *paths, ending=".csv"):
    path = folder / f"list{ending}"
    if ending == ".csv":
        path.write_text("\n".join(["path", *paths]))
    elif ending == ".jsonl":
        path.write_text("\n".join(f'{{"path": "{place}"}}' for place in paths))
    else:
        parquet.write_table(pa.table({"path": list(paths)}), path)
    return path


def ways_out(root):
    (root / "data" / "link.png").symlink_to(root / "secret" / "s.png")
    (root / "data" / "hop").symlink_to("link.png")
    (root / "data" / "door").symlink_to(root / "secret")
    return [
        "../secret/s.png",
        "in/../../secret/s.png",
        str(root / "secret" / "s.png"),
        "link.png",
        "hop",
        "door/s.png",
        "in/../door/s.png",
    ]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("way", range(7))
def test_a_table_does_not_lead_out(places, ending, way):
    path = ways_out(places)[way]
    listing = listed(places / "data", "in/a.png", path, ending=ending)
    with pytest.raises(DataError, match=r"below .*data; got .*`allow_outside`"):
        read(listing, label=1, image_size=8)
    assert len(read(listing, label=1, image_size=8, allow_outside=True)) == 2


def test_a_table_may_use_absolute_paths_links_and_dots_inside(places):
    (places / "data" / "link").symlink_to("in")
    ways = ["link/a.png", "in/../in/a.png", str(places / "data" / "in" / "a.png"), "./in/a.png"]
    assert len(read(listed(places / "data", *ways), label=1, image_size=8)) == 4


def test_the_folder_itself_may_be_a_link(places):
    (places / "mine").symlink_to(places / "data")
    listed(places / "data", "in/a.png")
    for path in (places / "mine", places / "mine" / "list.csv"):
        assert len(read(path, label=1, image_size=8)) == 1


@pytest.mark.parametrize("link", ["picture", "folder", "nothing"])
def test_links_in_a_folder_do_not_lead_out(places, link):
    target = {"picture": "s.png", "folder": ".", "nothing": "gone.png"}[link]
    (places / "data" / "in" / "x.png").symlink_to(places / "secret" / target)
    with pytest.raises(DataError, match=r"x\.png', which leads to .*secret.*a link"):
        read(places / "data", label=1, image_size=8)
    options = {"allow_outside": True, "max_rejected": 0.5}
    assert len(read(places / "data", label=1, image_size=8, **options)) == (1 if link == "nothing" else 2)


def test_a_link_to_everything_is_not_walked(places, monkeypatch):
    (places / "data" / "all").symlink_to("/")
    walked = []
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", lambda place: walked.append(str(place)) or scandir(place))
    with pytest.raises(DataError, match="leads to /: "):
        read(places / "data", label=1)
    assert all(str(places) in place for place in walked)


def layouts(root, write):
    """Each known layout with one picture that leads out of it."""
    write(root / "out.png")
    fair, celeba, ppb, faces, utk, parts = (root / name for name in ("f", "c", "p", "l", "u", "h"))
    for folder in (fair, celeba, ppb, utk, parts):
        folder.mkdir()
    (celeba / "img_align_celeba").mkdir()
    (ppb / "imgs").mkdir()
    (fair / "fairface_label_val.csv").write_text("file,age,gender,race,service_test\n../out.png,1,2,3,4\n")
    (celeba / "list_attr_celeba.csv").write_text("image_id,Smiling\n../../out.png,1\n")
    (ppb / "PPB-2017-metadata.csv").write_text("1,../../out.png,Male,1,lighter,x\n")
    for name in ("LF", "LM", "DF", "DM"):
        write(faces / name / "1.png")
    (faces / "DM" / "2.png").symlink_to(root / "out.png")
    (utk / "1_0_2_20161219.jpg").symlink_to(root / "out.png")
    parquet.write_table(pa.table({"image": [{"bytes": b"", "path": "../out.png"}]}), parts / "a.parquet")
    return {
        "fairface": fair,
        "celeba": celeba,
        "ppb": ppb,
        "lab-faces": faces,
        "utkface": utk,
        "parquet": parts,
    }


@pytest.mark.parametrize("format", ["fairface", "celeba", "ppb", "lab-faces", "utkface", "parquet"])
def test_no_known_layout_leads_out(tmp_path, write, format):
    folder = layouts(tmp_path, write)[format]
    with pytest.raises(DataError, match="`allow_outside`"):
        read(folder, format=format, label=1, image_size=8)
    assert len(read(folder, format=format, label=1, image_size=8, allow_outside=True)) >= 1


def test_embedded_files_of_a_folder_do_not_lead_out(tmp_path, picture):
    (tmp_path / "h").mkdir()
    parquet.write_table(pa.table({"image": [{"bytes": picture(), "path": None}]}), tmp_path / "a.parquet")
    (tmp_path / "h" / "a.parquet").symlink_to(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="`allow_outside`"):
        read(tmp_path / "h", label=1, image_size=8)
    assert len(read(tmp_path / "h" / "a.parquet", label=1, image_size=8)) == 1  # the user named this one


@pytest.mark.parametrize("path", ["", " ", "\t"])
def test_an_empty_path_is_not_this_folder(places, path, monkeypatch):
    monkeypatch.chdir(places / "data")
    with pytest.raises(InputError, match="got an empty one"):
        read(path, label=1)
    with pytest.raises(DataError, match=r"path in every row of .*got none in row 1 \(1 such rows\)"):
        read(listed(places / "data", "in/a.png", path, ending=".parquet"), label=1)
    with pytest.raises(DataError, match="path in every row"):
        read(listed(places / "data", "in/a.png", f'"{path}"'), label=1)


def test_a_null_character_is_no_path(tmp_path):
    with pytest.raises(DataError, match="path of a picture"):
        check_below(["a\0/b.png"], tmp_path)
    assert not is_below(tmp_path.parent, tmp_path)
    assert is_below(tmp_path, tmp_path)
    assert not is_below(f"{tmp_path}x", tmp_path)
