"""The example of docs/fix.md."""

import re
from pathlib import Path


def test_the_example_runs(capsys):
    text = (Path(__file__).parents[2] / "docs" / "fix.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "docs/fix.md", "exec"), {})
    assert re.match(
        r"(errors as groups|mended errors) \(.*\) 0\.\d\d instead of 0\.\d\d", capsys.readouterr().out
    )
