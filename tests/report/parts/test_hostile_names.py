"""Names that steer a terminal, turn the direction of writing, break lines, or look like markup."""

import dataclasses
import re

import pytest

from equipoise.report import (
    audit_html,
    audit_text,
    augment_html,
    augment_text,
    html,
    text,
    write,
    write_audit,
    write_augment,
)
from equipoise.sharing import shareable

NAMES = {
    "escape": "\x1b[2J\x1b]0;owned\x07x",
    "override": "gpj.\u202eexe\u2066",
    "break": "dark\nworst group: nobody\r\x85\u2028z",
    "markup": "[red]$x^{2}$[/red]<b onload='x()'>&\"",
    "bytes": "a\udcff\x00\x9b31m",
}


def renamed(value, name):
    """The record with the name in every text of it that comes from outside."""
    if dataclasses.is_dataclass(value):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        outside = ("title", "reason", "verdict", "rule", "representation", "command")
        return dataclasses.replace(
            value,
            **{
                key: f"{item} {name}"
                if key in outside and isinstance(item, str) and item
                else renamed(item, name)
                for key, item in named.items()
            },
        )
    if isinstance(value, dict):
        return {key: renamed(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(renamed(item, name) for item in value)
    return value


NAMES["all"] = "".join(NAMES.values())


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=() if k == "all" else pytest.mark.slow) for k in NAMES]
)
@pytest.mark.parametrize("job", ["run", "audit", "augment"])
def test_names_are_shown_harmless(
    job, kind, make_record, make_audit, make_augment, read_page, tmp_path, told
):
    name = NAMES[kind]
    make, page, words, writer = {
        "run": (make_record, html, text, write),
        "audit": (make_audit, audit_html, audit_text, write_audit),
        "augment": (make_augment, augment_html, augment_text, write_augment),
    }[job]
    small = {"run": {"models": 2}, "audit": {"risks": 2}, "augment": {}}[job]
    record = renamed(make(attributes={name: (name, "light")}, **small), name)
    drawn, said = page(record), words(record)
    assert all(c.isprintable() or c in "\n \u00a0\u2009\u202f" for c in drawn)
    assert all(c.isprintable() or c in "\n\u00a0" for c in said)
    assert not re.search(r"<b onload|\[red\]<b", drawn)
    assert not read_page(drawn).problems
    if kind in ("break", "all"):  # no line is forged: none begins with what stands after a break in the name
        assert not re.search(r"^ *worst group: nobody", said, re.MULTILINE)
    writer(record, tmp_path)
    code, printed = told("report", tmp_path)
    assert code == 0
    assert (tmp_path / "report.html").read_text() == page(shareable(record), tmp_path)
    assert "owned" not in printed or "\x07" not in printed
