"""What people share of a run holds no place of the machine: no folder above what was given, no user, no host."""

import getpass
import json
import re
import socket
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.report import read, write_report
from equipoise.report.debias.record import to_json

pytestmark = pytest.mark.slow

LOCAL = {"settings.toml", ".lock", "log.txt"}  # and checkpoints/


def shared(folder):
    """Every file that is not said to be local, as bytes, tables as their text."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in LOCAL and "checkpoints" not in path.parts:
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                yield path, (str(table.to_pylist()) + str(table.schema.metadata)).encode()
            else:
                yield path, path.read_bytes()


def places(*folders):
    words = {str(folder) for folder in folders}
    words |= {str(folder.parent) for folder in folders}
    return [*words, "secret-person"]


def assert_clean(folder, words):
    found = list(shared(folder))
    assert found
    for path, content in found:
        for word in words:
            assert word.encode() not in content, f"{word} in {path.name}"
    return [path.name for path, _ in found]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Pictures below a folder whose name is nobody's business; one of them is broken."""
    root = tmp_path_factory.mktemp("x") / "secret-person"
    chance = np.random.default_rng(0)
    for side in ("faces", "others"):
        (root / side).mkdir(parents=True)
        lines = ["path,skin"]
        for number in range(100):
            image = chance.normal(128, 30, (32, 32, 3))
            image[:, ::4] += 90 * (side == "faces")
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(root / side / f"{number}.png")
            lines.append(
                f"{root / side / f'{number}.png' if number % 2 else f'{number}.png'},{'ab'[number % 3 == 0]}"
            )
        (root / side / "list.csv").write_text("\n".join(lines) + "\n")
        (root / side / "7.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def run(root):
    out = root / "runs" / "one"
    small = ("width=4", "latent=4", "resampling.warmup=0")
    arguments = [
        *(
            "debias",
            f"--positives={root / 'faces' / 'list.csv'}",
            f"--negatives={root / 'others' / 'list.csv'}",
        ),
        *(
            "--groups=skin",
            "--image-size=32",
            "--batch-size=16",
            "--epochs=1",
            "--replicates=100",
            "--device=cpu",
        ),
        *("--max-rejected=0.1", "--test-share=0.3", f"--out={out}", f"--cache={root / 'cache'}"),
        *(f"--tune={one}" for one in small),
    ]
    assert main(arguments) == 0
    return out


def test_a_run(root, run):
    names = assert_clean(run, places(root))
    assert {"record.json", "report.html", "scores.parquet", "rejected.csv", "model.safetensors"} <= set(names)
    for name in (getpass.getuser(), socket.gethostname()):
        if len(name) > 3 and name != "root":
            for path, content in shared(run):
                assert not re.search(rb"\b" + re.escape(name.encode()) + rb"\b", content), path
    record = json.loads((run / "record.json").read_text())
    assert record["data"]["sources"]["positives"] == "…/list.csv"
    assert "--out=…/one" in record["command"]
    paths = pq.read_table(run / "scores.parquet").column("path").to_pylist()
    assert all(path.startswith(("…/faces/", "…/others/")) for path in paths), paths[:3]
    assert (run / "rejected.csv").read_text().count("…/") == 2
    settings = (run / "settings.toml").read_text()
    assert str(root / "faces" / "list.csv") in settings  # local: resuming needs it


def test_resuming_and_reporting_still_work(root, run):
    before = (run / "record.json").read_bytes()
    assert main(["debias", "--config", str(run / "settings.toml"), f"--out={run}"]) == 0
    assert (run / "record.json").read_bytes() == before
    assert main(["report", str(run)]) == 0
    assert_clean(run, places(root))


def test_scores_an_evaluation_and_an_audit(root, run, tmp_path):
    assert (
        main(
            [
                "score",
                str(run),
                str(root / "faces"),
                "--max-rejected=0.1",
                f"--out={tmp_path / 's' / 's.parquet'}",
            ]
        )
        == 0
    )
    sides = [f"--positives={root / 'faces'}", f"--negatives={root / 'others'}", "--max-rejected=0.1"]
    assert (
        main(["evaluate", str(run), *sides, "--replicates=100", f"--out={tmp_path / 'secret-person' / 'e'}"])
        == 0
    )
    methods = "--methods=neighbours,dropout"
    assert main(["audit", str(run), *sides, methods, f"--out={tmp_path / 'secret-person' / 'a'}"]) == 0
    for folder in (tmp_path / "s", tmp_path / "secret-person" / "e", tmp_path / "secret-person" / "a"):
        assert_clean(folder, places(root, tmp_path))


def test_a_record_that_was_written_with_places_is_shown_without(run, root, tmp_path):
    content = to_json(read(run))
    content["command"] = f"equipoise debias --data {root}/x.csv"
    content["settings"]["data"] = f"{root}/x.csv"
    (tmp_path / "record.json").write_text(json.dumps(content))
    page = write_report(tmp_path).read_text()
    assert "secret-person" not in page
    assert "…/x.csv" in page


def test_a_bundle_of_what_is_shared(run, root, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_STORED) as bundle:
        for path, _ in shared(run):
            bundle.write(path, path.relative_to(run))
    assert b"secret-person" not in (tmp_path / "b.zip").read_bytes()
    assert root.exists()
