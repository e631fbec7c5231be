import re
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("page", "blocks", "printed"),
    [("README.md", 1, 1), ("docs/python.md", 4, 3), ("docs/evaluate-classes.md", 2, 3)],
)
def test_the_examples_run_in_order(page, blocks, printed, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path))
    text = (Path(__file__).parents[1] / page).read_text()
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(found) == blocks
    exec(compile("\n".join(found), page, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == printed
    assert re.search(r"\d\.\d{3} \[", lines[-1])


def test_the_readme_is_read_in_a_sitting_and_its_links_lead_somewhere():
    root = Path(__file__).parents[1]
    text = (root / "README.md").read_text()
    assert text.count("\n") < 150
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (root / target).exists(), target
