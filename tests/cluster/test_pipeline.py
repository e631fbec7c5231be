"""Passes on a cluster of several node processes: the same numbers, whatever fails on the way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from equipoise.cluster import Cluster, Shard, ShardFolder, computed, packed
from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError
from equipoise.nn import Backbone, features
from equipoise.run import Engine, Network, Output, Reading, Sources, audit, fix, score
from equipoise.run.remote import Loading, RemoteFeatures

pytest.importorskip("ray.data")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]
MEMORY = 100 << 20


@pytest.fixture(scope="module")
def machines():
    """A head and two more, each of one processor."""
    import ray
    from ray.cluster_utils import Cluster as Machines

    from equipoise.cluster.address import _environment, _own_signals

    _environment()
    with _own_signals():  # each node that starts here puts its own in place, for good
        found = Machines(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False},
        )
        try:
            found.add_node(num_cpus=1, object_store_memory=MEMORY)
            found.add_node(num_cpus=1, object_store_memory=MEMORY)
            yield found
        finally:
            ray.shutdown()
            found.shutdown()


@pytest.fixture
def on(machines):
    """The name of the cluster, as a user writes it from this machine."""
    return f"ray://127.0.0.1:{machines.address.rpartition(':')[2]}"


def cluster(on, rows=None):
    return Cluster(on.removeprefix("ray://"), rows)


def squares(noted, breaks=lambda rows: None, opens=lambda: None):
    """Work that notes each shard it computes; a local class, so that it travels whole."""

    class Squares:
        def opened(self):
            opens()

            def of(rows):
                breaks(rows)
                (Path(noted) / f"{rows[0]}").touch()
                return {"square": rows.astype(np.float64) ** 2}

            return of

    return Squares()


def gathered(found, rows):
    out = np.full(rows, np.nan)
    for place, columns in found:
        assert np.isnan(out[place]).all()  # once
        out[place] = columns["square"]
    return out


def test_a_lost_machine_loses_nothing(machines, on, tmp_path):
    import ray

    def slow(rows):
        import time

        (tmp_path / f"node-{ray.get_runtime_context().get_node_id()}").touch()
        time.sleep(0.5)

    machines.add_node(num_cpus=1, object_store_memory=MEMORY)  # three actors have four machines to be on
    out = np.full(60, np.nan)
    came, lost = 0, None
    for place, columns in computed(squares(tmp_path, slow), 60, "key", tmp_path / "kept", cluster(on, 3)):
        out[place] = columns["square"]
        came += 1
        at_work = [
            node for node in machines.worker_nodes if (tmp_path / f"node-{node.node_id}").exists()
        ]  # at least two of the three actors are on no head
        if lost is None and at_work:
            lost = at_work[0]
            machines.remove_node(lost, allow_graceful=False)
    assert lost is not None
    assert came == 20
    assert np.array_equal(out, np.arange(60.0) ** 2)


def test_a_restart_computes_only_what_is_missing(on, tmp_path):
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
    kept = tmp_path / "kept"
    whole = gathered(computed(squares(tmp_path / "first"), 40, "key", kept, cluster(on, 8)), 40)
    assert {file.name for file in (tmp_path / "first").iterdir()} == {"0", "8", "16", "24", "32"}
    (kept / Shard(16, 24).file).unlink()
    (kept / Shard(32, 40).file).write_bytes(b"half a file")
    again = gathered(computed(squares(tmp_path / "again"), 40, "key", kept, cluster(on, 8)), 40)
    assert {file.name for file in (tmp_path / "again").iterdir()} == {"16", "32"}
    assert np.array_equal(again, whole)
    assert np.array_equal(whole, np.arange(40.0) ** 2)


def test_a_shard_that_cannot_be_read_is_told_and_the_others_are_kept(on, tmp_path):
    def gone(rows):
        if 17 in rows:
            raise DataError("Expected picture 17; it is gone.")

    with pytest.raises(
        DataError, match=r"got none of 1\. rows 16…23: Expected picture 17.* other 4 are kept"
    ):
        gathered(computed(squares(tmp_path, gone), 40, "key", tmp_path / "kept", cluster(on, 8)), 40)
    assert [shard for shard, _ in ShardFolder(tmp_path / "kept", "key").finished(40)] == [
        *[(0, 8), (8, 16), (24, 32), (32, 40)]
    ]


def test_a_full_disk_of_one_worker_or_here_keeps_what_is_finished(on, tmp_path, monkeypatch):
    def full(rows):
        if rows[0] == 8:
            raise OSError(28, "No space left on device", "/somewhere")

    with pytest.raises(DataError, match=r"rows 8…15: .*No space left on device"):
        gathered(computed(squares(tmp_path, full), 24, "key", tmp_path / "kept", cluster(on, 8)), 24)
    written = ShardFolder.write

    def quota(self, shard, data):
        if len(list(self.path.glob("*.parquet"))) == 2:
            raise DataError("Expected to write; the disk is full.")
        written(self, shard, data)

    monkeypatch.setattr(ShardFolder, "write", quota)
    with pytest.raises(DataError, match="the disk is full"):
        gathered(computed(squares(tmp_path), 24, "key", tmp_path / "here", cluster(on, 8)), 24)
    assert len(list(ShardFolder(tmp_path / "here", "key").finished(24))) == 2


def test_workers_that_cannot_begin_are_told(on, tmp_path):
    def lacking():
        raise DataError("Expected weights in w.safetensors; got nothing there.")

    def without_module():
        import nowhere_installed  # noqa: F401

    ShardFolder(tmp_path / "kept", "key").write(Shard(0, 8), packed({"square": np.arange(8.0) ** 2}, "key"))
    for opens, kind, words in (
        (lacking, DataError, "Expected weights in w.safetensors"),
        (without_module, Exception, "No module named 'nowhere_installed'"),
    ):
        with pytest.raises(kind, match=words):
            list(computed(squares(tmp_path, opens=opens), 40, "key", tmp_path / "kept", cluster(on, 8)))
    assert len(list(ShardFolder(tmp_path / "kept", "key").finished(40))) == 1


def network():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 2)).eval()


def pictures(count=240):
    chance = np.random.default_rng(0)
    found = chance.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    found[labels == 1, :, :, 0] //= 2
    return ImageTable.from_arrays(found, labels)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_features_are_those_of_one_machine(on, tmp_path, shards):
    table, backbone = pictures(), Backbone.of(network(), size=16)
    plain = features(backbone, table)
    far = RemoteFeatures(cluster(on, -(-len(table) // shards)), Loading(Network(backbone), Reading()), "cpu")
    paces = []
    where = torch.device("cpu")
    store = features(backbone, table, cache=tmp_path, device=where, elsewhere=far, told=paces.append)
    assert [pace.done for pace in paces][-1] == 240
    assert len(paces) == shards
    assert np.abs(store.vectors() - plain.vectors()).max() <= 2e-3 * np.abs(plain.vectors()).max()
    assert np.abs(store.logits - plain.logits).max() < 1e-5
    assert {file.name for file in store.folder.iterdir()} == {"features.npy", "logits.npy", "store.json"}
    here = features(backbone, table, cache=tmp_path, device=where)
    assert here.folder == store.folder


def scored(how, out):
    import pyarrow.parquet as pq

    score(Backbone.of(network(), size=16), pictures(), **how, out=out / "scores.parquet")
    assert not list(out.rglob("*.shards"))
    return pq.read_table(out / "scores.parquet").column("logit").to_numpy().round(5).tolist()


def audited(how, out):
    found = audit(Backbone.of(network(), size=16), Sources(data=pictures()), **how, output=Output(out))
    return found.model, found.kinds


def fixed(how, out):
    found = fix(Backbone.of(network(), size=16), Sources(data=pictures()), **how, output=Output(out))
    return found.choice.chosen, found.models


@pytest.mark.parametrize("job", [scored, audited, fixed])
def test_jobs_give_the_numbers_of_one_machine(on, tmp_path, job):
    found = []
    for name, engine in (("here", Engine(device="cpu")), ("there", Engine(device="cpu", on=on))):
        reading = Reading(image_size=16, cache=str(tmp_path / name / "cache"))
        found.append(job({"reading": reading, "engine": engine}, tmp_path / name / "out"))
    assert found[0] == found[1]


def test_other_weights_on_a_worker_are_refused(on, tmp_path):
    table, backbone = pictures(), Backbone.of(network(), size=16)
    other = network()
    other[-1].weight.data[0, 0] += 1
    far = RemoteFeatures(cluster(on), Loading(Network(Backbone.of(other, size=16)), Reading()), "cpu")
    with pytest.raises(InputError, match="a worker of the cluster loads others"):
        features(backbone, table, cache=tmp_path, device=torch.device("cpu"), elsewhere=far)
