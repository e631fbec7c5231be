"""Tar shards: what is a sample, and archives that somebody else made."""

import io
import tarfile

import numpy as np
import pytest

from equipoise.data import read
from equipoise.data.shards import shards
from equipoise.errors import DataError, InputError


def one(picture, key="a", label=b"1", **more):
    rest = [(f"{key}.{ending}", data) for ending, data in more.items()]
    return [(f"{key}.png", picture()), (f"{key}.cls", label), *rest]


def test_labels_texts_and_objects_are_columns(tmp_path, shard, picture):
    members = [
        *one(
            picture,
            "x/a",
            b"7\n",
            json=b'{"site": "north", "age": 07.50, "boxes": [1, 2]}',
            txt="größer".encode(),
        ),
        *one(picture, "x/b", b"3", json=b'{"site": null, "label": "3"}'),
    ]
    members[2] = (members[2][0], b'{"site": "north", "age": 7.50, "boxes": [1, 2]}')
    table = read(shard(tmp_path / "one.tar", members), image_size=8)
    assert table.classes == {"3": 0, "7": 1}
    assert table.labels.tolist() == [1, 0]
    assert table.column("path") == ["one.tar/x/a", "one.tar/x/b"]
    assert table.column("site") == ["north", None]
    assert table.column("age") == ["7.50", None]  # as it is written
    assert table.column("boxes") == ["[1, 2]", None]
    assert table.column("txt") == ["größer", None]


def test_keys_end_at_the_first_point_and_others_are_counted(tmp_path, shard, picture):
    members = [
        ("a.left.png", picture()),
        ("a.cls", b"1"),
        ("a.mask.npy", b"?"),
        ("README", b"?"),
        (".hidden", b"?"),
        ("b.cls", b"0"),
    ]
    source = shards(shard(tmp_path / "one.tar", members))
    assert source.paths == ["one.tar/a"]
    assert [(item.path, item.reason) for item in source.rejected] == [
        ("one.tar/b", "the sample has no picture")
    ]
    assert source.notes == (
        "Members of shards that were left out: 1 .mask.npy, 1 hidden, 1 without an ending",
    )


def test_files_and_sides_are_columns(tmp_path, shard, picture):
    for name in ("train-000", "train-001", "test-000"):
        shard(tmp_path / f"{name}.tar", one(picture, name))
    table = read(tmp_path, image_size=8)
    assert table.column("file") == ["test-000", "train-000", "train-001"]
    assert table.column("split") == ["test", "train", "train"]
    names = read(f"{tmp_path}/{{test,train}}-00{{0..0}}.tar", image_size=8).column("file")
    assert names == ["test-000", "train-000"]
    with pytest.raises(DataError, match=r"got no file .*train-002\.tar"):
        read(f"{tmp_path}/train-{{000..002}}.tar")
    with pytest.raises(DataError, match="got no file there"):
        read(f"{tmp_path}/nothing-*.tar")
    with pytest.raises(InputError, match="at most 100,000 shards"):
        read(f"{tmp_path}/{{0..999999}}.tar")
    with pytest.raises(InputError, match="at most 100,000 shards"):
        read(f"{tmp_path}/{{0..999}}{{0..999}}.tar")


def test_an_archive_beside_its_pictures_is_no_shard(tmp_path, shard, picture, write):
    shard(tmp_path / "all.tar", one(picture))
    write(tmp_path / "b.png", format="PNG")
    table = read(tmp_path, label=1, image_size=8)
    assert len(table) == 1
    assert "1 .tar" in table.notes[0]


def header(name, kind, size=0, **more):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for key, value in more.items():
        setattr(info, key, value)
    return info


def test_links_lead_nowhere(tmp_path, shard, picture):
    (tmp_path / "secret.png").write_bytes(picture((1, 2, 3)))
    members = [
        *one(picture, "a"),
        (header("b.png", tarfile.SYMTYPE, linkname=str(tmp_path / "secret.png")), b""),
        (header("c.png", tarfile.LNKTYPE, linkname="a.png"), b""),
        (header("d.png", tarfile.FIFOTYPE), b""),
        (header("folder", tarfile.DIRTYPE), b""),
        *one(picture, "../../e"),  # a name, not a place
    ]
    source = shards(shard(tmp_path / "one.tar", members))
    assert source.paths == ["one.tar/a", "one.tar/../../e"]
    assert source.notes == ("Members of shards that were left out: 3 links and special files",)
    assert not (tmp_path.parent.parent / "e.png").exists()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a.png", b"1"), ("a.png", b"2")], "one png of sample 'a' .*got two"),
        ([("a.png", b"1"), ("a.jpg", b"2")], "one picture of sample 'a' .*got two, as jpg"),
        ([("a.png", b"1"), ("a.json", b"{")], "a JSON object in 'a.json'"),
        ([("a.png", b"1"), ("a.json", b"[1]")], "list in place of an object"),
        ([("a.png", b"1"), ("a.json", b'{"x": 1, "x": 2}')], "'x' twice"),
        ([("a.png", b"1"), ("a.json", b"[" * 100_000)], "a JSON object"),
        ([("a.png", b"1"), ("a.cls", b"\xff")], "text in UTF-8"),
        ([("a.png", b"1"), ("a.cls", b"a\0")], "null character"),
        ([("a.png", b"1"), ("a.cls", b"1"), ("a.json", b'{"label": 2}')], "label = 1 and 2"),
        ([("a.png", b"1"), ("a.txt", b"x" * 1_100_000)], "at most 1,048,576 bytes"),
        ([("a.cls", b"1")], "Expected pictures"),
    ],
)
def test_samples_that_say_two_things_or_none(tmp_path, shard, members, words):
    with pytest.raises(DataError, match=words):
        read(shard(tmp_path / "one.tar", members))


def damaged(whole, kind):
    data = bytearray(whole)
    match kind:
        case "header":
            data[1024 + 148] ^= 1  # the checksum of the second member
        case "cut":
            del data[1200:]
        case "no end":
            while data[-512:] == bytes(512):
                del data[-512:]
        case "joined":
            data += whole
        case "packed":
            return b"\x1f\x8b" + bytes(600)
        case "empty":
            return b""
        case "text":
            return b"no archive at all" * 100
    return bytes(data)


@pytest.mark.parametrize("kind", ["header", "cut", "no end", "joined", "packed", "empty", "text"])
def test_a_damaged_shard_is_refused_whole(tmp_path, shard, kind):
    place = shard(
        tmp_path / "one.tar", [("a.png", b"1" * 400), ("a.cls", b"1"), ("b.png", b"2"), ("b.cls", b"1")]
    )
    place.write_bytes(damaged(place.read_bytes(), kind))
    with pytest.raises(DataError, match=r"Expected a whole tar archive at .*one\.tar; got: .*again") as error:
        read(place)
    assert ("gunzip" in str(error.value)) == (kind == "packed")


def pax(size):
    record = f"{len(str(size)) + 9} size={size}\n".encode()
    return header("x", tarfile.XHDTYPE, len(record)), record


def claims(kind):
    """Archives whose headers claim what is not there."""
    file = io.BytesIO()
    match kind:
        case "beyond":
            file.write(header("a.png", tarfile.REGTYPE, 1 << 40).tobuf())
        case "long name":
            file.write(header("a", tarfile.GNUTYPE_LONGNAME, 1 << 36).tobuf())
        case "a name of 2 MiB":
            file.write(header("a", tarfile.GNUTYPE_LONGNAME, 2 << 20).tobuf() + b"n" * (2 << 20))
            file.write(header("a.png", tarfile.REGTYPE, 0).tobuf())
        case "extended":
            file.write(header("a", tarfile.XHDTYPE, 1 << 36).tobuf())
        case "backwards":
            info, record = pax(-1024)
            file.write(info.tobuf() + record.ljust(512, b"\0") + header("a.png", tarfile.REGTYPE, 4).tobuf())
        case "nested":
            file.write((header("a", tarfile.GNUTYPE_LONGNAME, 4).tobuf() + b"name".ljust(512, b"\0")) * 5000)
    return file.getvalue() + bytes(2048)


@pytest.mark.parametrize(
    "kind", ["beyond", "long name", "a name of 2 MiB", "extended", "backwards", "nested"]
)
@pytest.mark.timeout(20)
def test_headers_that_claim_what_is_not_there(tmp_path, kind):
    (tmp_path / "one.tar").write_bytes(claims(kind))
    with pytest.raises(DataError, match="whole tar archive"):
        shards(tmp_path / "one.tar")


def test_a_picture_that_is_too_large_is_rejected_unread(tmp_path, monkeypatch, shard, picture):
    monkeypatch.setattr("equipoise.data.shards.MAX_BYTES", 500)
    monkeypatch.setattr("equipoise.pictures.decode.MAX_BYTES", 500)
    members = [*one(picture, "a"), ("b.png", bytes(5000)), ("b.cls", b"1")]
    table = read(shard(tmp_path / "one.tar", members), image_size=8, max_rejected=0.5)
    assert [item.reason for item in table.rejected] == ["the file has 501 bytes, more than 500"]


def test_damaged_pictures_in_a_shard_are_listed(tmp_path, shard, picture):
    members = [*one(picture, "a"), ("b.png", b"no picture"), ("b.cls", b"0")]
    table = read(shard(tmp_path / "one.tar", members), image_size=8, max_rejected=0.5)
    assert [item.path for item in table.rejected] == ["one.tar/b"]
    assert table.labels.tolist() == [1]


def test_shards_that_change_are_read_again(tmp_path, shard, picture):
    place = tmp_path / "one.tar"
    first = read(shard(place, one(picture, "a")), image_size=8)
    changed = [("a.png", picture((0, 0, 9))), ("a.cls", b"1")]
    assert not np.array_equal(read(shard(place, changed), image_size=8).digests, first.digests)


def test_mutated_shards_raise_no_error_but_ours(tmp_path, shard, picture, rng):
    place = shard(tmp_path / "one.tar", [m for i in range(4) for m in one(picture, f"{i}", json=b'{"a": 1}')])
    whole, done = place.read_bytes()[:12_000], 0
    for _ in range(60):
        data = bytearray(whole + bytes(2048))
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        place.write_bytes(data)
        try:
            read(place, image_size=8, max_rejected=1)
            done += 1
        except (DataError, InputError):
            pass
    assert 5 < done < 60
