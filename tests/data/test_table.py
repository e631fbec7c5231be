"""ImageTable: what goes in, what comes out, and that views cost nothing."""

import dataclasses
import pickle
import re
import subprocess
import sys
import types
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from equipoise import data
from equipoise.data.blocks import digest_images
from equipoise.data.table import ImageTable, Rejected
from equipoise.errors import InputError


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def table(images):
    return ImageTable.from_arrays(images, np.arange(12) % 2, {"race": list("abcabcabcabc")})


def same(one, two):
    return (
        np.array_equal(one.batch(np.arange(len(one))), two.batch(np.arange(len(two))))
        and np.array_equal(one.labels, two.labels)
        and one.fingerprint == two.fingerprint
    )


def test_layouts_dtypes_and_torch_agree(images):
    labels = np.arange(12) % 2
    reference = ImageTable.from_arrays(images, labels)
    floats = images / 255
    for given in (
        images.transpose(0, 3, 1, 2),
        floats,
        floats.astype(np.float32),
        torch.from_numpy(images),
        torch.from_numpy(floats).permute(0, 3, 1, 2).requires_grad_(),
    ):
        assert same(ImageTable.from_arrays(given, labels), reference)
    for ids in (
        labels.tolist(),
        labels[:, None],
        labels.astype(float),
        labels == 1,
        torch.from_numpy(labels),
    ):
        assert same(ImageTable.from_arrays(images, ids), reference)
    assert reference.image_size == 8
    assert reference.channels == 3
    assert reference.positives.tolist() == [1, 3, 5, 7, 9, 11]
    assert reference.negatives.tolist() == [0, 2, 4, 6, 8, 10]


def test_bfloat16_and_grey(rng):
    grey = rng.random((4, 8, 8), dtype=np.float32)
    table = ImageTable.from_arrays(torch.from_numpy(grey), [0, 1, 0, 1])
    assert table.channels == 1
    np.testing.assert_array_equal(table.batch([0, 1, 2, 3])[..., 0], np.rint(grey * 255))
    half = ImageTable.from_arrays(torch.from_numpy(grey).bfloat16(), [0, 1, 0, 1])
    assert np.abs(half.batch([0]).astype(int) - table.batch([0])).max() <= 1


def test_layout_is_asked_for_when_the_shape_does_not_tell(rng):
    images = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r'layout="NHWC"'):
        ImageTable.from_arrays(images, [0, 1])
    last = ImageTable.from_arrays(images, [0, 1], layout="NHWC")
    first = ImageTable.from_arrays(images, [0, 1], layout="NCHW")
    np.testing.assert_array_equal(last.batch([1]), first.batch([1]).transpose(0, 3, 1, 2))
    with pytest.raises(InputError, match="layout must be"):
        ImageTable.from_arrays(images, [0, 1], layout="HWC")


@pytest.mark.parametrize(
    ("images", "labels", "attributes", "words"),
    [
        (np.zeros((2, 8, 8, 4), np.uint8), [0, 1], None, "alpha"),
        (np.zeros((2, 8, 9, 3), np.uint8), [0, 1], None, "square"),
        (np.zeros((8, 8), np.uint8), [0, 1], None, "Stack them"),
        (np.zeros((0, 8, 8, 3), np.uint8), [], None, "n ≥ 1"),
        (np.zeros((2, 8, 8, 3), np.int64), [0, 1], None, "int64"),
        (np.full((2, 8, 8, 3), 1.5), [0, 1], None, "Divide by 255"),
        (np.full((2, 8, 8, 3), -0.5), [0, 1], None, "undo the normalisation"),
        (
            np.stack([np.zeros((8, 8, 3)), np.full((8, 8, 3), np.nan)]),
            [0, 1],
            None,
            "NaN or infinity in image 1",
        ),
        (np.zeros((2, 8, 8, 3)), [0, 1, 0], None, r"shape \(2,\)"),
        (np.zeros((2, 8, 8, 3)), [0, np.nan], None, "nan at row 1"),
        (np.zeros((2, 8, 8, 3)), [0.5, 1], None, "0.5 at row 0"),
        (np.zeros((2, 8, 8, 3)), [1, -1], None, "-1 at row 1"),
        (np.zeros((2, 8, 8, 3)), ["a", "b"], None, "class names"),
        (np.zeros((2, 8, 8, 3)), [0, 1], {"race": ["a"]}, "'race': 1"),
        (np.zeros((2, 8, 8, 3)), [0, 1], {"race": ["a", 3]}, "mixture"),
        (np.zeros((2, 8, 8, 3)), [0, 1], pa.table({"race": ["a"]}), "2 rows"),
    ],
)
def test_wrong_arrays_are_refused(images, labels, attributes, words):
    with pytest.raises(InputError, match=words):
        ImageTable.from_arrays(images, labels, attributes)


def test_pieces_that_do_not_fit_are_refused(table):
    with pytest.raises(InputError, match="labels"):
        ImageTable(table.parts, table.rows, table.labels[:3], table.attributes, table.digests)
    with pytest.raises(InputError, match=r"0…11; got 1…12"):
        ImageTable(table.parts, np.arange(1, 13), table.labels, table.attributes, table.digests)
    with pytest.raises(InputError, match="float32"):
        ImageTable(
            (table.parts[0].astype(np.float32),), table.rows, table.labels, table.attributes, table.digests
        )
    with pytest.raises(InputError, match="at least one block"):
        ImageTable((), table.rows, table.labels, table.attributes, table.digests)


def test_batch_keeps_order_and_copies(table, images):
    positions = np.array([5, 0, 5, 11])
    got = table.batch(positions)
    np.testing.assert_array_equal(got, images[positions])
    got[:] = 0
    np.testing.assert_array_equal(table.batch(positions), images[positions])
    assert table.batch([]).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("positions", [[12], [-1], [0.5], [[0, 1]]])
def test_positions_outside_are_refused(table, positions):
    with pytest.raises(InputError, match="Positions"):
        table.batch(positions)


def test_take_is_a_view_and_composes(table, images):
    view = table.take([8, 2, 4])
    assert view.parts[0] is table.parts[0]
    twice = view.take(np.array([False, True, True]))
    np.testing.assert_array_equal(twice.batch([0, 1]), images[[2, 4]])
    assert twice.column("race") == ["c", "b"]
    assert twice.digests.tolist() == table.digests[[2, 4]].tolist()
    assert len(table.take([])) == 0
    no_columns = ImageTable.from_arrays(images, np.zeros(12)).take([1, 2])
    assert len(no_columns) == 2


def test_concat_joins_without_copying(table, images, rng):
    other = ImageTable.from_arrays(
        rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8), [1, 1, 2], {"age": [1, 2, 3]}
    )
    both = ImageTable.concat([table.take([3, 1]), other, table.take([0])])
    assert len(both.parts) == 2  # the first table's block is there once
    assert all(any(part is known for known in (table.parts[0], other.parts[0])) for part in both.parts)
    expected = np.concatenate([images[[3, 1]], other.parts[0], images[[0]]])
    np.testing.assert_array_equal(both.batch(np.arange(6)), expected)
    np.testing.assert_array_equal(both.batch([5, 2, 0]), expected[[5, 2, 0]])
    assert both.labels.tolist() == [1, 1, 1, 1, 2, 0]
    assert both.column("race") == ["a", "b", None, None, None, "a"]
    assert both.column("age") == [None, None, 1, 2, 3, None]
    deep = ImageTable.concat([both.take([2, 5]), both])
    np.testing.assert_array_equal(deep.batch([0, 1, 2]), expected[[2, 5, 0]])


def test_concat_keeps_rows_of_tables_without_attributes(images):
    bare = ImageTable.from_arrays(images, np.zeros(12))
    assert len(ImageTable.concat([bare, bare])) == 24
    assert ImageTable.concat([bare, bare]).attributes.num_columns == 0
    named = ImageTable.from_arrays(images, np.ones(12), {"a": range(12)})
    assert ImageTable.concat([bare, named]).column("a") == [None] * 12 + list(range(12))


def test_concat_turns_clashing_types_into_text(images):
    numbers = ImageTable.from_arrays(images[:2], [0, 1], {"x": [1, 2]})
    words = ImageTable.from_arrays(images[:1], [0], pa.table({"x": pa.array(["a"]).dictionary_encode()}))
    nulls = ImageTable.from_arrays(images[:1], [0], pa.table({"x": pa.nulls(1)}))
    assert ImageTable.concat([numbers, words, nulls]).column("x") == ["1", "2", "a", None]
    small = ImageTable.from_arrays(images[:1], [0], pa.table({"x": pa.array([7], pa.int8())}))
    assert ImageTable.concat([numbers, small]).column("x") == [1, 2, 7]


def test_concat_refuses_other_sizes_and_nothing(table, rng):
    other = ImageTable.from_arrays(rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8), [1, 1, 0])
    with pytest.raises(InputError, match="image_size"):
        ImageTable.concat([table, other])
    with pytest.raises(InputError, match="at least one"):
        ImageTable.concat([])


def test_concat_and_take_keep_what_was_rejected(table):
    bad = ImageTable(*table_fields(table), rejected=(Rejected("x.jpg", "empty"),), notes=("RGB",))
    joined = ImageTable.concat([bad, bad.take([0]), table])
    assert joined.rejected == (Rejected("x.jpg", "empty"),)
    assert joined.notes == ("RGB",)


def table_fields(table):
    return table.parts, table.rows, table.labels, table.attributes, table.digests


def test_groups(table):
    assert table.groups("race").names == ("a", "b", "c")
    crossed = ImageTable.concat([table, table]).take([0, 1, 13]).groups("race", "race")
    assert crossed.names == ("a × a", "b × b")
    assert crossed.attribute == "race × race"
    with pytest.raises(InputError, match=r"\(race\).*'age'"):
        table.groups("age")
    with pytest.raises(InputError, match="at least one attribute"):
        table.groups()


def test_nan_attribute_is_missing(images):
    table = ImageTable.from_arrays(images[:3], [0, 1, 1], {"age": np.array([1.0, np.nan, 1.0])})
    assert table.groups("age").names == ("(missing)", "1")


def test_fingerprint_is_of_content(table, images):
    labels, races = np.arange(12) % 2, list("abcabcabcabc")
    for attributes in (
        pa.table({"race": pa.chunked_array([races[:5], races[5:]])}),
        pa.table({"race": pa.array(races).dictionary_encode()}),
        {"path": [f"{i}.png" for i in range(12)], "race": races},
    ):
        assert ImageTable.from_arrays(images, labels, attributes).fingerprint == table.fingerprint
    halves = ImageTable.concat([table.take(np.arange(5)), table.take(np.arange(5, 12))])
    assert halves.fingerprint == table.fingerprint
    assert table.take(np.arange(12)).fingerprint == table.fingerprint


def test_fingerprint_sees_every_change(table, images):
    changed = images.copy()
    changed[3, 0, 0, 0] ^= 1
    labels, races = np.arange(12) % 2, list("abcabcabcabc")
    prints = {
        table.fingerprint,
        ImageTable.from_arrays(changed, labels, {"race": races}).fingerprint,
        ImageTable.from_arrays(images, 1 - labels, {"race": races}).fingerprint,
        ImageTable.from_arrays(images, labels, {"race": races[::-1]}).fingerprint,
        ImageTable.from_arrays(images, labels, {"race": [None, *races[1:]]}).fingerprint,
        ImageTable.from_arrays(images, labels, {"race": ["", *races[1:]]}).fingerprint,
        ImageTable.from_arrays(images, labels, {"age": races}).fingerprint,
        ImageTable.from_arrays(images, labels).fingerprint,
        table.take(np.arange(12)[::-1].copy()).fingerprint,
        table.take(np.arange(11)).fingerprint,
    }
    assert len(prints) == 10


def test_fingerprint_of_slices_and_odd_columns(images):
    long = pa.table({"x": ["zzz", "a", None, "bc", "d"], "y": [[1], [2], [], [4], None]})
    cut = ImageTable.from_arrays(images[:3], [0, 1, 1], long.slice(1, 3))
    same_values = ImageTable.from_arrays(images[:3], [0, 1, 1], {"y": [[2], [], [4]], "x": ["a", None, "bc"]})
    assert cut.fingerprint == same_values.fingerprint
    moved = ImageTable.from_arrays(images[:3], [0, 1, 1], {"y": [[2], [], [4]], "x": ["ab", None, "c"]})
    assert moved.fingerprint != cut.fingerprint
    assert cut.take([]).fingerprint == same_values.take([]).fingerprint


def test_digests_know_the_shape(rng):
    one = rng.integers(0, 256, (1, 2, 6, 1), dtype=np.uint8)
    assert digest_images(one) != digest_images(one.reshape(1, 6, 2, 1))
    assert digest_images(one) == digest_images(one[:, ::-1][:, ::-1])


def test_repr_is_short(table):
    assert repr(table) == "ImageTable(12 images 8×8×3, 6 positives, 6 negatives, attributes: race)"


@pytest.mark.parametrize(
    ("labels", "classes", "told"),
    [
        ([1] * 3, {}, "3 positives, 0 negatives"),
        ([0, 1, 2] * 2 + [1], {}, "2 of class 0, 3 of class 1, 2 of class 2"),
        ([2, 2, 5], {"cat": 2, "dog": 5}, "2 of class cat, 1 of class dog"),
        ([*range(40), 3], {}, "40 classes of 1 to 2 images"),
    ],
)
def test_counts_of_a_repr_add_up(labels, classes, told):
    table = ImageTable.from_arrays(np.zeros((len(labels), 8, 8, 1), np.uint8), labels)
    table = dataclasses.replace(table, classes=classes)
    assert f"({len(labels)} images 8×8×1, {told}, attributes: none)" in repr(table)
    counts = [int(n) for n in re.findall(r"(\d+) (?:of class|positives|negatives)", repr(table))]
    assert sum(counts) in (0, len(labels))


def test_memory_mapped_table_survives_pickling_small(tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    table = ImageTable.from_arrays(np.load(tmp_path / "images.npy", mmap_mode="r"), np.zeros(12))
    sent = pickle.dumps(table)
    assert len(sent) < images.nbytes
    assert same(pickle.loads(sent), table)
    assert same(pickle.loads(pickle.dumps(table.take([3, 1]))), table.take([3, 1]))


def test_private_changes_to_a_map_are_not_dropped(tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    pixels = np.load(tmp_path / "images.npy", mmap_mode="c")
    table = ImageTable.from_arrays(pixels, np.zeros(12))
    pixels[0] = 7
    table.batch([1])
    assert (table.batch([0]) == 7).all()


MEASURE = """
import numpy as np, sys
from equipoise.data.table import ImageTable
import pyarrow as pa
n = int(sys.argv[2])
part = np.memmap(sys.argv[1], np.uint8, "r", shape=(n, 64, 64, 3))
rows = np.arange(n, dtype=np.int64)
table = ImageTable((part,), rows, rows % 2, pa.table({}), rows.astype(np.uint64))
rng = np.random.default_rng(0)
for _ in range(40):
    table.batch(rng.integers(0, n, 512))
for begin in range(0, n, 512):
    table.batch(np.arange(begin, min(begin + 512, n)))
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_reading_a_map_does_not_fill_the_memory(tmp_path):
    peaks = []
    for n in (1_000, 20_000):  # 12 MB and 246 MB
        with open(tmp_path / "pixels", "wb") as file:
            file.truncate(n * 64 * 64 * 3)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(tmp_path / "pixels"), str(n)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 80, peaks  # MB


def test_the_room_loads_no_torch():
    code = (
        "import sys, equipoise.data; print([m for m in ('torch', 'h5py', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_room_has_its_names():
    for name in data.__all__:
        assert not isinstance(getattr(data, name), types.ModuleType), (
            name
        )  # planted, read, split: the functions


@pytest.mark.parametrize(
    ("labels", "classes", "names"),
    [
        ([0, 1], {}, ("negative", "positive")),
        ([1, 1], {}, ("negative", "positive")),
        ([0, 0], {"cat": 0, "dog": 1}, ("cat", "dog")),
        ([0, 1], {"dog": 1}, ("negative", "dog")),
        ([0, 3], {}, ("0", "1", "2", "3")),
        ([0, 1], {"ant": 0, "bee": 1, "cow": 2}, ("ant", "bee", "cow")),
        ([1, 0], {"face": 1, "faces": 1, "background": 0}, ("background", "face, faces")),
    ],
)
def test_every_class_has_a_name_by_its_id(labels, classes, names):
    table = ImageTable.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), labels)
    table = replace(table, classes=classes)
    assert table.class_names == names
    assert table.two_classes == (len(names) == 2)
    assert table.take([0]).class_names == names or not classes
