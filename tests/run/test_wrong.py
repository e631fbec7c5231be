"""Wrong pictures: the worst cells, drawn whatever the model's confidence, and small enough for a page."""

import numpy as np
import pytest
from PIL import Image

from equipoise.data import ImageTable
from equipoise.groups import Groups
from equipoise.run.sheets import SIDE
from equipoise.run.wrong import CELLS, ROOM, SHOWN, Said, by_class, by_group, worst_cells, write_wrong

NAMES = ("cat", "dog", "fox")


def scene(n=900, size=8, seed=0, **columns):
    """Pictures of one brightness each, their labels, and a model that is wrong mostly on dogs at night."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 3, n)
    night = chance.random(n) < 0.3
    wrong = chance.random(n) < np.where((labels == 1) & night, 0.6, 0.1)
    called = np.where(wrong, (labels + chance.integers(1, 3, n)) % 3, labels)
    said = Said("plain", called, chance.uniform(0.34, 1, n), NAMES)
    images = np.broadcast_to((np.arange(n) % 251).astype(np.uint8)[:, None, None, None], (n, size, size, 3))
    time = ["night" if one else "day" for one in night]
    paths = [f"pets/{row}.png" for row in range(n)]
    table = ImageTable.from_arrays(images, labels, {"time": time, "path": paths, **columns})
    return table, said, wrong


def cells_of(table, said):
    return by_group(table.labels, said.class_names, [table.groups("time")])


def test_the_worst_cell_comes_first_and_its_pictures_are_what_they_are_said_to_be(tmp_path):
    table, said, wrong = scene()
    found = write_wrong(tmp_path, table, said, cells_of(table, said), seed=0)
    assert (found.model, found.by) == ("plain", "class × time")
    assert len(found.cells) == CELLS
    worst = found.cells[0]
    assert worst.name == "dog × night"
    inside = (table.labels == 1) & (np.array(table.column("time")) == "night")
    assert (worst.wrong.n, worst.wrong.value) == (inside.sum(), wrong[inside].mean())
    assert len(worst.shown) == SHOWN
    for cell in found.cells:
        for one in cell.shown:
            assert wrong[one.row]
            assert one.path == f"pets/{one.row}.png"
            assert (one.label, one.prediction) == (NAMES[table.labels[one.row]], NAMES[said.called[one.row]])
            assert one.probability == said.probability[one.row]
            assert np.asarray(Image.open(tmp_path / one.file))[4, 4, 0] == one.row % 251
        sure = [one.probability for one in cell.shown]
        assert sure == sorted(sure, reverse=True)


def test_how_sure_the_model_is_does_not_decide_what_is_shown(tmp_path):
    table, said, _ = scene()
    other = Said("plain", said.called, 1.34 - said.probability, NAMES)
    rows = [
        {
            one.row
            for cell in write_wrong(tmp_path, table, each, cells_of(table, each), seed=3).cells
            for one in cell.shown
        }
        for each in (said, other)
    ]
    assert rows[0] == rows[1]
    again = write_wrong(tmp_path, table, said, cells_of(table, said), seed=4)
    assert {one.row for cell in again.cells for one in cell.shown} != rows[0]


def test_of_an_earlier_run_no_picture_stays(tmp_path):
    table, said, _ = scene()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "reconstructions.png").touch()
    for seed in (0, 1):
        found = write_wrong(tmp_path, table, said, cells_of(table, said), seed=seed)
    files = {one.file for cell in found.cells for one in cell.shown}
    assert {f"pictures/{file.name}" for file in (tmp_path / "pictures").iterdir()} == {
        *files,
        "pictures/reconstructions.png",
    }


def test_a_cell_of_few_images_is_not_worst_by_chance():
    labels = np.array([0] * 2 + [1] * 100)
    wrong = np.array([True] + [False] + [True] * 50 + [False] * 50)
    assert [name for name, _ in worst_cells(by_class(labels, NAMES), wrong)] == ["dog", "cat"]


def test_images_without_a_group_and_cells_without_errors_are_left_out():
    labels = np.array([0, 0, 1, 1])
    groups = [
        Groups.from_column(["a", None, "a", "b"], attribute="skin"),
        Groups.from_column(["x", "x", "y", "y"], attribute="age"),
    ]
    found = by_group(labels, NAMES, groups)
    assert found.by == "class × skin or age"
    named = {
        name: np.flatnonzero(inside).tolist()
        for name, inside in worst_cells(found, np.array([0, 1, 1, 0], bool))
    }
    assert named == {"cat × age x": [0, 1], "dog × skin a": [2], "dog × age y": [2, 3]}


def test_where_nothing_is_wrong_there_is_nothing_to_show(tmp_path):
    table, said, _ = scene()
    right = Said("plain", table.labels, said.probability, NAMES)
    assert write_wrong(tmp_path, table, right, cells_of(table, right), seed=0).cells == []
    assert not (tmp_path / "pictures").exists()


def test_calls_are_those_of_the_numbers():
    two = Said.of("m", np.array([0.2, 0.5, 0.7]), ("no", "yes"))
    assert two.called.tolist() == [0, 1, 1]
    assert two.probability.tolist() == [0.8, 0.5, 0.7]
    assert Said.of("m", np.array([0.2, 0.5, 0.7]), ("no", "yes"), 0.6).called.tolist() == [0, 0, 1]
    many = Said.of("m", np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), NAMES)
    assert many.called.tolist() == [1, 0]
    assert many.probability.tolist() == [0.5, 0.6]


@pytest.mark.parametrize("channels", [1, 3])
def test_thumbnails_of_large_noise_have_room_in_a_page(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (80, 224, 224, channels), dtype=np.uint8)
    table = ImageTable.from_arrays(images, np.arange(80) % 4)
    said = Said("plain", (table.labels + 1) % 4, np.full(80, 0.5), (*NAMES, "hog"))
    found = write_wrong(tmp_path, table, said, by_class(table.labels, said.class_names), seed=0)
    shown = [one for cell in found.cells for one in cell.shown]
    assert len(shown) == CELLS * SHOWN
    assert all(one.path is None for one in shown)
    assert sum((tmp_path / one.file).stat().st_size for one in shown) <= ROOM
    with Image.open(tmp_path / shown[0].file) as small:
        assert max(small.size) <= SIDE
