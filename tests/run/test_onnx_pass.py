"""A pass over pictures by onnxruntime in place of PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, features
from equipoise.nn.export import write_onnx
from equipoise.run import Network, Output, Reading, Sources, audit, fix, remote
from equipoise.run.checks import scoring_engine
from equipoise.run.remote import Loading, OnnxFeatures, remote_features
from equipoise.train import Engine

pytestmark = pytest.mark.slow

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def network(classes=3):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
    body[1].running_mean.normal_()
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), nn.ReLU()]
    return nn.Sequential(body, *head, *([nn.Linear(6, classes)] if classes else []))


@pytest.fixture(scope="module")
def table():
    pictures = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    return ImageTable.from_arrays(pictures, np.arange(70) % 3)


BACKBONES = {
    "what goes into the last layer": lambda: Backbone.of(network(), size=16),
    "normalised": lambda: Backbone.of(network(), size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3)),
    "a layer by name": lambda: Backbone.of(network(), size=16, mean=(0.5,), std=(0.2,), layer="3"),
    "without a last layer": lambda: Backbone.tried(
        network(0), Backbone.of(network(), size=16).preprocessing, headless=True
    ),
}


def by_onnx(backbone):
    return OnnxFeatures(Loading(Network(backbone), Reading(), fixed=backbone.outputs is None))


@pytest.mark.parametrize("name", BACKBONES)
def test_features_and_logits_are_the_same_but_for_rounding(name, table, tmp_path):
    backbone = BACKBONES[name]()
    plain = features(backbone, table, dtype="float32")
    far = features(backbone, table, dtype="float32", cache=tmp_path, elsewhere=by_onnx(backbone))
    np.testing.assert_allclose(far.features, plain.features, rtol=0, atol=1e-5 * np.abs(plain.features).max())
    assert (far.logits is None) == (plain.logits is None)
    if plain.logits is not None:
        np.testing.assert_allclose(far.logits, plain.logits, rtol=0, atol=1e-5 * np.abs(plain.logits).max())


def test_a_pass_that_stopped_goes_on_where_it_was(table, tmp_path, monkeypatch):
    backbone = BACKBONES["normalised"]()
    monkeypatch.setattr("equipoise.run.remote.usual_batch_size", lambda *_: 16)
    read = []
    batch = ImageTable.batch

    def stopping(self, rows):
        read.extend(np.asarray(rows).tolist())
        return batch(self, rows)

    monkeypatch.setattr(ImageTable, "batch", stopping)

    def stop(pace):
        if pace.done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(backbone, table, cache=tmp_path, elsewhere=by_onnx(backbone), told=stop)
    read.clear()
    found = features(backbone, table, cache=tmp_path, elsewhere=by_onnx(backbone))
    assert (
        min(row for row in read if row > 1) >= 32
    )  # the first two are looked at to see how large a batch may be
    np.testing.assert_allclose(found.vectors(), features(backbone, table).vectors(), atol=1e-2)


def test_an_onnx_file_is_run_as_it_is(tmp_path):
    backbone = BACKBONES["normalised"]()
    write_onnx(backbone.module, backbone.preprocessing, tmp_path / "m.onnx")
    found = Backbone.named(f"onnx:{tmp_path / 'm.onnx'}")
    assert remote.by_onnx(found) is found


def test_two_tables_are_passed_by_one_export(table, monkeypatch):
    made = []
    export = remote.by_onnx
    monkeypatch.setattr(remote, "by_onnx", lambda backbone: made.append(1) or export(backbone))
    backbone = BACKBONES["normalised"]()
    far = by_onnx(backbone)
    for some in (table, table.take(np.arange(30))):
        features(backbone, some, elsewhere=far)
    assert len(made) == 1


def test_a_network_that_is_another_one_when_it_is_loaded_again_is_refused(table):
    drawn = Backbone.of(nn.Sequential(nn.Flatten(), nn.Linear(768, 4), nn.Linear(4, 3)), size=16)
    with pytest.raises(InputError, match="with the weights that it has where the job was started"):
        features(BACKBONES["normalised"](), table, elsewhere=by_onnx(drawn))


def test_on_onnx_is_that_pass_and_a_network_that_is_known_is_written_at_once():
    loading, said = Loading(Network("x:y"), Reading()), []
    assert remote_features(None, loading, "cpu", None, said.append) is None
    assert isinstance(remote_features("onnx", loading, "cpu", None, said.append), OnnxFeatures)
    assert not said
    backbone = BACKBONES["normalised"]()
    found = remote_features("onnx", loading, "cpu", backbone, said.append)
    assert said == ["Writing Sequential as ONNX."]
    assert found._ready[0] is backbone


class Counting(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.last, self.count = nn.Linear(3, 3), count

    def forward(self, images):
        return self.last(images.mean((2, 3)) * self.count(images))


JOBS = {
    "audit": lambda model, table, how: audit(model, Sources(data=table), **how),
    "fix": lambda model, table, how: fix(model, Sources(data=table, test_data=table.take(range(30))), **how),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_refuses_what_cannot_be_written_before_it_reads(job, table, tmp_path):
    said = []
    how = {"engine": Engine(on="onnx", device="cpu"), "output": Output(tmp_path / "out", tell=said.append)}
    with pytest.raises(InputError, match=r"cannot be written as ONNX|say what the network says"):
        JOBS[job](Backbone.of(Counting(lambda images: len(str(float(images.sum())))), size=16), table, how)
    assert said == ["Writing Counting as ONNX."]


@pytest.mark.parametrize("job", ["audit", "fix"])
def test_audit_and_fix_take_it(job):
    assert scoring_engine(Engine(on="onnx", device="cpu"), job).on == "onnx"


def test_what_does_not_take_it_says_so():
    with pytest.raises(InputError, match="score by onnx:FILE"):
        scoring_engine(Engine(on="onnx"), "score")
    with pytest.raises(InputError, match="runs on the CPU; got `device` cuda"):
        scoring_engine(Engine(on="onnx", device="cuda"), "audit")
    with pytest.raises(InputError, match="runs its networks on this machine"):
        scoring_engine(Engine(on="onnx"), "evaluate")


@pytest.mark.parametrize(
    "count",
    [lambda images: len(str(float(images.sum()))), lambda images: torch.ones(len(images), 1)],
    ids=["numbers in Python", "a fixed number of pictures"],
)
def test_a_network_that_cannot_be_told_in_onnx_is_said(count, table):
    backbone = Backbone.of(Counting(count), size=16)
    with pytest.raises(InputError, match=r"cannot be written as ONNX|say what the network says"):
        features(backbone, table, elsewhere=by_onnx(backbone))
