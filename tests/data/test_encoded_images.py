"""Pictures that stay encoded: nobody who takes batches of them can tell, and what changes meanwhile is found."""

import io
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from equipoise.data import ImageTable, cache, decoding, encoded_images, read, split
from equipoise.data.encoded_images import EncodedImages
from equipoise.errors import DataError, InputError
from equipoise.pictures.framing import Framing

N = 70
SIDE = 16
NONE = {"image_size": SIDE, "cache_limit": 0}


def jpeg(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def files():
    """JPEGs of several shapes; the last equals the first."""
    rng = np.random.default_rng(3)
    small = [Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)) for _ in range(N - 1)]
    found = [jpeg(np.asarray(image.resize((30 + i % 7, 50 - i % 11)))) for i, image in enumerate(small)]
    return [*found, found[0]]


@pytest.fixture
def folder(files, tmp_path):
    for row, data in enumerate(files):
        place = tmp_path / "folder" / f"class{row % 3}" / f"{row:03}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return tmp_path / "folder"


def sources(files, tmp_path, shard):
    """The same pictures as whatever can hold them."""
    listing = ["path,label"]
    for row, data in enumerate(files):
        (tmp_path / f"{row:03}.jpg").write_bytes(data)
        listing.append(f"{row:03}.jpg,{row % 2}")
    (tmp_path / "list.csv").write_text("\n".join(listing))
    members = [
        member
        for row, data in enumerate(files)
        for member in ((f"{row:03}.jpg", data), (f"{row:03}.cls", str(row % 2).encode()))
    ]
    shard(tmp_path / "shards" / "a.tar", members[: N + 2])
    shard(tmp_path / "shards" / "b.tar", members[N + 2 :])
    table = pa.table(
        {
            "image": pa.array([{"bytes": data, "path": None} for data in files]),
            "label": [row % 2 for row in range(N)],
        }
    )
    parquet.write_table(table, tmp_path / "bytes.parquet", row_group_size=20)
    beside = pa.array([{"bytes": None, "path": f"{row:03}.jpg"} for row in range(N)])
    parquet.write_table(table.set_column(0, "image", beside), tmp_path / "beside.parquet")
    with pa.ipc.new_stream(str(tmp_path / "bytes.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=9)
    names = ("list.csv", "shards", "bytes.parquet", "beside.parquet", "bytes.arrow")
    return {name: tmp_path / name for name in names}


def same(one, two, rows):
    np.testing.assert_array_equal(one.batch(rows), two.batch(rows))
    np.testing.assert_array_equal(one.digests, two.digests)
    assert one.fingerprint == two.fingerprint


def test_every_source_gives_the_same_kept_and_encoded(files, tmp_path, shard, rng):
    rows = rng.integers(0, N, 40)
    for framing in (Framing(48), Framing(48, resize=55, interpolation="bilinear")):
        for name, source in sources(files, tmp_path, shard).items():
            how = {"groups": [], "framing": framing, "format": "parquet" if "parquet" in name else None}
            limit = (
                0 if name in ("list.csv", "shards") else "300 kB"
            )  # of bytes that are kept, less than pixels take
            encoded = read(source, **how, cache_limit=limit)
            kept = read(source, **how, cache_limit="10 MB", cache=tmp_path / "kept")
            assert isinstance(kept.parts[0], np.memmap), name
            assert isinstance(encoded.parts[0], EncodedImages), name
            assert encoded.framing == kept.framing == framing
            same(encoded, kept, rows)
            assert encoded.digests[0] == encoded.digests[-1]
            again = read(source, **how, cache_limit=limit)
            assert isinstance(again.parts[0], EncodedImages), name
            same(again, kept, rows)


def test_a_hugging_face_dataset_stays_encoded(datasets, files, tmp_path):
    columns = {
        "image": [{"bytes": data, "path": None} for data in files],
        "label": [row % 2 for row in range(N)],
    }
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    dataset = datasets.Dataset.from_dict(columns, features=features)
    for _ in range(2):
        encoded = read(dataset, image_size=48, cache_limit="300 kB")
        assert isinstance(encoded.parts[0], EncodedImages)
        same(encoded, read(dataset, image_size=48, cache=tmp_path), np.arange(N))


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_order_is_that_asked_for_whatever_the_workers(folder, files, workers, rng):
    table = read(folder, workers=workers, cache_limit=0, framing=Framing(SIDE, "squash", None, "bicubic"))
    by_path = {path: row for row, path in enumerate(table.column("path"))}
    for rows in (np.arange(N), rng.integers(0, N, 33), np.array([5]), np.array([], int), [3, 3, 0, 3]):
        batch = table.batch(rows)
        assert batch.shape == (len(rows), SIDE, SIDE, 3)
        for image, row in zip(batch, rows, strict=True):
            with Image.open(table.column("path")[row]) as opened:
                expected = np.asarray(opened.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            np.testing.assert_array_equal(image, expected)
    assert len(by_path) == N


def test_views_joins_and_other_processes_cannot_tell(folder, tmp_path, rng):
    encoded, kept = read(folder, **NONE), read(folder, image_size=SIDE, cache=tmp_path / "kept")
    arrays = ImageTable.from_arrays(rng.integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8), [0, 1, 2, 0, 1])
    order = rng.permutation(N)[:30]
    for one, two in (
        (encoded.take(order), kept.take(order)),
        (ImageTable.concat([encoded, arrays, kept]), ImageTable.concat([kept, arrays, kept])),
        (pickle.loads(pickle.dumps(encoded.take(order))), kept.take(order)),
        (split(encoded).train, split(kept).train),
    ):
        same(one, two, np.arange(len(one)))
    assert len(pickle.dumps(encoded)) < 60_000
    assert ImageTable.concat([encoded, arrays]).framing == encoded.take([0]).framing == Framing(SIDE)


OTHER = """
import pickle, sys
table = pickle.load(sys.stdin.buffer)
print(table.fingerprint, int(table.batch(range(len(table))).sum()))
"""


def test_another_process_decodes_for_itself(folder):
    table = read(folder, **NONE)
    table.batch([0, 1, 2])  # its threads are running
    done = subprocess.run(
        [sys.executable, "-c", OTHER], input=pickle.dumps(table), capture_output=True, check=True
    )
    assert done.stdout.decode().split() == [table.fingerprint, str(table.batch(range(N)).sum())]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_was_forked_has_threads_of_its_own(folder):
    table = read(folder, workers=2, **NONE)
    expected = int(table.batch(range(N)).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of threads
        child = os.fork()
    if not child:
        os._exit(0 if int(table.batch(range(N)).sum()) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_batches_come_in_order_and_ahead(folder):
    table = read(folder, **NONE)
    places = [np.arange(start, min(start + 9, N)) for start in range(0, N, 9)]
    asked = []

    def told():
        for place in places:
            asked.append(place)
            yield place

    found = table.batches(told())
    first = next(found)
    assert 2 <= len(asked) < len(places)
    np.testing.assert_array_equal(np.concatenate([first, *found]), table.batch(np.arange(N)))
    with pytest.raises(InputError, match="Positions must be"):
        list(table.batches([[0], [N]]))
    stopped = table.batches(iter(places))
    next(stopped)
    stopped.close()
    assert list(table.batches([])) == []


def test_the_second_start_decodes_nothing(folder, monkeypatch):
    first = read(folder, **NONE)
    for module in (decoding, encoded_images):
        monkeypatch.setattr(module, "encoded", lambda content: pytest.fail(f"opened {content}"))
    assert read(folder, **NONE).fingerprint == first.fingerprint


def test_nothing_is_kept_but_what_is_needed(folder, own_cache):
    read(folder, **NONE)
    (entry,) = (own_cache / "pixels").iterdir()
    names = {"digests.npy", "kept.npy", "rejected.json", "remarks.json", "seal.json"}
    assert {file.name for file in entry.iterdir()} == names


def test_a_cache_of_any_kind_can_be_cleared(folder, files, tmp_path, shard, own_cache):
    read(folder, **NONE)
    read(sources(files, tmp_path, shard)["bytes.parquet"], image_size=SIDE * 4, cache_limit="300 kB")
    assert any((own_cache / "pixels").glob("*/files.bin"))
    assert cache.clear().left == 0


def test_pixels_that_are_there_are_taken_and_a_larger_limit_makes_them(folder):
    assert isinstance(read(folder, **NONE).parts[0], EncodedImages)
    assert isinstance(read(folder, image_size=SIDE).parts[0], np.memmap)
    table = read(folder, **NONE)
    assert isinstance(table.parts[0], np.memmap)
    assert table.notes == read(folder, image_size=SIDE).notes


def test_why_pictures_stay_encoded_is_said(folder):
    note = (
        "Pictures stay encoded and are decoded when they are needed: they would take 53.8 kB as pixels, more than the "
        "0 bytes of the disk that they may (`cache_limit`)."
    )
    for _ in range(2):
        assert read(folder, **NONE).notes[-1] == note
    assert "Pictures" not in "".join(read(folder, image_size=SIDE).notes)


def test_a_picture_that_changes_meanwhile_is_found(folder, files):
    table = read(folder, **NONE)
    path = folder / "class1" / "001.jpg"
    row = table.column("path").index(str(path))
    path.write_bytes(files[2])
    with pytest.raises(DataError, match=r"001\.jpg, as it was when it was read; got: other pixels"):
        table.batch([0, row])
    path.write_bytes(b"broken")
    with pytest.raises(DataError, match="not a picture"):
        table.batch([row])
    path.unlink()
    with pytest.raises(DataError, match="the file is missing"):
        table.batch(np.arange(N))
    path.write_bytes(files[1])
    assert len(table.batch(np.arange(N))) == N


def test_a_shard_that_goes_meanwhile_is_found(files, tmp_path, shard):
    place = sources(files, tmp_path, shard)["shards"]
    table = read(place, **NONE)
    (place / "b.tar").unlink()
    table.batch([0])
    with pytest.raises(DataError, match=r"b\.tar from byte"):
        table.batch([N - 1])


def test_what_cannot_be_decoded_is_known_at_once(folder, tmp_path):
    (folder / "class0" / "zero.jpg").write_bytes(b"")
    (folder / "class1" / "half.jpg").write_bytes((folder / "class1" / "001.jpg").read_bytes()[:300])
    with pytest.raises(DataError, match=f"got 2 of {N + 2}"):
        read(folder, **NONE)
    encoded = read(folder, max_rejected=0.5, **NONE)
    kept = read(folder, max_rejected=0.5, image_size=SIDE, cache=tmp_path / "kept")
    assert encoded.rejected == kept.rejected
    assert len(encoded.rejected) == 2
    same(encoded, kept, np.arange(N))


HARMS = ["no digests", "other digests", "short files", "other ends", "no ends"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_entry_is_built_again(files, tmp_path, shard, own_cache, harm):
    source = sources(files, tmp_path, shard)["bytes.parquet"]
    how = {"image_size": SIDE * 4, "cache_limit": "300 kB"}
    before = read(source, **how)
    (entry,) = (own_cache / "pixels").iterdir()
    if harm == "no digests":
        (entry / "digests.npy").unlink()
    elif harm == "other digests":
        np.save(entry / "digests.npy", before.digests[::-1])
    elif harm == "short files":
        os.truncate(entry / "files.bin", 100)
    elif harm == "other ends":
        np.save(entry / "ends.npy", np.arange(N))
    else:
        (entry / "ends.npy").unlink()
    table = read(source, **how)
    assert isinstance(table.parts[0], EncodedImages)
    same(table, before, np.arange(N))


def test_ends_that_lie_are_no_pictures(files, tmp_path, shard, own_cache):
    source = sources(files, tmp_path, shard)["bytes.parquet"]
    how = {"image_size": SIDE * 4, "cache_limit": "300 kB"}
    read(source, **how)
    (entry,) = (own_cache / "pixels").iterdir()
    ends = np.load(entry / "ends.npy")
    ends[1:-1] += 1
    np.save(entry / "ends.npy", ends)
    (entry / "seal.json").unlink()
    cache.seal(entry)
    with pytest.raises(DataError, match="as it was when it was read"):
        read(source, **how).batch([3])


def test_bytes_that_do_not_fit_either_are_refused(files, tmp_path, shard, own_cache):
    source = sources(files, tmp_path, shard)["bytes.parquet"]
    with pytest.raises(DataError, match="Raise the limit"):
        read(source, **NONE)
    assert list((own_cache / "pixels").iterdir()) == []


def test_what_is_only_in_memory_is_kept_or_refused(rng):
    images = rng.integers(0, 256, (9, 20, 30, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r"arrays.*cache_limit.*give the pictures as files"):
        read((images, [0, 1, 0] * 3), **NONE)
    assert isinstance(read((images, [0, 1, 0] * 3), image_size=SIDE).parts[0], np.memmap)


def test_a_size_of_any_number(folder):
    for size in (1, 2, 3, 7, 130):
        assert read(folder, image_size=size).batch([0]).shape == (1, size, size, 3)


def test_a_framing_or_a_size(folder):
    with pytest.raises(InputError, match="image_size 16, as the framing has it; got 8"):
        read(folder, framing=Framing(16), image_size=8)
    assert read(folder).framing == Framing(64)
    assert ImageTable.from_arrays(np.zeros((1, 4, 4), np.uint8), [1]).framing is None


def test_tables_of_two_framings_are_not_joined(folder):
    tables = [read(folder, framing=Framing(SIDE, rule)) for rule in ("crop", "squash")]
    with pytest.raises(InputError, match="one framing"):
        ImageTable.concat(tables)


def test_odd_metadata_is_no_news_in_any_thread(tmp_path):
    image = Image.new("P", (20, 20))
    image.info["transparency"] = bytes(range(9))
    for name in "abcdefgh":
        image.save(tmp_path / f"{name}.png")
    before = list(warnings.filters)
    table = read(tmp_path, label=1, workers=4, **NONE)
    assert len(table.batch(np.arange(8))) == 8
    assert warnings.filters == before


def test_a_large_photograph_and_one_that_is_too_large(tmp_path):
    Image.new("RGB", (4000, 3000), (200, 100, 50)).save(tmp_path / "large.jpg")
    data = jpeg(np.zeros((16, 16, 3), np.uint8))
    place = data.index(b"\xff\xc0") + 5
    huge = data[:place] + (10_000).to_bytes(2, "big") * 2 + data[place + 4 :]
    (tmp_path / "huge.jpg").write_bytes(huge)
    Image.fromarray(np.zeros((1, 4000, 3), np.uint8)).save(tmp_path / "line.png")
    for framing in (
        Framing(SIDE),
        Framing(SIDE, resize=18, interpolation="bilinear"),
        Framing(SIDE, "squash"),
    ):
        table = read(tmp_path, label=1, framing=framing, cache_limit=0, max_rejected=0.5)
        assert [item.reason for item in table.rejected] == ["10000 × 10000 pixels, more than 80,000,000"]
        assert (np.abs(table.batch([0]).astype(int) - (200, 100, 50)) < 4).all()
        assert not table.batch([1]).any()
