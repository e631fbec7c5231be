"""Rows in shards: cut without gap or overlap whatever is there already, and read as what they may be."""

import numpy as np
import pytest

from equipoise.cluster import Shard, ShardFolder, cut, packed, unpacked
from equipoise.cluster.worker import Worker, raised
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.nn.features import TooLargeError


@pytest.mark.parametrize("most", [1, 3, 7, 10, 100])
@pytest.mark.parametrize(
    "done", [[], [Shard(0, 10)], [Shard(2, 5), Shard(9, 10)], [Shard(0, 1), Shard(1, 4)]]
)
@pytest.mark.parametrize("first", [0, 2])
def test_what_is_missing_is_cut_once(most, done, first):
    done = [one for one in done if one.start >= first]
    missing = cut(10, most, done, first)
    assert all(0 < stop - start <= most for start, stop in missing)
    covered = sorted(row for start, stop in (*missing, *done) for row in range(start, stop))
    assert covered == list(range(first, 10))


def columns(rows, seed=0):
    chance = np.random.default_rng(seed)
    return {
        "features": chance.normal(size=(rows, 5)).astype(np.float16),
        "logits": chance.normal(size=(rows, 1)).astype(np.float32),
        "log_density": chance.normal(size=rows),
    }


def test_columns_come_back_to_the_bit():
    given = columns(7)
    found = unpacked(packed(given, "key"), 7, "key")
    assert found.keys() == given.keys()
    for name, values in given.items():
        assert found[name].dtype == values.dtype
        assert found[name].tobytes() == values.tobytes()
        assert found[name].shape == values.shape


@pytest.mark.parametrize(("rows", "key"), [(6, "key"), (7, "other")])
def test_columns_of_something_else_are_refused(rows, key):
    with pytest.raises(ValueError, match="something else"):
        unpacked(packed(columns(7), "key"), rows, key)


def test_a_changed_byte_or_a_column_that_is_no_number_is_refused():
    data = bytearray(packed(columns(200), "key"))
    data[len(data) // 3] ^= 255
    with pytest.raises(ValueError, match="no Parquet file"):
        unpacked(bytes(data), 200, "key")
    with pytest.raises(ValueError, match="a column of"):
        unpacked(packed({"features": np.array(["a"])}, "key"), 1, "key")


def folder_of(path, *shards):
    folder = ShardFolder(path, "key")
    for start, stop in shards:
        folder.write(Shard(start, stop), packed(columns(stop - start, start), "key"))
    return folder


def test_finished_shards_are_read_in_order_and_removed_at_the_end(tmp_path):
    folder = folder_of(tmp_path / "shards", (4, 9), (0, 4))
    found = list(folder.finished(9))
    assert [shard for shard, _ in found] == [(0, 4), (4, 9)]
    assert found[1][1]["features"].tobytes() == columns(5, 4)["features"].tobytes()
    folder.clear()
    assert not (tmp_path / "shards").exists()
    folder.clear()  # nothing is there: nothing happens


def test_what_is_not_sound_goes_and_is_missing(tmp_path):
    folder = folder_of(tmp_path, (0, 4), (2, 6), (6, 8), (8, 12))
    (tmp_path / Shard(6, 8).file).write_bytes(b"half")
    (tmp_path / "shard-9.parquet").write_bytes(b"not ours")
    assert [shard for shard, _ in folder.finished(10)] == [
        (0, 4)
    ]  # the next overlaps, the last is of more rows
    assert [file.name for file in tmp_path.iterdir()] == [Shard(0, 4).file]
    assert list(ShardFolder(tmp_path, "other").finished(10)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("a"), InputError),
        (TooLargeError("a"), TooLargeError),
        (DataError("a"), DataError),
        (OSError(28, "No space left on device"), DataError),
        (MemoryError("a"), DataError),
        (RuntimeError("a"), EquipoiseError),
    ],
)
def test_errors_of_a_worker_are_of_their_kind(error, kind):
    class Broken:
        def opened(self):
            raise error

    import cloudpickle

    from equipoise import __version__

    worker = Worker(cloudpickle.dumps(Broken()), "key", __version__, "/nowhere")
    out = worker({"start": [0], "stop": [2]})
    when, _, told = out["failed"][0].partition("\x1f")
    assert (when, out["data"]) == ("start", [b""])
    assert type(raised(told)) is kind
    assert str(error.args[-1]) in str(raised(told))


def test_a_worker_gives_shards_or_says_why_not():
    import cloudpickle

    from equipoise import __version__

    class Doubling:
        def opened(self):
            def of(rows):
                if rows[0] == 4:
                    raise DataError("gone")
                return {"double": 2.0 * rows}

            return of

    worker = Worker(cloudpickle.dumps(Doubling()), "key", __version__, "/nowhere")
    out = worker({"start": [2], "stop": [4]})
    assert unpacked(out["data"][0], 2, "key")["double"].tolist() == [4, 6]
    assert worker({"start": [4], "stop": [6]})["failed"] == ["shard\x1fDataError\x1fgone"]
    other = Worker(cloudpickle.dumps(Doubling()), "key", "0", "/nowhere")
    assert "Expected equipoise 0; got" in other({"start": [2], "stop": [4]})["failed"][0]
