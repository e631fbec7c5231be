import re
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_examples_run_in_order(tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "docs" / "risk.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 7
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile("\n".join(blocks), "risk.md", "exec"), names)
    assert names["weights"].shape == (512,)
    assert (tmp_path / "scores.parquet").exists()


def test_the_page_names_every_method():
    import equipoise.risk

    text = (Path(__file__).parents[1] / "docs" / "risk.md").read_text()
    methods = {
        name
        for name in equipoise.risk.__all__
        if isinstance(found := getattr(equipoise.risk, name), type)
        and issubclass(found, equipoise.risk.Method)
    } - {"Method"}
    assert len(methods) >= 8
    assert all(f"| `{name}` |" in text for name in methods)
