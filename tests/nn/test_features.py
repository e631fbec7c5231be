"""Features once: one pass, kept, gone on with where it ended, and the same bits however it went."""

import json
import multiprocessing
import shutil
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.data.cache import clear
from equipoise.errors import DataError, InputError
from equipoise.nn import Backbone, FeatureStore, features
from equipoise.nn.features import Pace, _sent

from .networks import small

SIZE = 16


@pytest.fixture
def table():
    pictures = np.random.default_rng(0).integers(0, 256, (90, SIZE, SIZE, 3), dtype=np.uint8)
    return ImageTable.from_arrays(pictures, np.arange(90) % 2)


@pytest.fixture
def backbone():
    return Backbone.of(small(), size=SIZE, mean=(0.5,), std=(0.25,))


class Counting:
    """A table that notes what is read, and breaks where it is told to."""

    def __init__(self, table, breaks_at=None):
        self.table, self.breaks_at, self.read = table, breaks_at, []
        self.digests, self.image_size, self.channels = table.digests, table.image_size, table.channels

    def __len__(self):
        return len(self.table)

    def batch(self, positions):
        if self.breaks_at is not None and self.breaks_at in positions:
            raise KeyboardInterrupt
        self.read += list(positions)
        return self.table.batch(positions)


def rows_of(store):
    return np.asarray(store.features), np.asarray(store.logits)


def test_features_are_those_of_one_run_after_another(table, backbone, tmp_path):
    store = features(backbone, table, cache=tmp_path)
    images = torch.from_numpy(table.batch(np.arange(90))).permute(0, 3, 1, 2) / 255
    wanted = backbone(images)
    assert store.features.dtype == np.float16
    assert store.logits.dtype == np.float32
    assert np.abs(store.vectors() - wanted.features.numpy()).max() < 1e-3
    assert np.abs(store.logits - wanted.logits.numpy()).max() < 1e-5
    assert store.vectors([5, 3]).tolist() == store.vectors()[[5, 3]].tolist()
    assert len(store) == 90
    plain = features(backbone, table)
    assert plain.folder is None
    for kept, not_kept in zip(rows_of(store), rows_of(plain), strict=True):
        assert np.array_equal(kept, not_kept)


def test_a_second_start_reads_the_store_and_runs_nothing(table, backbone, tmp_path):
    first = features(backbone, table, cache=tmp_path)
    counting = Counting(table)
    again = features(backbone, counting, cache=tmp_path)
    assert counting.read == []
    assert again.folder == first.folder
    assert np.array_equal(again.features, first.features)
    relabelled = replace(table, labels=1 - table.labels)
    assert features(backbone, relabelled, cache=tmp_path).folder == first.folder


def test_other_pictures_networks_and_framings_have_stores_of_their_own(table, backbone, tmp_path):
    other = small()
    other.last.weight.data[0, 0] += 1
    folders = {
        features(*one, cache=tmp_path, **options).folder
        for one, options in (
            ((backbone, table), {}),
            ((backbone, table.take(np.arange(89, -1, -1))), {}),
            ((Backbone.of(other, size=SIZE, mean=(0.5,), std=(0.25,)), table), {}),
            ((Backbone.of(small(), size=SIZE, mean=(0.5,), std=(0.25,), crop=0.5), table), {}),
            ((backbone, table), {"dtype": "float32"}),
        )
    }
    assert len(folders) == 5


@pytest.mark.parametrize("broken_at", [9, 40, 89])
def test_killed_in_the_middle_it_goes_on_and_gets_the_same_bits(table, backbone, tmp_path, broken_at):
    whole = features(backbone, table, cache=tmp_path / "whole", batch_size=7)
    paces = []
    with pytest.raises(KeyboardInterrupt):
        features(
            backbone, Counting(table, broken_at), cache=tmp_path / "cut", batch_size=7, told=paces.append
        )
    done = broken_at // 7 * 7
    assert [pace.done for pace in paces] == list(range(7, done + 1, 7))
    counting = Counting(table)
    store = features(backbone, counting, cache=tmp_path / "cut", told=paces.append)  # batch size as it began
    assert min(counting.read) == done
    assert paces[-1].done == 90
    for one, other in zip(rows_of(store), rows_of(whole), strict=True):
        assert one.tobytes() == other.tobytes()
    assert [path.name for path in (tmp_path / "cut" / "features").iterdir()] == [store.folder.name]


def _killed(backbone, table, cache, seen):
    torch.set_num_threads(1)  # the threads that this process had stayed behind

    def told(pace):
        if pace.done >= 40:
            seen.set()
            time.sleep(60)

    features(backbone, table, cache=cache, batch_size=5, told=told)


def test_a_killed_process_leaves_nothing_wrong(table, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["equipoise.nn.features"], "KEPT_S", 0.0)
    context = multiprocessing.get_context("fork")
    seen = context.Event()
    process = context.Process(target=_killed, args=(backbone, table, tmp_path / "cut", seen))
    process.start()
    assert seen.wait(60)
    process.kill()
    process.join()
    counting = Counting(table)
    store = features(backbone, counting, cache=tmp_path / "cut")
    assert min(counting.read) == 35  # the note that was under way is of the batch before
    whole = features(backbone, table, cache=tmp_path / "whole", batch_size=5)
    assert np.asarray(store.features).tobytes() == np.asarray(whole.features).tobytes()


@pytest.mark.parametrize("damage", ["shorter", "other", "unsaid", "part", "gone"])
def test_what_is_damaged_is_computed_anew(table, backbone, tmp_path, damage):
    store = features(backbone, table, cache=tmp_path)
    wanted, folder = np.array(store.features), store.folder
    if damage == "shorter":
        content = (folder / "features.npy").read_bytes()
        (folder / "features.npy").write_bytes(content[:-2])
    elif damage == "other":
        np.save(folder / "logits.npy", np.zeros((3, 3), np.float32))
    elif damage == "unsaid":
        (folder / "store.json").write_text("{")
    elif damage == "gone":
        (folder / "features.npy").unlink()
    else:
        part = folder.with_name(f"{folder.name}.part")
        shutil.move(folder, part)
        (part / "progress.json").write_text(json.dumps({"batch_size": 7, "done": 8}))
    assert np.array_equal(features(backbone, table, cache=tmp_path).features, wanted)


def test_another_process_is_waited_for(table, backbone, tmp_path):
    began, go_on, found, paces = threading.Event(), threading.Event(), {}, []

    class Slow(Counting):
        def batch(self, positions):
            began.set()
            go_on.wait(30)
            return super().batch(positions)

    def first():
        found["first"] = features(backbone, Slow(table), cache=tmp_path)

    def second():
        found["second"] = features(backbone, Counting(table), cache=tmp_path, told=paces.append)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert began.wait(30)
    threads[1].start()
    while not paces:
        time.sleep(0.01)
    assert paces[0].waiting
    assert "waiting for another process" in str(paces[0])
    assert clear(tmp_path).files == 0  # a build that goes on stays
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(paces) == 1
    assert isinstance(found["second"], FeatureStore)
    assert np.array_equal(found["first"].features, found["second"].features)
    assert clear(tmp_path).files == 3
    assert not (tmp_path / "features").exists()


def test_numbers_too_large_for_half_precision(table, tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 4), nn.Linear(4, 2))
    network[1].weight.data[:] = 1000.0
    backbone = Backbone.of(network, size=SIZE)
    with pytest.raises(InputError, match="dtype 'float32'"):
        features(backbone, table, cache=tmp_path)
    assert np.isfinite(features(backbone, table, cache=tmp_path, dtype="float32").features).all()


def test_a_network_is_left_as_it_was_and_chance_too(table, backbone):
    backbone.network.train()
    before = torch.random.get_rng_state()
    features(backbone, table)
    assert backbone.network.training
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_does_not_fit_is_told_before(table, backbone, tmp_path):
    with pytest.raises(InputError, match="at least one picture"):
        features(backbone, table.take([]))
    with pytest.raises(InputError, match="batch_size"):
        features(backbone, table, batch_size=0)
    other = ImageTable.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1])
    with pytest.raises(InputError, match="16×16 pixels; these have 3 and 8×8"):
        features(backbone, other)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Expected to keep features"):
        features(backbone, table, cache=tmp_path / "file")


def test_the_pace_in_words():
    assert str(Pace(3200, 10_000, 152.3, 44.6)) == "3,200 of 10,000 pictures, 152 a second, 45 s left"
    assert str(Pace(1, 10, 0.01, 900.0)) == "1 of 10 pictures, 0 a second, 15 minutes left"


class Far:
    """Rows from elsewhere: the last ones first, and broken off where it is told to."""

    batch_size = None

    def __init__(self, backbone, breaks_at=None):
        self.backbone, self.breaks_at, self.asked, self.cleared = backbone, breaks_at, [], []

    def __call__(self, table, layout, folder, first):
        self.asked.append((folder is not None, first))
        for start in range(layout.rows - 10, first - 10, -10):
            place = slice(max(start, first), start + 10)
            if place.start == self.breaks_at:
                raise KeyboardInterrupt
            store = features(
                self.backbone, table.take(np.arange(place.start, place.stop)), dtype=layout.dtype
            )
            yield place, {"features": store.features, "logits": store.logits}

    def clear(self, folder):
        self.cleared.append(folder)


def test_rows_from_elsewhere_become_the_same_store(table, backbone, tmp_path):
    plain, far, paces = features(backbone, table), Far(backbone), []
    store = features(backbone, table, cache=tmp_path, elsewhere=far, told=paces.append)
    assert far.asked == [(True, 0)]
    assert len(far.cleared) == 1
    assert [pace.done for pace in paces] == list(range(10, 91, 10))
    for one, other in zip(rows_of(store), rows_of(plain), strict=True):
        assert np.abs(one.astype(float) - other).max() < 1e-3
    assert features(backbone, table, cache=tmp_path).folder == store.folder
    unkept = features(backbone, table, elsewhere=far)
    assert unkept.features.tobytes() == store.features.tobytes()
    assert far.asked[1:] == [(False, 0)]


def test_elsewhere_goes_on_with_what_was_computed_here_and_the_other_way_round(table, backbone, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        features(backbone, Counting(table, 40), cache=tmp_path, batch_size=10)
    far = Far(backbone)
    store = features(backbone, table, cache=tmp_path, elsewhere=far)
    assert far.asked == [(True, 40)]
    assert np.abs(store.vectors() - features(backbone, table).vectors()).max() < 1e-3
    other = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        features(backbone, table, cache=other, elsewhere=Far(backbone, 30))
    counting = Counting(table)
    here = features(backbone, counting, cache=other)
    assert min(counting.read) == 0  # shards are gone on with elsewhere alone
    assert here.features.tobytes() == features(backbone, table).features.tobytes()


def test_pictures_go_to_a_gpu_from_pinned_memory(monkeypatch):
    pictures = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    asked = []

    class Pinned:
        def __init__(self, values):
            self.values = values

        def to(self, where, non_blocking=False):
            asked.append((where.type, non_blocking))
            return self.values

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: Pinned(values))
    np.testing.assert_array_equal(_sent(pictures, torch.device("cuda")), pictures)
    np.testing.assert_array_equal(_sent(pictures, torch.device("cpu")), pictures)
    assert asked == [("cuda", True)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_of_a_gpu_are_those_of_the_cpu():
    pictures = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    table = ImageTable.from_arrays(pictures, np.arange(40) % 2)
    backbone = Backbone.of(small(), size=16)
    here, there = (features(backbone, table, device=torch.device(d), batch_size=7) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(there.vectors(), here.vectors(), rtol=1e-2, atol=1e-2)
