"""`recipes` lists and prints."""

from equipoise.cli import main


def test_recipes(capsys):
    assert main(["recipes"]) == 0
    assert {"equipoise", "mit-2021", "capsa-2023"} <= {
        line.split()[0] for line in capsys.readouterr().out.splitlines()
    }
    assert main(["recipes", "mit-2021"]) == 0
    assert "resampling.rule=max\n" in capsys.readouterr().out
