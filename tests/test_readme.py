import re
from pathlib import Path


def test_the_examples_run_in_order(capsys):
    text = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    assert re.match(r"\d\.\d{3} \[", capsys.readouterr().out)
