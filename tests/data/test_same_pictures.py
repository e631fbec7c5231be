"""The contract of all sources: the same pictures give the same pixels, labels and columns, wherever they come from."""

import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from torch.utils.data import DataLoader, IterableDataset, Subset
from torch.utils.data import Dataset as TorchDataset

from equipoise.data import ImageTable, read

NAMES = ("ant", "bee", "cow")
LABELS = (2, 0, 1, 1, 2, 0, 0)
SITES = ("x", "y", "x", "y", "x", "y", "x")


@pytest.fixture(scope="module")
def pixels():
    """Smooth pictures, wider than high, as arrays."""
    rng = np.random.default_rng(5)
    small = [Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)) for _ in LABELS]
    return [np.asarray(image.resize((40, 30))) for image in small]


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


class Samples(TorchDataset):
    classes = NAMES

    def __init__(self, pixels, shape):
        self.pixels, self.shape = pixels, shape

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, row):
        return self.shape(self.pixels[row]), LABELS[row], {"site": SITES[row]}


class Stream(IterableDataset):
    def __init__(self, pixels):
        self.pixels = pixels

    def __iter__(self):
        for array, label, site in zip(self.pixels, LABELS, SITES, strict=True):
            yield {"image": array, "label": torch.tensor(label), "site": site}


def channels_first(array):
    return torch.from_numpy(array.copy()).permute(2, 0, 1)


def tables(pixels, tmp_path, shard):
    """Sources by name, without `datasets`."""
    rows = list(zip(pixels, LABELS, SITES, strict=True))
    listing = ["path,label,site"]
    for row, (array, label, site) in enumerate(rows):
        place = tmp_path / "folder" / NAMES[label] / f"{row}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(array))
        listing.append(f"folder/{NAMES[label]}/{row}.png,{NAMES[label]},{site}")
    (tmp_path / "list.csv").write_text("\n".join(listing))
    members = [
        member
        for row, (array, label, site) in enumerate(rows)
        for member in (
            (f"{row:03}.png", png(array)),
            (f"{row:03}.cls", NAMES[label].encode()),
            (f"{row:03}.json", json.dumps({"site": site}).encode()),
        )
    ]
    shard(tmp_path / "shards" / "part-000.tar", members[:12])
    shard(tmp_path / "shards" / "part-001.tar", members[12:])
    table = pa.table(
        {
            "image": pa.array([{"bytes": png(a), "path": None} for a in pixels]),
            "label": [NAMES[i] for i in LABELS],
            "site": SITES,
        }
    )
    parquet.write_table(table, tmp_path / "pictures.parquet")
    with pa.ipc.new_stream(str(tmp_path / "pictures.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=3)
    stack = np.stack(pixels)
    numbers = torch.tensor(LABELS)
    return {
        "manifest": tmp_path / "list.csv",
        "parquet": tmp_path / "pictures.parquet",
        "arrow file": tmp_path / "pictures.arrow",
        "shards": tmp_path / "shards",
        "pattern": f"{tmp_path}/shards/part-{{000..001}}.tar",
        "wildcard": f"{tmp_path}/shards/part-*.tar",
        "pillow": Samples(pixels, Image.fromarray),
        "channels last": Samples(pixels, lambda array: array),
        "tensor": Samples(pixels, channels_first),
        "float tensor": Samples(pixels, lambda array: channels_first(array).float() / 255),
        "double": Samples(pixels, lambda array: array / 255),
        "bytes": Samples(pixels, png),
        "loader": DataLoader(Samples(pixels, channels_first), batch_size=2),
        "shuffling loader": DataLoader(Samples(pixels, channels_first), batch_size=2, shuffle=True),
        "subset": Subset(Samples(pixels, channels_first), range(7)),
        "sum": Samples(pixels[:4], channels_first) + Subset(Samples(pixels, channels_first), [4, 5, 6]),
        "list": [
            (Image.fromarray(a), NAMES[i], {"site": s}) for a, i, s in zip(pixels, LABELS, SITES, strict=True)
        ],
        "generator": ((a, NAMES[i], s) for a, i, s in zip(pixels, LABELS, SITES, strict=True)),
        "stream": Stream(pixels),
        "stream loader": DataLoader(Stream(pixels), batch_size=2),
        "arrays": (stack, LABELS, SITES),
        "tensors": (torch.from_numpy(stack).permute(0, 3, 1, 2), numbers, SITES),
        "float arrays": (stack / np.float32(255), numbers[:, None], {"site": SITES}),
        "mapping": {"images": [Image.fromarray(a) for a in pixels], "labels": LABELS, "site": SITES},
    }


def test_every_source_gives_the_same(pixels, tmp_path, shard):
    sources = tables(pixels, tmp_path, shard)
    expected = ImageTable.from_arrays(
        np.stack(
            [
                np.asarray(Image.fromarray(a).resize((16, 16), Image.Resampling.LANCZOS, (5, 0, 35, 30)))
                for a in pixels
            ]
        ),
        LABELS,
        {"site": SITES},
    )
    for name, source in sources.items():
        table = read(source, groups=["site"], image_size=16)
        assert table.digests.tolist() == expected.digests.tolist(), name
        assert table.labels.tolist() == list(LABELS), name
        assert table.class_names in (NAMES, ("0", "1", "2")), name
        assert table.fingerprint == expected.fingerprint, name
        assert table.attributes.column_names == ["site", "path"], name
        assert table.rejected == (), name
    by_folder = read(tmp_path / "folder", image_size=16)
    assert sorted(by_folder.digests) == sorted(expected.digests)


def test_every_kind_of_hugging_face_dataset_gives_the_same(datasets, pixels, tmp_path):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(NAMES)),
            "site": datasets.Value("string"),
        }
    )
    columns = {"image": [Image.fromarray(a) for a in pixels], "label": LABELS, "site": SITES}
    dataset = datasets.Dataset.from_dict(columns, features=features)
    numbers = datasets.Dataset.from_dict(
        {**columns, "image": pixels},
        features=datasets.Features({**features, "image": datasets.Array3D((30, 40, 3), "uint8")}),
    )
    parts = datasets.DatasetDict({"train": dataset.select(range(4)), "test": dataset.select([4, 5, 6])})
    dataset.save_to_disk(tmp_path / "saved", num_shards=2)
    parts.save_to_disk(tmp_path / "parts")
    numbers.save_to_disk(tmp_path / "numbers")
    dataset.to_parquet(tmp_path / "saved.parquet")
    order = dataset.select([6, 5, 4, 3, 2, 1, 0])
    sources = {
        "dataset": dataset,
        "with a format": dataset.with_format("torch"),
        "indices": order.select([6, 5, 4, 3, 2, 1, 0]),
        "numbers": numbers,
        "splits": parts,
        "stream": dataset.to_iterable_dataset(),
        "saved": tmp_path / "saved",
        "saved splits": tmp_path / "parts",
        "saved numbers": tmp_path / "numbers",
        "parquet": tmp_path / "saved.parquet",
    }
    expected = read((np.stack(pixels), LABELS, SITES), groups=["site"], image_size=16)
    for name, source in sources.items():
        table = read(source, groups=["site"], image_size=16)
        assert table.fingerprint == expected.fingerprint, name
        assert table.class_names == NAMES, name
    assert read(order, groups=["site"], image_size=16).digests.tolist() == expected.digests[::-1].tolist()
    assert read(parts, image_size=16).column("split") == ["train"] * 4 + ["test"] * 3
    assert read(tmp_path / "parts", image_size=16).column("split") == ["train"] * 4 + ["test"] * 3


def test_no_library_is_imported_for_it(pixels, tmp_path):
    code = (
        "import sys, numpy as np; from equipoise.data import read;"
        "t = read((np.zeros((3, 9, 9, 3), np.uint8), [0, 1, 1]), cache=sys.argv[1]);"
        "t = read([(np.zeros((9, 9)), 1)], cache=sys.argv[1]);"
        "assert not {'torch', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_real_faces_are_the_same_from_parquet_and_from_memory(datasets, shared_data):
    rows = parquet.ParquetFile(shared_data / "fairface64" / "test.parquet").read_row_group(0).slice(0, 60)
    dataset = datasets.Dataset(datasets.table.InMemoryTable(rows.replace_schema_metadata(None)))
    pictures = [Image.open(io.BytesIO(row["bytes"])) for row in rows["image"].to_pylist()]
    columns = {"age": rows["age"].to_pylist(), "race": rows["race"].to_pylist()}
    by_age = {"label_column": "age", "groups": ["race"], "image_size": 32}
    tables = [read(source, **by_age) for source in (dataset, (pictures, rows["label"].to_pylist(), columns))]
    samples = [(p, age, {"race": race}) for p, age, race in zip(pictures, *columns.values(), strict=True)]
    tables.append(read(samples, groups=["race"], image_size=32))
    for table in tables:
        assert table.digests.tolist() == tables[0].digests.tolist()
        assert table.labels.tolist() == tables[0].labels.tolist()
        assert table.class_names == tuple(sorted(set(columns["age"])))
        assert table.column("race") == columns["race"]
