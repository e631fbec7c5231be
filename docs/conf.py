"""The documentation as a site, by Sphinx: `make docs`. Pages are those of the repository, the API is its docstrings.

The source folder is the repository itself, so that links that work on a forge work here too.
"""

from __future__ import annotations

import ast
import inspect
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.writers.html5 import HTML5Translator

project = "equipoise"
copyright = "The equipoise developers, MIT licence"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = [
    "README.md",
    "docs/*.md",
    "docs/api/*.rst",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "examples/*/README.md",
]
exclude_patterns = ["**/.*", "build", "runs"]

# What the sidebar shows: every page of docs/ once.
NAV = {
    "Start": [
        "docs/demo",
        "docs/your-own-network",
        "docs/sources",
        "docs/pixels",
        "docs/python",
        "docs/runs",
        "docs/scale",
    ],
    "Find": ["docs/find", "docs/audit", "docs/explore"],
    "Fix": [
        "docs/fix",
        "docs/train-classes",
        "docs/embeddings",
        "docs/own-loops",
        "docs/sweep",
        "docs/augment",
    ],
    "Prove": ["docs/evaluate", "docs/evaluate-classes", "docs/coverage", "docs/record"],
    "Risks": ["docs/risk", "benchmarks/results/risk", "benchmarks/results/risk-overhead"],
    "Latent space": ["docs/latent", "examples/faces64/README", "benchmarks/results/latent-toy"],
    "Labs": ["docs/labs", "examples/labs/README"],
    "Benchmarks": [
        "docs/benchmarks",
        "docs/methods",
        "benchmarks/README",
        "benchmarks/results/cost-10000",
        "benchmarks/results/rows",
        "benchmarks/results/flat",
        "benchmarks/results/memory",
        "benchmarks/results/memory-audit",
    ],
    "API": [
        f"docs/api/{room}"
        for room in (
            "equipoise",
            "cluster",
            "data",
            "density",
            "explore",
            "fairness",
            "fix",
            "intervals",
            "latent",
            "nn",
            "report",
            "resample",
            "risk",
            "run",
            "slices",
            "train",
        )
    ],
}

# Where the page's own heading says too little in a list.
TITLES = {
    "docs/record": "The record of a run",
    "docs/methods": "Methods and their sources",
    "benchmarks/README": "How it is measured",
    "benchmarks/results/memory": "Memory of a run",
    "benchmarks/results/memory-audit": "Memory of an audit",
}

myst_heading_anchors = 6  # the anchors that a forge makes

default_role = "literal"  # docstrings write `name`
autodoc_default_options = {"members": True, "undoc-members": True, "imported-members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Undefined", "Source", "Differs from it in"]
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = "equipoise"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # no script from elsewhere
pygments_style = "friendly"


def contents(nav: dict[str, list[str]]) -> str:
    """Hidden tables of contents: the sidebar. A forge would show them as text, so they are not in the README."""
    parts = []
    for caption, pages in nav.items():
        lines = [f"{TITLES[one]} </{one}>" if one in TITLES else f"/{one}" for one in pages]
        parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```"]))
    return "\n\n".join(parts)


def constant_comment(room: ModuleType, name: str) -> list[str]:
    """The comment, `#: …`, above a constant where it is defined, by the room's own imports; [] without one."""
    for node in ast.walk(ast.parse(inspect.getsource(room))):
        if isinstance(node, ast.ImportFrom) and node.module and name in {one.name for one in node.names}:
            home = import_module(node.module)
            found = ModuleAnalyzer.for_module(node.module).find_attr_docs().get(("", name), [])
            return [line for line in found if line] or constant_comment(home, name)
    return []


def _commented(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    if what == "data":
        room, _, constant = name.rpartition(".")
        lines[:] = constant_comment(import_module(room), constant) or lines


def _skipped(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Fields of a class stand in its signature and are explained in its docstring: not once more without a word."""
    method = inspect.isroutine(thing) or isinstance(thing, property | classmethod | staticmethod)
    return True if what == "class" and not (method and inspect.getdoc(thing)) else None


def _with_contents(app: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += "\n\n" + contents(NAV)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def _start(app: Sphinx, error: Exception | None) -> None:
    """The README is the start page, also for a server that looks for index.html."""
    if error is None and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    """Hook in what Sphinx does not do by itself."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _commented)
    app.connect("autodoc-skip-member", _skipped)
    app.connect("source-read", _with_contents)
    app.connect("build-finished", _start)
