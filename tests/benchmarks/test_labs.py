import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import labs  # noqa: E402
from equipoise.nn import DBVAE, kl_divergence  # noqa: E402
from equipoise.resample import max_rule  # noqa: E402
from labs import lab, plain_torch  # noqa: E402


def parquet(path, level, count):
    """Pictures around a grey level."""
    rng = np.random.default_rng(level)
    cells = []
    for _ in range(count):
        pixels = np.clip(rng.normal(level, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        cells.append({"bytes": file.getvalue(), "path": None})
    pq.write_table(pa.table({"image": cells}), path)
    return path


def test_the_labs_rule_is_our_max_rule():
    codes = np.random.default_rng(0).normal(size=(2000, 30))
    codes[:100, :3] += 4.0
    found = lab.sampling_probabilities(codes)
    np.testing.assert_allclose(found, np.exp(max_rule(codes)), rtol=1e-9)
    assert found[:100].sum() > 1.5 * 100 / 2000  # a planted group is drawn more often


def test_batches_follow_the_probabilities_and_hold_no_picture_twice():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    batches = lab.Batches(images, 10, seed=0)
    only = np.where(np.arange(10) < 4, 0.25, 0.0)
    for _ in range(20):
        pixels, labels = batches.draw(8, only)
        assert pixels.dtype == np.float32
        assert labels.tolist() == [1] * 4 + [0] * 4
        drawn = np.rint(255 * pixels[:, 0, 0, 0]).astype(int)
        assert drawn[:4].tolist() == [0, 1, 2, 3]
        assert len(set(drawn)) == 8


@pytest.mark.parametrize(("model", "outputs"), [("cnn", 1), ("dbvae", 201)])
def test_plain_transcription_has_the_labs_shapes(model, outputs):
    program = plain_torch.start(model, 0)
    assert program.model.encoder.dense[-1].out_features == outputs
    ours = DBVAE(latent=100) if model == "dbvae" else None
    if ours is not None:
        assert sum(p.numel() for p in program.model.parameters()) == sum(p.numel() for p in ours.parameters())
        codes = torch.zeros(2, 100)
        assert program.model.decoder(codes).shape == (2, 3, 64, 64)
    assert program.logits(np.zeros((3, 64, 64, 3), np.float32)).shape == (3,)


def test_plain_loss_is_the_labs():
    torch.manual_seed(0)
    program = plain_torch.start("dbvae", 0)
    images, labels = torch.rand(6, 3, 64, 64), torch.tensor([1.0, 1, 0, 0, 0, 1])
    program.model.eval()
    torch.manual_seed(1)
    loss = program.model.loss(images, labels)
    torch.manual_seed(1)
    logit, mean, log_variance = program.model.encode(images)
    codes = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    pictures = (images - program.model.decoder(codes)).abs().mean((1, 2, 3))
    vae = 0.0005 * kl_divergence(mean, log_variance) + pictures
    entropy = torch.nn.functional.softplus(torch.where(labels == 1, -logit, logit))
    torch.testing.assert_close(loss, (entropy + labels * vae).mean())


def trained(framework, python, tmp_path, monkeypatch):
    files = [parquet(tmp_path / f"{level}.parquet", level, 40) for level in (170, 80)]
    asked = dict(zip(("positives", "negatives"), files, strict=True))
    asked |= {f"test_{name}": path for name, path in asked.items()}
    monkeypatch.setitem(labs.KINDS, "short", ["--model", "dbvae", "--epochs", "4"])
    given = asked | {"seed": 3, "work": tmp_path, "python": python, "threads": 1}
    first = labs.lab_run("short", framework, **given)
    began = next(tmp_path.glob("*-seed3-*/train.json")).stat().st_mtime_ns
    again = labs.lab_run("short", framework, **given)
    assert next(tmp_path.glob("*-seed3-*/train.json")).stat().st_mtime_ns == began  # not trained twice
    assert first["steps"] == 4 * (80 // 32)
    assert first["positive_scores"].shape == first["negative_scores"].shape == (40,)
    assert first["positive_scores"].mean() > first["negative_scores"].mean()
    assert first["seconds"] > first["weighing_seconds"] > 0
    assert first["peak_rss_bytes"] > 2**20
    np.testing.assert_array_equal(first["positive_scores"], again["positive_scores"])


@pytest.mark.slow
def test_a_plain_run_trains_scores_and_is_kept(tmp_path, monkeypatch):
    trained("torch", labs.PYTHON, tmp_path, monkeypatch)


@pytest.mark.skipif(not labs.PYTHON.exists(), reason="no environment with TensorFlow (.venv-labs)")
def test_a_tensorflow_run_trains_scores_and_is_kept(tmp_path, monkeypatch):
    trained("tensorflow", labs.PYTHON, tmp_path, monkeypatch)


def test_a_missing_environment_says_how_to_make_it(tmp_path):
    with pytest.raises(labs.LabMissingError, match=r"requirements\.txt"):
        labs.program_command("tensorflow", tmp_path / "python")


def test_the_requirements_are_pinned():
    lines = (BENCHMARKS / "labs" / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))


@pytest.mark.slow
def test_a_contestant_answers_line_by_line():
    asked = [{"do": "steps", "model": "cnn", "batch": 8, "count": 2}, {"do": "nothing"}, {"do": "peak"}]
    done = subprocess.run(
        [*labs.program_command("torch", threads=1), "serve", "--rows", "40"],
        input="".join(json.dumps(line) + "\n" for line in asked),
        env=labs.program_environment(1),
        capture_output=True,
        text=True,
        check=True,
    )
    ready, steps, error, peak = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    assert steps["seconds"] > 0
    assert "nothing" in error["error"]
    assert peak["bytes"] > 2**20


def test_the_table_tells_what_was_left_out():
    import speed

    assert speed.table([]) == ""
    common = {"threads": 1, "quick": True}
    steps = {
        "kind": "steps",
        "model": "dbvae",
        "batch": 32,
        "precision": "float32",
        "compiled": False,
    } | common
    rest = {"case": "speed", "seed": 0, "command": "c", "machine": {"processor": "p"}}
    lab_row, our_row = speed.Row(speed.TENSORFLOW, "dbvae", 32), speed.Row(speed.OURS, "dbvae", 32)
    lab_row.blocks, our_row.blocks = [0.3, 0.4, 0.5], [0.1, 0.1, 0.1]
    both = [lab_row, our_row]
    lines = [
        rest | {"method": r.method, "setting": steps, "numbers": speed.step_numbers(r, both)} for r in both
    ]
    assert "| equipoise, float32 | – | – | 10.0 | 4.00 [3.50, 4.50] | 320 (32) |" in speed.table(lines)
    lines[0] = lines[0] | {"numbers": {"left_out": "why"}}
    assert f"| {speed.TENSORFLOW} | not measured" in speed.table(lines)
