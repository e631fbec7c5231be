"""The documentation: links lead somewhere, every page and every public name has its place."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import equipoise

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    one.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "benchmarks/**/*.md", "examples/**/*.md")
    for one in ROOT.glob(pattern)
)
INSIDE = {"cli", "pictures"}  # rooms that nobody imports from


def prose(text):
    """Without code."""
    text = re.sub(r"^( *)```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`).*?\1", lambda one: "_" * len(one[0]), text)


def anchors(text):
    """What a forge calls the headings of a page."""
    text = re.sub(r"^( *)```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found) | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def broken(page, text, root):
    """Links of a page that lead nowhere."""
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", prose(text)) + re.findall(
        r'(?:href|src)="([^"]+)"', prose(text)
    )
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (root / page).parent / path if path else root / page
        if not file.exists() or root.resolve() not in (file.resolve(), *file.resolve().parents):
            yield f"{page}: {target} is not there"
        elif anchor and (file.suffix != ".md" or anchor not in anchors(file.read_text())):
            yield f"{page}: {target} has no such heading"


def test_every_link_leads_to_a_file_and_a_heading_of_it():
    assert len(PAGES) > 25
    assert [one for page in PAGES for one in broken(page, (ROOT / page).read_text(), ROOT)] == []


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "b.md").write_text(
        "# Two words, `code` & more\n\n## Twice\n\n## Twice\n\n```sh\n# not one\n```\n"
    )
    good = "[a](b.md#two-words-code--more) [b](b.md#twice-1) [c](https://a.example/x) `[no](link)` [d](#here)\n# Here\n"
    (tmp_path / "a.md").write_text(good)
    assert list(broken("a.md", good, tmp_path)) == []
    bad = "[a](c.md) [b](b.md#not-one) ![c](c.png) [d](#there) [e](../x) <img src='' src=\"d.png\">"
    (tmp_path / "a.md").write_text(bad)
    assert len(list(broken("a.md", bad, tmp_path))) == 6


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("sphinx")
    return runpy.run_path(str(ROOT / "docs" / "conf.py"))


def test_every_page_stands_once_in_the_contents(site):
    listed = [
        f"{one}.md" for pages in site["NAV"].values() for one in pages if not one.startswith("docs/api/")
    ]
    assert sorted(listed) == sorted(str(one) for one in PAGES if str(one) != "README.md")


def rooms():
    names = {one.name for one in pkgutil.iter_modules(equipoise.__path__) if one.ispkg} | set(
        equipoise._SUBMODULES
    )
    return sorted(names - INSIDE)


def test_every_room_has_a_page(site):
    listed = [one.removeprefix("docs/api/") for one in site["NAV"]["API"]]
    assert sorted(listed) == sorted(["equipoise", *rooms()])
    for name in listed:
        module = "equipoise" if name == "equipoise" else f"equipoise.{name}"
        assert f".. automodule:: {module}\n" in (ROOT / "docs" / "api" / f"{name}.rst").read_text()


@pytest.mark.parametrize("name", ["", *rooms()])
def test_every_public_name_is_explained(site, name):
    room = importlib.import_module(f"equipoise.{name}".rstrip("."))
    assert (room.__doc__ or "").strip()
    for public in room.__all__:
        thing = getattr(room, public)
        if inspect.isclass(thing):
            said = thing.__dict__.get("__doc__") or ""
            assert not said.startswith(f"{thing.__name__}("), f"{public}: a dataclass's own words are none"
        elif inspect.isroutine(thing) or inspect.ismodule(thing):
            said = inspect.getdoc(thing) or ""
        elif public == "__version__":
            continue
        else:
            said = " ".join(site["constant_comment"](room, public))
        assert said.strip(), f"{room.__name__}.{public}"


class Loads(HTMLParser):
    """What a built page holds: anchors, links, and what a browser fetches without being asked."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        said = {name: value or "" for name, value in attrs}
        self.anchors |= {said[name] for name in ("id", "name") if name in said}
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        self.loads += [
            said[name] for name in ("src", "srcset", "poster", "data") if name in said and tag != "a"
        ]
        if tag == "link" and said.get("rel") in ("stylesheet", "icon", "preload", "prefetch", "preconnect"):
            self.loads.append(said["href"])


def outside(address):
    return re.match(r"(?:[a-z]+:)?//", address) is not None


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_needs_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("sphinx")
    place = tmp_path / "site"
    options = ["-q", "-W", "--keep-going", "-c", str(ROOT / "docs"), "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {one: Loads(one.read_text()) for one in place.rglob("*.html")}
    assert len(pages) > 40
    assert "formula" in (place / "docs" / "api" / "risk.html").read_text()  # set without a script
    for page, found in pages.items():
        assert [one for one in found.loads if outside(one)] == [], page
        for link in (one for one in found.links + found.loads if not re.match(r"[a-z]+:", one)):
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            assert target.exists(), f"{page}: {link}"
            assert not anchor or target.suffix != ".html" or anchor in pages[target].anchors, (
                f"{page}: {link}"
            )
    for sheet in place.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet
