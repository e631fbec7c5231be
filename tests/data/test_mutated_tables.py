"""Damaged tables: whatever happens to a CSV, a JSON lines or a Parquet file, it is read or its cause is said."""

import json
import random
import resource
import time

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from equipoise.data import read
from equipoise.errors import EquipoiseError

EACH = 300
ROWS = 12
SECONDS = 20
GROWTH = 1 << 20  # kB

NASTY = [
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b'"',
    b"\r",
    b"\n",
    b",",
    b";",
    b"\t",
    b"\\",
    b"'",
    b"\xed\xa0\x80",
]
NASTY += [
    b"NA",
    b"1e999",
    b"-1",
    b"nan",
    b"../",
    b"/dev/zero",
    b"9" * 400,
    b"{" * 300,
    b"[",
    b"]",
    b"}",
    b":",
]
NASTY += [
    b"a" * 70_000,
    "ü".encode("latin-1"),
    "№".encode(),
    b"\x1b[2J",
    b"=1+1",
    b"true",
    b"null",
    b"\xff\xfe",
]


def rows():
    return [
        {"path": f"{i % 3}.png", "label": i % 2, "site": f"0{i % 4}", "note": 'x, "y"', "score": i / 7}
        for i in range(ROWS)
    ]


def as_csv(mark=","):
    quoted = [[f'"{str(v).replace(chr(34), chr(34) * 2)}"' for v in row.values()] for row in rows()]
    return "\n".join(mark.join(line) for line in [list(rows()[0]), *quoted]).encode()


def as_parquet(tmp_path, table, **options):
    path = tmp_path / "seed.parquet"
    parquet.write_table(table, path, **options)
    return path.read_bytes()


def seeds(tmp_path, picture):
    """Sound tables, by ending and name."""
    plain = pa.Table.from_pylist(rows())
    schema = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["face", "other"]}}}}
    named = plain.replace_schema_metadata({b"huggingface": json.dumps(schema).encode()})
    pictures = plain.append_column("image", pa.array([{"bytes": picture, "path": "a"}] * ROWS))
    categories = plain.set_column(2, "site", plain.column("site").dictionary_encode())
    return {
        ".csv": [as_csv(), as_csv(";"), as_csv().decode().encode("utf-16")],
        ".tsv": [as_csv("\t")],
        ".jsonl": ["\n".join(map(json.dumps, rows())).encode()],
        ".parquet": [
            as_parquet(tmp_path, named),
            as_parquet(tmp_path, plain, compression="none", use_dictionary=False, row_group_size=5),
            as_parquet(tmp_path, pictures.drop_columns(["path"])),
            as_parquet(tmp_path, categories, compression="zstd", data_page_version="2.0"),
        ],
    }


def mutated(data, chance):
    """One to four changes of bytes or of structure."""
    found = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(len(found) + 1)
        # the end of a Parquet file is its footer: half of the changes go there
        place = place if chance.random() < 0.5 else max(0, len(found) - chance.randrange(1, 600))
        end = min(len(found), place + chance.choice([1, 1, 4, 40]))
        match chance.randrange(7):
            case 0:
                found[place:end] = chance.randbytes(end - place)
            case 1:
                del found[place:end]
            case 2:
                found[place:place] = chance.choice(NASTY)
            case 3:
                found[place:end] = chance.choice(NASTY)
            case 4:
                found[place:place] = found[max(0, place - 50) : place]
            case 5 if chance.random() < 0.3:
                del found[place:]
            case _ if found:
                at = min(place, len(found) - 1)
                found[at] ^= 1 << chance.randrange(8)
    return bytes(found)


def read_or_none(path, cache, **options):
    """The table, or None where the cause was said; anything else is an error of the test."""
    try:
        return read(path, image_size=8, max_rejected=1, cache=cache, workers=1, **options)
    except EquipoiseError:
        return None


@pytest.fixture
def folder(tmp_path):
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "number"),
    [(".csv", 0), (".csv", 1), (".csv", 2), (".tsv", 0), (".jsonl", 0), *((".parquet", i) for i in range(4))],
)
def test_mutated_tables_are_read_or_refused(folder, ending, number):
    picture = (folder / "0.png").read_bytes()
    sound = seeds(folder, picture)[ending][number]
    chance = random.Random(f"{ending}{number}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    came = {"read": 0, "refused": 0}
    for case in range(EACH):
        path = folder / f"mutated{ending}"
        path.write_bytes(mutated(sound, chance))
        label = chance.choice([None, None, 1])
        began = time.monotonic()
        table = read_or_none(path, folder / "cache", label=label)
        came["refused" if table is None else "read"] += 1
        if table is not None:
            assert len(table) == len(table.labels)
            for name in table.attributes.column_names:
                if not pa.types.is_nested(table.attributes.schema.field(name).type):
                    assert len(table.groups(name)) == len(table)
            assert np.isin(table.labels, range(ROWS)).all() or table.classes
        assert time.monotonic() - began < SECONDS, f"case {case}"
    assert min(came.values()) > 0, came
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_mutated_metadata_of_a_folder(folder, name):
    listed = [{"file_name": f"{i}.png", "label": i % 2, "site": f"0{i}"} for i in range(3)]
    sound = {
        "metadata.csv": b"file_name,label,site\n0.png,0,00\n1.png,1,01\n2.png,0,02\n",
        "metadata.jsonl": "\n".join(map(json.dumps, listed)).encode(),
        "metadata.parquet": as_parquet(folder, pa.Table.from_pylist(listed)),
    }[name]
    (folder / "seed.parquet").unlink(missing_ok=True)
    chance = random.Random(name)
    for _ in range(100):
        (folder / name).write_bytes(mutated(sound, chance))
        table = read_or_none(folder, folder / "cache")
        assert table is None or len(table) <= 3
