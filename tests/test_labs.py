"""Each lab is a notebook as text: it parses, uses public names only, and runs."""

import ast
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

jupytext = pytest.importorskip("jupytext")
nbformat = pytest.importorskip("nbformat.v4")
LABS = sorted((Path(__file__).parents[1] / "examples" / "labs").glob("*.py"))
OF_FACES = [path for path in LABS if path.stem != "latent_debiasing"]
each_lab = pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
of_faces = pytest.mark.parametrize("path", OF_FACES, ids=lambda path: path.stem)


@each_lab
def test_a_lab_has_10_to_25_cells_and_only_public_names(path):
    book = jupytext.read(path)
    assert 10 <= len(book.cells) <= 25
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
        if isinstance(node, ast.ImportFrom):
            assert not any(part.startswith("_") for part in f"{node.module}.{node.names[0].name}".split("."))


@each_lab
def test_a_lab_begins_with_a_title_has_exercises_and_ends_with_controls(path):
    cells = jupytext.read(path).cells
    said = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert cells[0].source.startswith("# ")
    assert cells[0].cell_type == "markdown"
    assert "proves" in cells[0].source  # that no number proves fairness
    heads = [line for source in said for line in source.splitlines() if line.startswith("## ")]
    assert sum(line.startswith("## Exercise") for line in heads) >= 2
    assert heads[-1] == "## What the controls say"
    assert cells[-1].cell_type == "code"


@of_faces
def test_every_exercise_of_a_lab_of_faces_has_an_answer_that_folds(path):
    text = path.read_text()
    exercises, folded = text.count("## Exercise"), text.count("<details><summary>Answer</summary>")
    assert exercises == folded == text.count("</details>")


@each_lab
def test_a_lab_is_text_without_outputs_or_places_of_a_machine(path):
    text = path.read_text()
    assert not re.search(r"""["'](/|~|[A-Z]:\\)""", text)
    assert not re.search(r"https?://", text)
    assert not list(path.parent.glob("*.ipynb")) or "*.ipynb" in (path.parents[2] / ".gitignore").read_text()


def test_the_page_of_labs_names_all_of_them():
    page = (Path(__file__).parents[1] / "docs" / "labs.md").read_text()
    readme = (LABS[0].parent / "README.md").read_text()
    for path in LABS:
        assert path.name in page
        assert path.name in readme


def executed(path, folder, monkeypatch, first=""):
    """What a notebook prints, run in a folder of its own, after a first cell."""
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures go into the notebook
    book = jupytext.read(path)
    book.cells.insert(0, nbformat.new_code_cell(first))
    nbclient.NotebookClient(
        book, timeout=600, iopub_timeout=60, resources={"metadata": {"path": str(folder)}}
    ).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
@each_lab
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")
def test_a_lab_runs_and_draws(path, monkeypatch, tmp_path):
    executed(path, tmp_path, monkeypatch)


@pytest.fixture
def files_of_the_lab(tmp_path):
    """The labs' own layout, small: train_face.h5 (BGR), data/faces, PPB-2017."""
    rng = np.random.default_rng(0)

    def picture(tint):
        """A light disc on noise: skin is redder than blue, by which the order of channels is told."""
        found = rng.integers(0, 90, (64, 64, 3))
        grid = np.hypot(*(np.mgrid[:64, :64] - rng.integers(28, 36, (2, 1, 1))))
        found[grid < rng.integers(16, 26)] = tint
        return found.astype(np.uint8)

    def noise():
        return rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)

    images = np.stack([picture((220, 160, 120)) if row % 2 else noise() for row in range(300)])
    with h5py.File(tmp_path / "train_face.h5", "w") as file:
        file["images"], file["labels"] = images[..., ::-1], (np.arange(300) % 2)[:, None].astype(np.float32)
    for folder, tint in {"LF": 220, "LM": 210, "DF": 120, "DM": 110}.items():
        place = tmp_path / "data" / "faces" / folder
        place.mkdir(parents=True)
        for number in range(12):
            Image.fromarray(picture((tint, tint - 50, tint - 80))).save(place / f"{number}.png")
    people = tmp_path / "PPB-2017" / "imgs"
    people.mkdir(parents=True)
    rows = []
    for number in range(8):
        Image.fromarray(np.pad(picture((200, 150, 110)), ((20, 40), (20, 20), (0, 0)))).save(
            people / f"{number}.jpg"
        )
        side = number % 4
        rows.append(
            f"{number},{number}.jpg,{('Female', 'Male')[side % 2]},0,{('lighter', 'darker')[side // 2]},X"
        )
    (tmp_path / "PPB-2017" / "PPB-2017-metadata.csv").write_text("\r".join(rows))
    return tmp_path


@pytest.mark.slow
@of_faces
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")
def test_a_lab_takes_the_readers_own_files(path, monkeypatch, files_of_the_lab):
    said = executed(path, files_of_the_lab, monkeypatch)
    assert "train_face.h5: bgr" in said
    assert "dark × female" in said
    assert "backlit" not in said


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")
def test_without_ipywidgets_sliders_are_figures(monkeypatch, files_of_the_lab):
    path = next(path for path in LABS if path.stem == "face_sliders")
    hidden = "import sys; sys.modules['ipywidgets'] = None"  # as if it were not installed
    said = executed(path, files_of_the_lab, monkeypatch, first=hidden)
    assert "figures in place of sliders" in said
