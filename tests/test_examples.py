"""Python in the documentation: every block compiles and names what is there; those that need nothing else run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(one.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "benchmarks/**/*.md", "examples/**/*.md")
    for one in ROOT.glob(pattern)
)
# Pages whose blocks run as they stand, in order: how many lines they print, and what the last of them holds.
RUN = {
    "README.md": (1, r"\d\.\d{3} \["),
    "docs/evaluate-classes.md": (3, r"\d\.\d{3} \["),
    "docs/fix.md": (1, r"instead of"),
    "docs/python.md": (3, r"\d\.\d{3} \["),
    "docs/risk.md": (0, ""),
    "examples/faces64/README.md": (0, ""),
}
ELSEWHERE = {"docs/own-loops.md": "test_own_loops.py"}
# Blocks that run after stand-ins for what the page takes from its reader.
ARRAYS = """
import numpy as np, torch
import equipoise
rng = np.random.default_rng(0)
labels = np.arange(240) % 2
"""
TABLE = f"""{ARRAYS}
images = rng.integers(0, 256, (240, 32, 32, 3), dtype=np.uint8)
table = equipoise.data.ImageTable.from_arrays(images, labels, {{"site": rng.choice(["a", "b"], 240)}})
"""
STAND_INS = {
    ("docs/embeddings.md", 1): f"""{TABLE}
backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 8))
""",
    ("docs/find.md", 1): f"""{ARRAYS}
from equipoise.slices import Options, find
vectors, scores = rng.normal(size=(240, 4)), np.clip(labels * 0.8 + rng.normal(0, 0.3, 240), 0.01, 0.99)
cameras, sites, patients = rng.choice(["x", "y"], 240), rng.choice(["n", "s"], 240), np.arange(240) // 2
suspected, blurred = rng.random(240) < 0.1, rng.random(240) < 0.1
""",
    ("docs/latent.md", 0): f"""{ARRAYS}
z_fit, z = rng.normal(size=(2000, 6)), rng.normal(size=(50, 6))
old_fit, female_fit = z_fit[:, 0] + 0.3 * z_fit[:, 1] > 0, z_fit[:, 1] > 0
""",
    ("docs/scale.md", 1): f"""{ARRAYS}
features, scores = rng.normal(size=(240, 4)), np.clip(labels * 0.8 + rng.normal(0, 0.3, 240), 0.01, 0.99)
shards = [(rng.normal(size=(rows, 4)), np.arange(rows) % 2, rng.integers(0, 2, rows)) for rows in (50, 0, 30)]
""",
    ("docs/scale.md", 2): f"""{ARRAYS}
places, cells = ["0.npy", "1.npy"], 2 * labels + (rng.random(240) < 0.3)
for place in places:
    np.save(place, rng.normal(size=(120, 4)).astype(np.float16))
""",
    ("docs/sources.md", 0): f"""{ARRAYS}
images = rng.integers(0, 256, (240, 32, 32, 3), dtype=np.uint8)
source = [(images[row], labels[row], {{"site": "a"}}) for row in range(240)]
""",
}
# Blocks that are read but not run, and why.
NOT_RUN = {
    ("docs/audit.md", 0): "audits a network of the reader's; tests/run/audit does the same",
    ("docs/embeddings.md", 0): "trains three times; tests/train/test_embedding.py does the same",
    ("docs/find.md", 0): "a network and pictures of the reader's; tests/slices/test_cli.py does the same",
    ("docs/find.md", 2): "goes on after the first block",
    ("docs/latent.md", 1): "a generator of the reader's",
    ("docs/latent.md", 2): "goes on after the block before, with 20,000 pairs",
    ("docs/scale.md", 0): "is started by torchrun; tests/train/test_ranks.py does the same",
    ("docs/sources.md", 1): "trains on the reader's table",
    ("docs/train-classes.md", 0): "trains on the reader's pictures with a recipe's own steps",
    ("docs/your-own-network.md", 0): "a file of the reader's, with torchvision",
    ("docs/your-own-network.md", 1): "a network of the reader's, and one that is downloaded",
    ("docs/your-own-network.md", 2): "a file of the reader's",
    ("docs/your-own-network.md", 3): "needs a package with a pretrained network, and Waterbirds",
    ("docs/your-own-network.md", 4): "trains on features of the blocks before",
}


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


WITH_BLOCKS = [page for page in PAGES if blocks(page)]
PLACES = [(page, number) for page in WITH_BLOCKS for number in range(len(blocks(page)))]


def test_every_block_runs_or_has_a_reason():
    whole = {(page, number) for page, number in PLACES if page in RUN or page in ELSEWHERE}
    assert sorted([*whole, *STAND_INS, *NOT_RUN]) == PLACES


SLOW = {"docs/risk.md": pytest.mark.slow}  # trains


@pytest.mark.parametrize("page", [pytest.param(one, marks=SLOW.get(one, ())) for one in RUN])
def test_blocks_run_in_order(page, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    exec(compile("\n".join(blocks(page)), page, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    printed, last = RUN[page]
    assert len(lines) == printed
    assert re.search(last, lines[-1] if lines else "")


@pytest.mark.parametrize(("page", "number"), STAND_INS)
def test_blocks_run_with_stand_ins(page, number, monkeypatch, tmp_path):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(STAND_INS[page, number], names)
    exec(compile(blocks(page)[number], page, "exec"), names)


class Names(ast.NodeVisitor):
    """What of equipoise a page names: each must be there, and take the arguments that it is given."""

    def __init__(self):
        self.known, self.wrong = {"equipoise": importlib.import_module("equipoise")}, []

    def visit_Import(self, node):
        for one in node.names:
            if one.name.split(".")[0] == "equipoise":
                module = importlib.import_module(one.name)
                self.known[one.asname or "equipoise"] = module if one.asname else self.known["equipoise"]

    def visit_ImportFrom(self, node):
        if node.module.split(".")[0] != "equipoise":
            for one in node.names:
                self.known.pop(one.asname or one.name, None)
            return
        module = importlib.import_module(node.module)
        for one in node.names:
            if hasattr(module, one.name):
                self.known[one.asname or one.name] = getattr(module, one.name)
            else:
                self.wrong.append(f"{node.module} has no {one.name}")

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in ast.walk(ast.Tuple(node.targets, ast.Load())):
            if isinstance(target, ast.Name):
                self.known.pop(target.id, None)

    def visit_Attribute(self, node):
        self.of(node)
        self.generic_visit(node)

    def of(self, node):
        """The object that an expression names; None for what the page makes itself."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if not isinstance(node, ast.Attribute) or (owner := self.of(node.value)) is None:
            return None
        if not hasattr(owner, node.attr):
            self.wrong.append(f"{ast.unparse(node.value)} has no {node.attr}")
        return getattr(owner, node.attr, None)

    def visit_Call(self, node):
        called = self.of(node.func)
        starred = any(isinstance(one, ast.Starred) for one in node.args)
        if callable(called) and not starred and all(one.arg for one in node.keywords):
            try:
                inspect.signature(called).bind(*node.args, **{one.arg: None for one in node.keywords})
            except TypeError as error:
                self.wrong.append(f"{ast.unparse(node)[:80]}: {error}")
        self.generic_visit(node)


def wrong(page, texts):
    names = Names()
    for text in texts:
        names.visit(compile(text, page, "exec", ast.PyCF_ONLY_AST, dont_inherit=True))
    return names.wrong


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_blocks_name_what_is_there(page):
    assert wrong(page, blocks(page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "from equipoise.risk import Nothing",
        "import equipoise as eq\neq.data.nothing(1)",
        "from equipoise import slices\nslices.find(1, 2, 3, colums={})",
        "from equipoise import fairness\nfairness.evaluate()",
        "import equipoise\nprint(equipoise.train.RECIPE)",
    ],
)
def test_names_that_are_not_there_are_found(text):
    assert len(wrong("page", [text])) >= 1
