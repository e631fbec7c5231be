"""HDF5 files are read for what they hold themselves."""

import os
import sys
import zlib

import numpy as np
import pytest

from equipoise.data import read
from equipoise.errors import DataError

h5py = pytest.importorskip("h5py")

N = 30


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def secret(tmp_path, images):
    """Somebody else's pictures, elsewhere on the machine."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "secret.h5"
    with h5py.File(path, "w") as file:
        file["images"] = images
        file["labels"] = np.ones(N, np.int64)
    (tmp_path / "elsewhere" / "secret.bin").write_bytes(bytes(N * 8 * 8 * 3))
    return path


@pytest.fixture
def made(tmp_path, images):
    """A file that holds pictures and labels, less those left out, and what `more` adds."""

    def make(more=lambda file: None, *, without=(), **columns):
        path = tmp_path / "made.h5"
        with h5py.File(path, "w") as file:
            for name, values in ({"images": images, "labels": np.arange(N) % 2} | columns).items():
                if name not in without:
                    file[name] = values
            more(file)
        return path

    return make


def opened(path):
    return read(path, channel_order="rgb", image_size=8)


@pytest.mark.parametrize("name", ["images", "labels", "age"])
def test_links_to_other_files_are_refused(made, secret, name):
    def link(file):
        file[name] = h5py.ExternalLink(str(secret), "/images")

    with pytest.raises(DataError, match=rf"'{name}', a link to .*secret\.h5"):
        opened(made(link, without=[name]))


@pytest.mark.parametrize("name", ["images", "labels"])
def test_links_by_way_of_a_group_are_refused(made, secret, name):
    def link(file):
        file.create_group("inner")["far"] = h5py.ExternalLink(str(secret), "/")
        file[name] = h5py.SoftLink(f"/inner/far/{name}")

    with pytest.raises(DataError, match=r"a link to .*secret\.h5"):
        opened(made(link, without=[name]))


def test_links_that_go_in_circles_or_nowhere_are_refused(made):
    def circle(file):
        file["images"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/images")

    def nowhere(file):
        file["images"] = h5py.SoftLink("/missing")

    for link in (circle, nowhere):
        with pytest.raises(DataError, match=r"made\.h5"):
            opened(made(link, without=["images"]))


def test_links_within_the_file_are_followed(made, images):
    def link(file):
        file.create_group("inner")["pictures"] = images
        file["images"] = h5py.SoftLink("inner/pictures")

    np.testing.assert_array_equal(opened(made(link, without=["images"])).batch(np.arange(N)), images)


@pytest.mark.parametrize("name", ["images", "age"])
def test_storage_in_other_files_is_refused(made, secret, name):
    shape, kind = ((N, 8, 8, 3), "u1") if name == "images" else ((N,), "u1")
    raw = secret.with_suffix(".bin")

    def store(file):
        file.create_dataset(name, shape, kind, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])

    with pytest.raises(DataError, match=rf"'{name}', which is stored in .*secret\.bin"):
        opened(made(store, without=[name]))


@pytest.mark.parametrize("name", ["images", "labels"])
def test_virtual_data_sets_are_refused(made, secret, name):
    shape, kind = ((N, 8, 8, 3), "u1") if name == "images" else ((N,), "i8")

    def store(file):
        layout = h5py.VirtualLayout(shape, kind)
        layout[:] = h5py.VirtualSource(str(secret), name, shape)
        file.create_virtual_dataset(name, layout)

    with pytest.raises(DataError, match=rf"'{name}', which is put together from other files"):
        opened(made(store, without=[name]))


@pytest.mark.parametrize("number", [305, 32001, 32015])
def test_filters_that_are_not_hdf5s_own_are_refused(made, images, number):
    def store(file):
        made_of = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made_of.set_chunk((N, 8, 8, 3))
        made_of.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(
            file.id, b"images", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((N, 8, 8, 3)), made_of
        )

    with pytest.raises(DataError, match=rf"needs the filter {number}"):
        opened(made(store, without=["images"]))


@pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"compression": "lzf", "shuffle": True}, {"fletcher32": True}]
)
def test_its_own_filters_are_read(made, images, options):
    def store(file):
        file.create_dataset("images", data=images, **options)

    np.testing.assert_array_equal(opened(made(store, without=["images"])).batch(np.arange(N)), images)


@pytest.mark.parametrize("shape", [(10**12, 8, 8, 3), (10**7, 64, 64, 3), (40, 8_000, 8_000, 3)])
def test_a_file_that_claims_more_than_it_stores_is_refused(made, shape):
    def store(file):
        file.create_dataset("images", shape, "u1", chunks=(1, 8, 8, 3), compression="gzip")

    with pytest.raises(DataError, match=r"claims [\d,]+ bytes and stores 0"):
        opened(made(store, without=["images"]))


def test_huge_parts_are_refused(made):
    def chunk(file):
        file.create_dataset(
            "images", (30, 64, 64, 3), "u1", chunks=(30_000, 64, 64, 3), maxshape=(None, 64, 64, 3)
        )

    def picture(file):
        file.create_dataset("images", (1, 10_000, 10_000, 1), "u1", fillvalue=3)

    for store, words in ((chunk, "in chunks"), (picture, "claims")):
        with pytest.raises(DataError, match=words):
            opened(made(store, without=["images"]))


@pytest.mark.parametrize("kind", [">i8", "<i2", ">u4", ">f4", "<f8", ">f2", "i1", "?", np.longdouble])
def test_numbers_of_any_order_and_width(made, kind):
    values = (np.arange(N) % 2).astype(kind)
    table = opened(made(labels=values[:, None], age=values))
    assert table.labels.tolist() == (np.arange(N) % 2).tolist()
    assert [float(value) for value in table.column("age")] == (np.arange(N) % 2).tolist()


def test_texts(made):
    words = ["é", "b", ""] * 10
    table = opened(made(a=np.array([word.encode() for word in words]), b=words))
    assert table.column("a") == table.column("b") == words


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (7,)},
        {"chunks": (N,), "compression": "gzip", "shuffle": True},
    ],
)
def test_texts_in_chunks(made, options):
    words = ["é" * (row % 5) for row in range(N)]

    def store(file):
        file.create_dataset("word", data=words, dtype=h5py.string_dtype(), **options)

    assert opened(made(store)).column("word") == words


@pytest.mark.parametrize("harm", ["length", "heap size", "far heap"])
def test_texts_that_claim_too_much_are_refused_at_once(made, harm):
    path = made(lambda file: file.create_dataset("word", data=["abcdefgh"] * N, dtype=h5py.string_dtype()))
    with h5py.File(path) as file:
        place = file["word"].id.get_offset()
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    begin, content = {
        "length": (place, b"\xff\xff\xff\x7f"),
        "heap size": (heap + 8, b"\xff\xff\xff\x7f"),
        "far heap": (place + 4, b"\xff\xff\xff\x7f"),
    }[harm]
    data[begin : begin + 4] = content
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"made\.h5 to the end; got: a (text of 2,147,483,647|heap that)"):
        opened(path)


def test_a_chunk_that_unpacks_to_more_than_it_should_is_refused(made, monkeypatch):
    from equipoise.data import hdf5

    pressed = zlib.compress(bytes(4 << 20), 9)

    def store(file):
        item = file.create_dataset("images", (N, 8, 8, 3), "u1", chunks=(N, 8, 8, 3), compression="gzip")
        item.id.write_direct_chunk((0, 0, 0, 0), pressed)

    monkeypatch.setattr(hdf5, "MOST_BYTES", 1 << 20)
    with pytest.raises(DataError, match="hold more than they should"):
        opened(made(store, without=["images"]))


def test_what_is_not_one_value_a_picture_is_said(made):
    pair = np.zeros(N, [("x", "i4"), ("y", "f4")])
    table = opened(
        made(
            lambda file: file.create_group("more"), pair=pair, box=np.zeros((N, 4)), wave=np.zeros(N, complex)
        )
    )
    assert "Left out of made.h5, not one number or text a picture: box, more, pair, wave." in table.notes


@pytest.mark.parametrize("value", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80"])
@pytest.mark.parametrize("fixed", [True, False])
def test_text_that_is_not_utf8_is_refused(made, value, fixed):
    kind = "S4" if fixed else h5py.string_dtype()

    def store(file):
        file.create_dataset("skin", data=np.array([value] * N, dtype="S4" if fixed else object), dtype=kind)

    with pytest.raises(DataError, match=r"text in 'skin' that is not UTF-8"):
        opened(made(store))


def test_a_name_that_is_not_utf8_is_refused(made):
    def store(file):
        h5py.h5d.create(file.id, b"\xff\xfe", h5py.h5t.NATIVE_INT8, h5py.h5s.create_simple((N,)))

    with pytest.raises(DataError, match=r"which is not UTF-8"):
        opened(made(store))


def test_labels_twice_are_refused(made):
    with pytest.raises(DataError, match=r"labels or label .* got both"):
        opened(made(label=np.zeros(N, np.int64)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_refused(made, share):
    path = made()
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(DataError, match=r"HDF5 file at .*made\.h5"):
        opened(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and devices")
def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    (tmp_path / "b.h5").symlink_to("/dev/zero")
    (tmp_path / "c.csv").symlink_to(tmp_path / "a.h5")
    for name, kind in (("a.h5", "pipe"), ("b.h5", "device"), ("c.csv", "pipe")):
        for format in (None, "lab-hdf5"):
            with pytest.raises(DataError, match=f"got a {kind}, not a file"):
                read(tmp_path / name, format=format, label=1)
