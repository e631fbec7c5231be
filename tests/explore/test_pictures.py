"""Pictures are found by what rows call them, and no other file is ever sent."""

import io
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.explore.pictures import Pictures, Wanted
from equipoise.pictures.unreadable import Unreadable


def shown(content):
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    return picture.size, np.asarray(picture).reshape(-1, 3).mean(0)


def is_of(pictures, row, of=None):
    expected = np.array(
        [(of if of is not None else row) * 20 % 256, 255 - (of if of is not None else row) * 20 % 256, 100]
    )
    return np.abs(shown(pictures.small(row, 96))[1] - expected).max() < 8


def found(paths, **wanted):
    pictures = Pictures(paths, Wanted(**wanted))
    pictures.find()
    return pictures


def test_a_run_finds_its_pictures_where_it_was_started(run_folder, exploring):
    pictures = exploring(run_folder()).pictures
    assert all(is_of(pictures, row) for row in range(12))
    assert pictures.notes == []
    assert pictures.file(3).endswith("place/imgs/000003.png")


def test_absolute_sources_are_found_by_what_others_may_see(table_file, tmp_path):
    place = table_file().parent / "imgs"
    paths = [f"…/imgs/{row:06d}.png" for row in range(12)]
    assert all(is_of(found(paths, settings={"data": str(place)}), row) for row in (0, 11))


def test_files_that_a_table_names_and_that_are_gone_are_said(table_file):
    table = table_file()
    paths = [f"imgs/{row:06d}.png" for row in range(12)]
    whole = found(paths, settings={}, table=str(table))
    assert whole.notes == []
    os.rename(table.parent / "imgs" / "000003.png", table.parent / "imgs" / "x.png")
    notes = found(paths, settings={}, table=str(table)).notes
    assert notes == [
        "1 of 12 files of pictures that were looked for are not there. Have they moved? "
        "Name their source with `pictures`."
    ]


def test_pictures_keep_their_shape_and_are_made_small(run_folder, exploring):
    pictures = exploring(run_folder()).pictures
    assert shown(pictures.small(0, 96))[0] == (40, 20)
    Image.new("RGB", (400, 200)).save("place/imgs/000001.png")
    assert shown(pictures.small(1, 96))[0] == (96, 48)


def test_moved_pictures_are_said_and_found_where_they_are_now(run_folder, exploring, tmp_path):
    folder = run_folder()
    os.rename("place/imgs", "moved")
    lost = exploring(folder)
    assert lost.about()["rows"] == 12
    assert any("cannot be shown" in note for note in lost.status()["notes"])
    with pytest.raises(Unreadable):
        lost.pictures.small(0, 96)
    again = exploring(folder, given=(str(tmp_path / "moved"),))
    assert all(is_of(again.pictures, row) for row in range(12))


def test_one_picture_that_went_away_is_missing_alone(run_folder, exploring):
    folder = run_folder()
    os.remove("place/imgs/000004.png")
    pictures = exploring(folder).pictures
    assert any("1 of 12 pictures" in note for note in pictures.notes)
    assert is_of(pictures, 5)
    with pytest.raises(Unreadable, match="not where the run says"):
        pictures.small(4, 96)
    os.remove("place/imgs/000006.png")  # after it was found
    with pytest.raises(Unreadable):
        pictures.small(6, 96)


def test_a_name_alone_is_not_taken_for_another_folders_picture(table_file):
    place = table_file().parent / "imgs"
    pictures = found(["…/imgs/deeper/000000.png", "…/others/000001.png"], settings={"data": str(place)})
    assert not pictures.known(0)
    assert not pictures.known(1)


def test_two_pictures_of_one_name_are_neither(table_file, tmp_path):
    place = table_file().parent / "imgs"
    shutil.copytree(place, tmp_path / "again" / "imgs")
    settings = {"positives": str(place), "negatives": str(tmp_path / "again" / "imgs")}
    pictures = found(["…/imgs/000000.png"], settings=settings)
    assert not pictures.known(0)
    assert any("name of another" in note for note in pictures.notes)


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "imgs/../../secret.png", "…/../secret.png", "..%2fsecret.png"]
)
def test_rows_cannot_name_files_outside(table_file, tmp_path, exploring, name):
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    table = table_file(path=[name, *(f"imgs/{row:06d}.png" for row in range(1, 12))])
    pictures = exploring(table).pictures
    assert not pictures.known(0) or pictures.file(0).startswith(str(tmp_path / "place"))
    with pytest.raises(Unreadable):
        pictures.small(0, 96)


def test_links_out_of_the_folder_are_refused_unless_allowed(table_file, tmp_path, exploring):
    Image.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / "secret.png")
    table = table_file()
    os.remove(tmp_path / "place/imgs/000000.png")
    os.symlink(tmp_path / "secret.png", tmp_path / "place/imgs/000000.png")
    closed = exploring(table)
    assert not closed.pictures.known(0)
    assert any("leads" in note for note in closed.pictures.notes)
    assert shown(exploring(table, allow_outside=True).pictures.small(0, 96))[0] == (9, 9)


def test_what_is_no_picture_is_not_sent(run_folder, exploring, tmp_path):
    folder = run_folder()
    (tmp_path / "place/imgs/000002.png").write_bytes(b"password")
    with pytest.raises(Unreadable):
        exploring(folder).pictures.small(2, 96)


def test_embedded_pictures_come_from_the_kept_pixels(tmp_path, picture):
    content = [picture((row * 20, 255 - row * 20, 100)) for row in range(6)]
    pq.write_table(pa.table({"image": content, "label": [0, 1] * 3}), tmp_path / "faces.parquet")
    settings = {"data": str(tmp_path / "faces.parquet"), "image_size": 16, "cache": str(tmp_path / "cache")}
    pictures = found([f"faces.parquet#{row}" for row in range(6)], settings=settings)
    assert all(is_of(pictures, row) for row in range(6))
    assert pictures.file(0) is None


@pytest.mark.slow  # what draws takes seconds to load
def test_the_embedded_set_is_shown_as_it_was_drawn(tmp_path):
    from equipoise.data import planted

    table = planted(20, size=16, seed=3, cache=tmp_path)
    settings = {"images": 20, "image_size": 16, "seed": 3, "cache": str(tmp_path)}
    pictures = found(["planted/000007"], settings=settings)
    assert (
        np.abs(shown(pictures.small(0, 96))[1] - table.batch(np.array([7]))[0].reshape(-1, 3).mean(0)).max()
        < 8
    )


def test_without_any_source_it_is_said():
    assert "Nothing says where" in found(["a/b.png"]).notes[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "place/imgs", "format": 5},
        {"data": "place\0imgs"},
        {"data": "faces.parquet", "image_size": 10**9},
        {"images": 10**9},
        {"images": 30, "seed": "x"},
        {"data": "/dev/zero"},
    ],
)
def test_settings_of_others_that_make_no_sense_are_said(table_file, tmp_path, monkeypatch, settings, picture):
    monkeypatch.chdir(tmp_path)
    table_file()
    pq.write_table(pa.table({"image": [picture()], "label": [0]}), "faces.parquet")
    pictures = found(["place/imgs/000000.png"], settings=settings)
    assert not pictures.known(0)
    assert "cannot be shown" in pictures.notes[0]
