"""Each lab is a notebook as text: it parses, uses public names only, and runs."""

import ast
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
LABS = sorted((Path(__file__).parents[1] / "examples" / "labs").glob("*.py"))


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_lab_has_10_to_25_cells_and_only_public_names(path):
    book = jupytext.read(path)
    assert 10 <= len(book.cells) <= 25
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
        if isinstance(node, ast.ImportFrom):
            assert not any(part.startswith("_") for part in f"{node.module}.{node.names[0].name}".split("."))


@pytest.mark.slow
@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")
def test_a_lab_runs_and_draws(path, monkeypatch, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures go into the notebook
    book = jupytext.read(path)
    nbclient.NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("controls" in cell.source for cell in book.cells)
