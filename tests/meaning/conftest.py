"""Jobs asked for meaning: planted pictures whose right answer is known, run through the commands once a session.

What is planted, and counted so that no two numbers that could be taken for one another are equal:

- training: 80 positives, 9 of them dark, 5 with a hat; the last picture is a white ring on black, unlike all others;
- test: 31 positives, 7 dark, 12 with a hat, two rings, ten pairs of mirror images; 40 negatives, 9 dark, 25 with a hat.
"""

import base64
import csv
import html
import io
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main

SIZE = 16
SMALL = ("--image-size=16", "--batch-size=16", "--tune=width=4", "--tune=depth=2", "--replicates=100")
FLAGS = (*SMALL, "--device=cpu", "--precision=32-true", "--quiet")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def ring():
    far = np.hypot(*(np.mgrid[:SIZE, :SIZE] - 7.5))
    return np.where((far > 4) & (far < 7), 255, 0)[..., None].repeat(3, 2).astype(np.uint8)


def block(chance, strength):
    """A bright block, more to the left than to the right, on noise."""
    image = chance.normal(100, 40, (SIZE, SIZE, 3))
    image[4:12, 2:9] += strength
    return np.clip(image, 0, 255).astype(np.uint8)


def written(folder, images, **columns):
    """Pictures and a manifest beside them; its path."""
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    with (folder / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", *columns])
        rows.writerows(zip((f"{i}.png" for i in range(len(images))), *columns.values(), strict=True))
    return str(folder / "list.csv")


@pytest.fixture(scope="session")
def writes():
    """Folder, images, columns → path of a manifest."""
    return written


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Paths of four manifests, by flag."""
    root, chance = tmp_path_factory.mktemp("people"), np.random.default_rng(0)

    def side(name, count, dark, hats, *, positive, twins=0, rings=0):
        shades = ["dark"] * dark + ["light"] * (count - dark)
        images = [block(chance, (32 if s == "light" else 16) if positive else 0) for s in shades]
        for i in range(twins):
            images[dark + 2 * i + 1] = images[dark + 2 * i][:, ::-1]
        for i in range(rings):
            images[count - 1 - i] = np.clip(ring().astype(int) - i - rings, 0, 255).astype(np.uint8)
        hat = ["yes" if i % 2 and i < 2 * hats else "no" for i in range(count)]
        return written(root / name, images, shade=shades, hat=hat)

    return {
        "positives": side("faces", 80, 9, 5, positive=True, rings=1),
        "negatives": side("others", 88, 22, 31, positive=False),
        "test-positives": side("test-faces", 31, 7, 12, positive=True, twins=10, rings=2),
        "test-negatives": side("test-others", 52, 9, 25, positive=False),
    }


@pytest.fixture(scope="session")
def ran(people, tmp_path_factory):
    """Runs a command on these pictures, and gives its folder."""

    def run(command, *flags):
        out = tmp_path_factory.mktemp(command) / "out"
        sources = [f"--{name}={path}" for name, path in people.items()]
        assert main([command, *sources, *FLAGS, *flags, f"--out={out}"]) == 0
        return out

    return run


@pytest.fixture(scope="session")
def debiased(ran):
    """A run by the default recipe."""
    return ran("debias", "--groups=shade,hat", "--epochs=4", "--fpr=0.05")


@pytest.fixture(scope="session")
def recorded():
    """Folder → its record, as JSON; a model's numbers, and its differences from the baseline, laid flat."""

    def read(folder, name="record.json"):
        record = json.loads((folder / name).read_text())
        if name == "record.json":
            for model in record["models"].values():
                model |= model.pop("numbers")
            compared = record["comparisons"] or {"differences": {}}
            each = compared.pop("differences")
            record["comparisons"] = {model: compared | change for model, change in each.items()}
        return record

    return read


@pytest.fixture(scope="session")
def scores():
    """Folder or file → its scores, column by column."""

    def read(path):
        table = pq.read_table(path if path.suffix else path / "scores.parquet")
        return {name: np.array(table.column(name).to_pylist()) for name in table.column_names}

    return read


@pytest.fixture(scope="session")
def tiles():
    """PNG of a contact sheet → its pictures, row by row, without the white places at the end."""

    def cut(png, size=SIZE):
        sheet = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        places = [range(0, length, size + 2) for length in sheet.shape[:2]]
        found = [sheet[y : y + size, x : x + size] for y in places[0] for x in places[1]]
        return [tile for tile in found if (tile != 255).any()]

    return cut


@pytest.fixture(scope="session")
def tables():
    """Folder → the tables of its page: name → rows of cells as text, the head first; of equal names the first."""

    def text(cell):
        return " ".join(
            re.sub(r"<[^>]*>", " ", html.unescape(cell)).translate({0x202F: " ", 0x2060: ""}).split()
        )

    def read(folder):
        page, found = (folder / "report.html").read_text(), {}
        for name, body in re.findall(
            r"<table[^>]*>\s*<caption>(.*?)</caption>(.*?)</table>", page, re.DOTALL
        ):
            rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
            cells = [[text(c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r, re.DOTALL)] for r in rows]
            found.setdefault(text(name), cells)
        return found

    return read


@pytest.fixture(scope="session")
def figures():
    """Folder → what its page shows: the title of each picture and its PNG, in order."""

    def read(folder):
        page = (folder / "report.html").read_text()
        found = re.findall(
            r'<img src="data:image/png;base64,([^"]+)"[^>]*>\s*<figcaption>\s*<b>([^<]*?)\.?</b>', page
        )
        return [(title, base64.b64decode(png)) for png, title in found]

    return read
