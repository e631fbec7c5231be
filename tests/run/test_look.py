"""`data`: what a source holds."""

import csv
from pathlib import Path

from equipoise.cli import main


def test_data_counts_and_draws(pictures, tmp_path, capsys):
    sheet, rejected = tmp_path / "sheet.png", tmp_path / "rejected.csv"

    broken = tmp_path / "list.csv"
    folder = Path(pictures["positives"]).parent
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    rows = [f"{folder / f'{i}.png'},1,light" for i in range(8)]
    broken.write_text("\n".join(["path,label,skin", *rows, f"{tmp_path / 'broken.png'},0,dark"]))
    flags = ["--image-size=32", "--allow-outside", "--sheet", str(sheet), "--rejected", str(rejected)]
    assert main(["data", str(broken), *flags]) == 0
    output = capsys.readouterr().out
    assert "8 images of 32×32×3" in output
    assert "light" in output
    assert "1 pictures cannot be read" in output
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert [row[0] for row in csv.reader(rejected.read_text().splitlines())] == [
        "path",
        f"…/{tmp_path.name}/broken.png",
    ]
