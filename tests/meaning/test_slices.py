"""A hidden group that a network fails on: found by an audit, shown, written down, and compared by in other commands.

The network calls a picture 1 if it has more red than a half. Of label 1, 45 of 300 pictures are green and have less.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main

EYES = """
import torch
from torch import nn


class Eyes(nn.Module):
    green = 0.0

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Linear(12, 2)
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.weight[1, :4] = 5.0
            self.last.weight[1, 4:8] = self.green
            self.last.bias.copy_(torch.tensor([0.0, -10.0]))

    def forward(self, images):
        return self.last(self.body(images))


class Mended(Eyes):
    green = 5.0
"""
FLAGS = ["--image-size=16", "--device=cpu", "--quiet"]
AUDIT = ["--methods=neighbours,last-layer", "--epochs=1", *FLAGS]
GREEN = slice(300, 345)


def pictures(*, green=True, seed=0):
    """600 pictures; labels; 5 % of those that are not green are of the other class."""
    chance = np.random.default_rng(seed)
    labels = np.arange(600) >= 300
    found = np.zeros((600, 16, 16, 3))
    found[..., 0] = np.where(labels, 170, 80)[:, None, None]
    found[..., 2] = chance.uniform(40, 200, 600)[:, None, None]
    found[chance.random(600) < 0.05, ..., 0] = 128  # half of these are called wrong
    if green:
        found[GREEN, ..., 1] = 150
        found[GREEN, ..., 0] = 110
    found += chance.normal(0, 8, found.shape) + chance.normal(0, 5, (600, 1, 1, 3))
    return found.clip(0, 255).round().astype(np.uint8), labels.astype(int)


@pytest.fixture(scope="module")
def folder(writes, tmp_path_factory):
    """A folder with networks, pictures with a group that fails, and pictures without."""
    root = tmp_path_factory.mktemp("slices")
    (root / "hidden_eyes.py").write_text(EYES)
    images, labels = pictures()
    rooms = np.where(np.arange(600) % 3 == 0, "attic", "cellar")
    rooms[GREEN] = "garden"
    writes(root / "planted", images, label=labels, room=rooms, camera=np.arange(600) % 2)
    images, labels = pictures(green=False, seed=1)
    writes(root / "nothing", images, label=labels)
    writes(root / "few", images[276:324], label=labels[276:324])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def audited(folder):
    assert main(["audit", "hidden_eyes:Eyes", "planted/list.csv", *AUDIT, "--out=audit"]) == 0
    return folder / "audit"


def test_the_planted_group_is_found_and_its_typical_pictures_are_of_it(audited, recorded, tiles):
    found = recorded(audited, "audit.json")["slices"]
    (one,) = found["found"]
    assert one["class_name"] == "1"
    assert one["confused_with"].keys() == {"0"}
    assert set(one["typical"]) <= set(range(GREEN.start, GREEN.stop))
    assert len(one["typical"]) == 9
    assert 40 <= one["size"] <= 50
    assert one["errors"]["value"] > 0.7
    assert one["rest"]["value"] < 0.1
    assert ("room", "garden") in {(v["column"], v["value"]) for v in one["more_often"]}
    assert found["columns"] == ["room", "camera"]
    assert found["reason"] is None
    shown = tiles((audited / "pictures" / "slice_1.png").read_bytes())
    assert np.array_equal(shown, pictures()[0][one["typical"]])


def test_the_page_shows_it_near_the_top_and_gives_it_no_name(audited):
    page = (audited / "report.html").read_text()
    assert page.index('<section id="result"') < page.index('<section id="slices"') < page.index('id="groups"')
    assert "1 #1" in page
    assert "room = garden in 100" in page


def test_rows_of_the_table_of_slices_are_the_images(audited):
    table = pq.read_table(audited / "slices.parquet").to_pydict()
    named = [i for i, name in enumerate(table["slice"]) if name == "1 #1"]
    assert len(set(named) & set(range(GREEN.start, GREEN.stop))) >= 43
    assert table["path"][300].endswith("planted/300.png")


@pytest.mark.slow
def test_where_nothing_fails_nothing_is_found_and_power_is_told(folder, recorded, capsys):
    assert main(["audit", "hidden_eyes:Eyes", "nothing/list.csv", *AUDIT, "--out=null"]) == 0
    found = recorded(folder / "null", "audit.json")["slices"]
    assert found["found"] == []
    said = " ".join(capsys.readouterr().out.split())
    assert "No hidden group was found" in said
    assert "four times of five a group would be seen that holds 10 % of it if" in said
    assert all(0.1 < one["smallest"]["0.1"] < 1 for one in found["classes"])
    assert main(["data", "nothing/list.csv", "--groups=null/slices.parquet", "--quiet"]) == 2
    assert "none was found when it was written" in " ".join(capsys.readouterr().err.split())


def test_of_few_images_it_is_said_and_the_audit_goes_on(folder, recorded, capsys):
    assert main(["audit", "hidden_eyes:Eyes", "few/list.csv", *AUDIT, "--out=few-audit"]) == 0
    assert "at least 50 images" in recorded(folder / "few-audit", "audit.json")["slices"]["reason"]
    assert "could not be sought. Expected at least 50 images" in " ".join(capsys.readouterr().out.split())
    assert not (folder / "few-audit" / "slices.parquet").exists()


@pytest.mark.slow
def test_another_network_mended_the_slice(audited, folder, recorded):
    models = ["hidden_eyes:Eyes", "hidden_eyes:Mended"]
    groups = ["--groups=room,audit/slices.parquet", "--replicates=100"]
    assert main(["evaluate", *models, "--data=planted/list.csv", *groups, *FLAGS, "--out=compared"]) == 0
    record = recorded(folder / "compared")
    before, after = (one["groups"]["slice"]["1 #1"]["tpr"]["value"] for one in record["models"].values())
    assert before < 0.3
    assert after > 0.9
    assert set(record["models"]["hidden_eyes:Eyes"]["groups"]) >= {"room", "slice"}
    assert 'groups = ["room", "slice"]' in (folder / "compared" / "settings.toml").read_text()
    again = ["--config=compared/settings.toml", "--out=again", "--quiet"]
    assert main(["evaluate", *again]) == 0
    assert recorded(folder / "again")["data"]["fingerprint"] == record["data"]["fingerprint"]


def test_tables_of_predictions_take_slices_too(audited, folder, recorded):
    table = pq.read_table(audited / "scores.parquet").select(["path", "label", "probability"])
    pq.write_table(table, folder / "said.parquet")
    flags = ["--groups=audit/slices.parquet", "--positive-class=1", "--replicates=100", "--quiet"]
    assert main(["evaluate", "--predictions=said.parquet", *flags, "--out=tables"]) == 0
    groups = recorded(folder / "tables")["models"]["said"]["groups"]["slice"]
    assert set(groups) == {"no slice", "1 #1"}


def _written(path, rows, slices):
    pq.write_table(pa.table({"path": [f"planted/{row}.png" for row in rows], "slice": slices}), path)


@pytest.mark.slow
def test_images_that_the_table_does_not_know_have_no_group(folder, capsys):
    _written(folder / "part.parquet", range(100), ["negative #1"] * 30 + [None] * 70)
    assert main(["data", "planted/list.csv", "--groups=part.parquet"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "100 of 600 images are in it, 30 of them in a slice; the others have no group" in said
    assert "no slice 70 images" in said
    assert "(missing) 500 images" in said


def test_where_the_source_lies_plays_no_part_and_categories_are_text(folder, capsys, monkeypatch):
    names = pa.array(["negative #1"] * 100).dictionary_encode()  # as pandas writes categories
    paths = [f"…/planted/{row}.png" for row in range(100)]
    pq.write_table(pa.table({"path": paths, "slice": names}), folder / "away.parquet")
    monkeypatch.chdir(folder / "few")
    assert main(["data", "../planted/list.csv", "--groups=../away.parquet"]) == 0
    assert "100 of 600 images are in it, 100 of them" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("rows", "slices", "words"),
    [
        ([9000], ["a #1"], "no path of these is in the table of slices"),
        ([1, 1], ["a #1", "b #1"], "Expected one slice an image"),
        ([1], [3], "a column 'slice' of text"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(folder, capsys, rows, slices, words):
    _written(folder / "wrong.parquet", rows, slices)
    assert main(["data", "planted/list.csv", "--groups=wrong.parquet", "--quiet"]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
