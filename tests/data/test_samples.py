"""Datasets that give samples: what a sample may be, datasets that lie, and loaders that draw."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset, WeightedRandomSampler
from torch.utils.data import Dataset as TorchDataset

from equipoise.data import read
from equipoise.errors import DataError, InputError


def picture(number, size=9):
    return np.full((size, size, 3), number % 256, np.uint8)


class Data(TorchDataset):
    """Samples as a function makes them; its length is as it is told."""

    def __init__(self, make, length=6, there=6):
        self.make, self.length, self.there = make, length, there

    def __len__(self):
        return self.length

    def __getitem__(self, row):
        if row >= self.there:
            raise IndexError(f"no row {row}")
        return self.make(row)


def pair(row):
    return picture(row), row % 2


@pytest.mark.parametrize(
    ("make", "groups", "columns"),
    [
        (lambda i: (picture(i), i % 2), None, {}),
        (lambda i: [picture(i), np.int8(i % 2)], None, {}),
        (lambda i: (picture(i), torch.tensor([i % 2]), {"site": f"s{i}"}), None, {"site": "s0"}),
        (lambda i: (picture(i), i % 2 == 1, f"s{i}"), ["site"], {"site": "s0"}),
        (lambda i: (picture(i), i % 2, f"s{i}", 30 + i), ["site", "age"], {"site": "s0", "age": 30}),
        (lambda i: (picture(i), i % 2, {"site": f"s{i}", "age": 1}), ["site"], {"site": "s0"}),
        (lambda i: {"img": picture(i), "target": i % 2, "age": torch.tensor(i)}, None, {"age": 0}),
        (lambda i: {"scan": picture(i), "y": float(i % 2), "box": [1, 2]}, None, {}),
        (lambda i: {"x": picture(i), "label": i % 2, "site": None if i else "a"}, None, {"site": "a"}),
    ],
)
def test_what_a_sample_may_be(make, groups, columns):
    table = read(Data(make), groups=groups, image_size=9)
    assert table.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert table.batch([4])[0, 0, 0, 0] == 4
    assert set(table.attributes.column_names) == {*columns, "path"}
    assert {name: table.column(name)[0] for name in columns} == columns
    assert any("box" in note for note in table.notes) == (isinstance(make(0), dict) and "box" in make(0))


def test_pictures_without_labels_take_one():
    for make in (picture, lambda i: (picture(i),), lambda i: Image.fromarray(picture(i))):
        assert read(Data(make), label=1, image_size=9).labels.tolist() == [1] * 6
        with pytest.raises(DataError, match="Say label=1"):
            read(Data(make), image_size=9)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda i: (i % 2, picture(i)), {}, "got a tuple of int, ndarray as sample 0"),
        (lambda i: {"a": 1, "b": "x"}, {}, "got a dict with a, b as sample 0"),
        (lambda i: 7, {}, "got a int as sample 0"),
        (lambda i: (), {}, "got a tuple as sample 0"),
        (
            lambda i: (picture(i), np.zeros(4)),
            {},
            r"one value for 'label' in sample 0; got ndarray of shape \(4,\)",
        ),
        (
            lambda i: (picture(i), 1, "a"),
            {},
            r"the 1 values after image and label in sample 0; got groups=None",
        ),
        (lambda i: (picture(i), 1, "a"), {"groups": ["a", "b"]}, "Name them in their order"),
        (lambda i: (picture(i), 1, {"box": [1]}), {"groups": ["box"]}, "one value for 'box'"),
        (lambda i: (picture(i), 1, {"site": 1}), {"groups": ["sites"]}, r"'sites', .*Nearest: site"),
        (lambda i: (picture(i), 1), {"groups": "site"}, r'Write \["site"\]'),
        (lambda i: (picture(i) - 1.0, 1), {}, r"picture of sample 0; got -1…-1.*leave out the normalisation"),
        (lambda i: (picture(i), 1), {"format": "folder"}, "format is for files; got Data in memory"),
        (lambda i: (picture(i), 1), {"label_column": "race"}, "got 'race'"),
        (lambda i: (picture(i), 1), {"layout": "HWC"}, 'layout must be "NHWC"'),
    ],
)
def test_what_is_wrong_is_told_by_the_first_sample(make, options, words):
    seen = []
    data = Data(lambda i: seen.append(i) or make(i))
    with pytest.raises(InputError, match=words):
        read(data, **options)
    assert seen in ([0], [])


def test_a_length_that_is_too_long_is_told():
    with pytest.raises(
        DataError, match=r"its 9 samples, as its length says, .*IndexError at sample 6: no row 6"
    ):
        read(Data(pair, length=9), image_size=9)
    with pytest.raises(DataError, match="at sample 6"):
        read(DataLoader(Data(pair, length=10**12), batch_size=2), image_size=9)


def test_a_length_that_is_too_short_is_said():
    table = read(Data(pair, length=4), image_size=9)
    assert len(table) == 4
    assert any("says that its length is 4, and has a sample 4" in note for note in table.notes)
    assert not any("length" in note for note in read(Data(pair), image_size=9).notes)


def test_datasets_without_samples_or_length():
    class Endless(TorchDataset):
        def __getitem__(self, row):
            return pair(row)

    with pytest.raises(InputError, match=r"Expected a length .*Endless.*Define __len__"):
        read(Endless())
    for empty in (Data(pair, length=0), [], iter(())):
        with pytest.raises(DataError, match=r"Expected samples in the dataset .* got none"):
            read(empty)


def test_a_sample_that_fails_is_named():
    def make(row):
        if row == 3:
            raise KeyError("gone")
        return pair(row)

    with pytest.raises(DataError, match=r"Expected sample 3 of the dataset \(Data\); got KeyError: 'gone'"):
        read(Data(make), image_size=9)
    with pytest.raises(InputError, match=r"got a tuple of NoneType, int as sample 4"):
        read(Data(lambda i: (None if i == 4 else picture(i), 1)), image_size=9)
    with pytest.raises(DataError, match="none in row 2 of 'label'"):
        read(Data(lambda i: (picture(i), None if i == 2 else 1)), image_size=9)
    with pytest.raises(
        DataError, match=r"Expected sample 2 of the dataset .generator.; got ZeroDivisionError"
    ):
        read(((picture(i), 1 // (2 - i)) for i in range(9)), image_size=9)


def test_pictures_that_cannot_be_read_are_listed(tmp_path, saved):
    rng = np.random.default_rng(0)
    data = saved(Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data[:-500])

    def make(row):
        return (Image.open(tmp_path / "a.jpg") if row == 2 else picture(row)), row % 2

    table = read(Data(make), image_size=9, max_rejected=0.5)
    assert [item.path for item in table.rejected] == ["#2"]
    assert "truncated" in table.rejected[0].reason
    assert table.labels.tolist() == [0, 1, 1, 0, 1]


def test_random_transforms_are_said():
    rng = np.random.default_rng(0)
    table = read(Data(lambda i: (rng.integers(0, 255, (9, 9, 3), dtype=np.uint8), i % 2)), image_size=9)
    assert any("other pixels each time" in note for note in table.notes)
    assert table.notes[0].startswith("Data gives")


def test_names_of_classes_come_from_the_dataset():
    data = Data(pair)
    data.classes = ["cat", "dog"]
    assert read(data, image_size=9).classes == {"cat": 0, "dog": 1}
    assert read(Subset(Subset(data, range(5)), [0, 1, 3]), image_size=9).classes == {"cat": 0, "dog": 1}
    assert read(DataLoader(data), image_size=9).classes == {"cat": 0, "dog": 1}
    assert read(data + data, image_size=9).classes == {"cat": 0, "dog": 1}
    data.classes = ["face", "scene"]
    assert read(data, image_size=9).labels.tolist() == [1, 0, 1, 0, 1, 0]  # the name says it
    data.classes = ["cat"]
    with pytest.raises(DataError, match=r"class numbers 0…0 in 'label' of the dataset \(Data\).*got 1"):
        read(data, image_size=9)
    data.make, data.classes = (lambda row: (picture(row), row % 2 == 1)), ["cat", "dog"]
    assert read(data, image_size=9).classes == {"cat": 0, "dog": 1}
    data.make, data.classes = pair, 2
    assert read(data, image_size=9).classes == {"0": 0, "1": 1}
    data.classes = [f"<b>{i}</b>\x1b" for i in range(1000)]
    assert read(data, image_size=9).class_names == tuple(data.classes)


def test_loaders_that_draw_otherwise_are_refused():
    data = Data(pair)
    for options, words in (
        ({"sampler": WeightedRandomSampler([1.0] * 6, 6)}, "draws by WeightedRandomSampler.*Subset"),
        ({"sampler": torch.utils.data.SubsetRandomSampler([1, 2])}, "draws by SubsetRandomSampler"),
        ({"sampler": torch.utils.data.RandomSampler(data, replacement=True)}, "draws by RandomSampler"),
        ({"sampler": torch.utils.data.RandomSampler(data, num_samples=3)}, "draws by RandomSampler"),
        ({"batch_sampler": [[0, 1], [2, 3]]}, "draws by list"),
    ):
        with pytest.raises(InputError, match=words):
            read(DataLoader(data, **options))


def test_what_a_loader_does_besides_is_said():
    notes = read(DataLoader(Data(pair), batch_size=4, shuffle=True, drop_last=True), image_size=9).notes
    assert [note.partition(":")[0] for note in notes[:2]] == [
        "The DataLoader shuffles",
        "The DataLoader drops a last batch that is not full",
    ]
    notes = read(DataLoader(Data(pair), collate_fn=lambda batch: batch), image_size=9).notes
    assert notes[0].startswith("The DataLoader's collate_fn is not applied")
    assert len(read(DataLoader(Data(pair), batch_size=None), image_size=9).notes) == 1


def test_streams_are_read_to_their_end(scene):
    class Stream(IterableDataset):
        def __iter__(self):
            return (pair(row) for row in range(300))

    seen = []
    table = read(Stream(), image_size=9, progress=lambda done, total: seen.append((done, total)))
    assert len(table) == 300
    assert table.labels.tolist() == [0, 1] * 150
    assert seen[-1] == (300, 300)
    assert read(DataLoader(Stream(), num_workers=0), image_size=9).fingerprint == table.fingerprint


def test_memory_is_decoded_each_time_and_kept_once(own_cache):
    data = Data(pair)
    first = read(data, image_size=9)
    data.make = lambda row: (picture(row + 1), row % 2)  # nothing tells that from outside
    assert read(data, image_size=9).batch([0])[0, 0, 0, 0] == 1
    read(Data(pair), image_size=9)
    assert len(list((own_cache / "pixels").iterdir())) == 2
    assert not (own_cache / "index").exists()
    assert isinstance(first.parts[0], np.memmap)


@pytest.mark.parametrize("given", [None, 7, np.zeros((4, 8, 8)), torch.zeros(4, 3, 8, 8), object(), "frame"])
def test_what_is_no_source(given):
    if isinstance(given, str):
        given = pytest.importorskip("pandas").DataFrame({"path": ["a.png"]})
    with pytest.raises(InputError, match=r"Expected a path, a Hugging Face dataset.*got \w+"):
        read(given)
