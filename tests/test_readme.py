from pathlib import Path


def test_the_readme_is_read_in_a_sitting():
    assert (Path(__file__).parents[1] / "README.md").read_text().count("\n") < 150
