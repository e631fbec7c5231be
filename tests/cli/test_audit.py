"""`equipoise audit` end to end: a foreign network and a model of our own, on small pictures with planted trouble."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from equipoise.cli import main
from equipoise.data import read
from equipoise.report import read_audit
from equipoise.run import tuned
from equipoise.train import Engine, fit, recipe, save_model

FAST = ["--methods=neighbours,dropout,mve", "--epochs=2", "--device=cpu"]


class Small(nn.Module):
    """Two convolutions and two logits, in a dict."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.last = nn.Linear(16, 2)

    def forward(self, images):
        return {"logits": self.last(self.body(images))}


@pytest.fixture(scope="module")
def trouble(tmp_path_factory):
    """A manifest of discs (1) and squares (0): a few are blue, a few wrongly labelled, a few black."""
    folder = tmp_path_factory.mktemp("trouble")
    rng = np.random.default_rng(0)
    lines = ["path,label,colour,planted"]
    grid = np.arange(16)
    for i in range(240):
        label, colour, planted = i % 2, "red", "ordinary"
        middle, radius = rng.uniform(6.5, 9.5, 2), rng.uniform(3.5, 5.5)
        far = np.stack(
            [np.abs(grid - middle[0])[:, None] + 0 * grid, np.abs(grid - middle[1]) + 0 * grid[:, None]]
        )
        inside = (np.hypot(*far) if label else far.max(0)) < radius
        if i % 16 == 1:
            colour, planted = "blue", "rare"
        ink = np.array([50, 80, 230] if colour == "blue" else [230, 100, 80])
        image = np.where(inside[..., None], ink, 128) + rng.normal(0, 20, (16, 16, 3))
        if i % 24 == 2:
            label, planted = 1 - label, "mislabelled"
        if i % 30 == 4:
            image, planted = rng.uniform(0, 4, (16, 16, 3)), "bad picture"
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{label},{colour},{planted}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    (folder / "their_network.py").write_text(f"import importlib.util\n{SOURCE.format(file=Path(__file__))}")
    return folder


SOURCE = """
spec = importlib.util.spec_from_file_location("their_classes", {str_file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
network = module.Small
""".replace("{str_file!r}", "r'{file}'")


@pytest.fixture(scope="module")
def audited(trouble, tmp_path_factory):
    """An audit of our own small model, and what the terminal was told."""
    table = read(trouble / "list.csv", image_size=16, cache=trouble / "cache")
    chosen = tuned(
        recipe("mit-2021"),
        ["width=4", "depth=2", "plain.epochs=12", "plain.batch_size=16", "precision='32-true'"],
    )
    folder = tmp_path_factory.mktemp("audit")
    save_model(
        fit(table, chosen, method="plain", engine=Engine(device="cpu", progress=False)),
        folder / "model",
        image_size=16,
        channels=3,
    )
    flags = [
        str(trouble / "list.csv"),
        "--groups=colour",
        f"--out={folder / 'out'}",
        f"--cache={trouble / 'cache'}",
    ]
    assert main(["audit", str(folder / "model"), *flags, *FAST]) == 0
    return folder


def test_an_audit_leaves_its_files(audited):
    out = audited / "out"
    assert {path.name for path in out.iterdir()} == {
        "audit.json", "pictures", "rejected.csv", "report.html", "scores.parquet", "settings.toml",
        "slices.parquet",
    }  # fmt: skip
    record = read_audit(out)
    assert list(record.risks) == [
        "representation_neighbours", "epistemic_dropout", "aleatoric_mve", "label_noise", "picture_quality"
    ]  # fmt: skip
    assert record.model.accuracy.n == 240
    assert set(record.groups["colour"]) == {"red", "blue"}
    assert all((out / file).exists() for file in record.pictures.values())
    json.loads((out / "audit.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_an_audit_is_explored_with_the_features_that_it_kept(audited, monkeypatch):
    from equipoise.explore import Exploration, opened

    monkeypatch.chdir(audited)
    found = opened("out")
    assert found.features is not None
    one = Exploration(found)
    try:
        about, record = one.about(), read_audit("out")
        assert about["maps"][0]["name"] == "features"
        right = one.column(f"right:{record.model.title}").values
        assert (right == 1).mean() == pytest.approx(record.model.accuracy.value)
        assert {f"{name}_percentile" for name in record.risks} <= {
            column["name"] for column in about["columns"] if column["role"] == "percentile"
        }
        assert one.near(0)["by"].startswith("features")
        assert one.pictures.ready.wait(30)
        assert one.pictures.notes == []
        assert one.pictures.small(5, 96)[:2] == b"\xff\xd8"
    finally:
        one.close()


def test_scores_have_a_row_an_image(audited):
    table = pq.read_table(audited / "out" / "scores.parquet")
    assert table.num_rows == 240
    names = table.column_names
    for name in ("path", "label", "probability", "half", "kind", "colour", "label_noise", "picture_quality"):
        assert name in names
    logits, chances = (table.column(name).to_numpy() for name in ("logit", "probability"))
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), chances, atol=1e-9)
    assert ((logits > 0) == (table.column("predicted").to_numpy() == 1)).all()
    for name in read_audit(audited / "out").risks:
        ranks = table.column(f"{name}_percentile").to_numpy()
        assert ((ranks > 0) & (ranks < 1)).all()
        assert ranks.mean() == pytest.approx(0.5)
        assert f"{name}_percentile_of_label" in names


@pytest.mark.parametrize("kind", ["rare", "mislabelled", "bad picture"])
def test_what_was_planted_is_found_more_often_than_chance(audited, kind):
    table = pq.read_table(audited / "out" / "scores.parquet")
    column = {
        "rare": "representation_neighbours",
        "mislabelled": "label_noise",
        "bad picture": "picture_quality",
    }
    ranks = table.column(f"{column[kind]}_percentile_of_label").to_numpy()
    planted = np.array(table.column("planted").to_pylist()) == kind
    assert ranks[planted].mean() > 0.7
    found = np.array(table.column("kind").to_pylist()) == kind
    assert found[planted].mean() > 1.5 * found.mean()


def test_the_report_is_rendered_again(audited, capsys):
    page = audited / "out" / "report.html"
    before = page.read_text()
    page.unlink()
    assert main(["report", str(audited / "out")]) == 0
    assert page.read_text() == before
    shown = capsys.readouterr().out
    assert "of 240 images" in shown
    assert "is that what you know of this model?" in " ".join(shown.split()).partition("? ")[0] + "?"


@pytest.mark.slow
def test_the_same_audit_gives_the_same_scores(audited, trouble):
    flags = [
        str(trouble / "list.csv"),
        f"--cache={trouble / 'cache'}",
        f"--out={audited / 'again'}",
        "--quiet",
    ]
    assert main(["audit", str(audited / "model"), *flags, *FAST]) == 0
    one, two = (pq.read_table(audited / where / "scores.parquet") for where in ("out", "again"))
    assert one.equals(two)


@pytest.mark.slow
def test_a_foreign_network_with_a_reference(trouble, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(trouble)
    flags = [
        "list.csv", "--reference=list.csv", "--output=logits", "--image-size=16", "--cache=cache",
        "--mean=0.5,0.5,0.5", "--std=0.5,0.5,0.5", f"--out={tmp_path / 'out'}",
        "--methods=histogram,last-layer,mve", "--epochs=1",
    ]  # fmt: skip
    assert main(["audit", "their_network:network", *flags]) == 0
    captured = capsys.readouterr()
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in captured.out
    assert "learned from the reference, scored 240 images" in captured.err
    record = read_audit(tmp_path / "out")
    assert record.model.task == "multiclass"
    assert record.model.layer == "input of last"
    assert list(record.data.labels) == ["audited", "reference"]
    assert main(["audit", "--config", str(tmp_path / "out" / "settings.toml"),
                 f"--out={tmp_path / 'out'}", "--overwrite", "--quiet"]) == 0  # fmt: skip


@pytest.mark.slow
def test_the_accuracy_comes_first_and_must_be_the_one_that_is_expected(audited, trouble, tmp_path, capsys):
    flags = ["audit", str(audited / "model"), str(trouble / "list.csv"), f"--cache={trouble / 'cache'}"]
    flags += ["--methods=neighbours,last-layer", f"--out={tmp_path / 'out'}"]
    known = read_audit(audited / "out").model
    assert known.preprocessing == "the centred square, resized to 16 by lanczos; RGB; pixels in [0, 1]"
    assert main([*flags, f"--expect-accuracy={known.accuracy.high + 0.01:.3f}"]) == 2
    message = capsys.readouterr().err
    assert "(--expect-accuracy); measured" in message
    assert "--resize, --crop" in message
    assert "learned" not in message  # nothing has begun
    assert not (tmp_path / "out" / "settings.toml").exists()
    assert main([*flags, f"--expect-accuracy={known.accuracy.low + 0.001:.3f}"]) == 0
    said = capsys.readouterr()
    assert said.err.index(": as expected, ") < said.err.index("learned from")
    assert said.out.startswith("accuracy ")
    assert read_audit(tmp_path / "out").model.expected_accuracy is not None


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["MODEL", "LIST", "--expect-accuracy=74"], "--expect-accuracy must be a share in [0, 1]; got 74"),
        (["nowhere", "LIST"], "Expected the folder of a run, or timm:NAME"),
        (["MODEL"], "Expected images to audit; got none"),
        (["MODEL", "LIST", "--data=LIST"], "Expected one source"),
        (["MODEL", "LIST", "--methods=rarity"], "--methods must be among"),
        (["MODEL", "LIST", "--methods=neighbours"], "none of epistemic risk"),
        (["MODEL", "LIST", "--groups=race"], "race"),
        (["MODEL", "LIST", "--epochs=0"], "--epochs must be 1 or larger"),
        (["MODEL", "LIST", "--rare=90"], "threshold rare"),
        (["MODEL", "LIST", "--mean=0.5"], "--mean are for package.module:callable"),
        (["their_network:network", "LIST", "--mean=half", "--std=1"], "--mean must be numbers"),
        (["their_network:network", "LIST", "--image-size=16"], "output='logits'"),
        (["MODEL", "LIST", "--label-column=planted"], "Expected images of the classes"),
    ],
)
def test_bad_input(audited, trouble, tmp_path, capsys, monkeypatch, flags, words):
    monkeypatch.chdir(trouble)
    known = {"MODEL": str(audited / "model"), "LIST": "list.csv", "--data=LIST": "--data=list.csv"}
    given = [known.get(flag, flag) for flag in flags]
    assert main(["audit", *given, "--cache=cache", f"--out={tmp_path / 'out'}"]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert not (tmp_path / "out" / "settings.toml").exists()
