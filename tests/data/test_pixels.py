"""The cache: decoded once, found again, never half-written."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from equipoise.data import cache, decoding, pixels, read
from equipoise.data.folder import image_folder
from equipoise.errors import DataError, InputError
from equipoise.pictures.framing import Framing

N = 80  # a block and a bit


@pytest.fixture
def pictures(tmp_path, write):
    folder = tmp_path / "pictures"
    for index in range(N):
        write(folder / f"{index:03}.png", (index, 255 - index, 7), size=(8, 8))
    return folder


@pytest.fixture
def counted(monkeypatch):
    """Counts calls of the decoder."""
    calls = []
    original = decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda *a, **k: calls.append(1) or original(*a, **k))
    return calls


def opened(folder, **options):
    return read(folder, label=1, image_size=8, **options)


def entries(own_cache):
    return sorted((own_cache / "pixels").iterdir())


def test_the_pixels_are_right_and_in_order(pictures):
    table = opened(pictures, workers=3)
    expected = np.array([(index, 255 - index, 7) for index in range(N)])
    np.testing.assert_array_equal(
        table.batch(np.arange(N)), np.broadcast_to(expected[:, None, None], (N, 8, 8, 3))
    )
    assert isinstance(table.parts[0], np.memmap)


def test_workers_change_nothing(pictures, tmp_path):
    tables = [opened(pictures, workers=workers, cache=tmp_path / str(workers)) for workers in (1, 4)]
    assert tables[0].fingerprint == tables[1].fingerprint


def test_the_second_start_decodes_nothing(pictures, counted, own_cache):
    first = opened(pictures)
    assert len(counted) == N
    second = opened(pictures)
    assert len(counted) == N
    assert second.fingerprint == first.fingerprint
    assert opened(pictures, channels=1).channels == 1
    assert len(counted) == 2 * N
    assert len(entries(own_cache)) == 2


def test_the_second_start_opens_no_picture(pictures, monkeypatch):
    opened(pictures)
    monkeypatch.setattr(decoding, "encoded", lambda content: pytest.fail(f"opened {content}"))
    opened(pictures)


def test_a_changed_picture_is_seen(pictures, write, own_cache):
    before = opened(pictures)
    write(pictures / "003.png", (1, 2, 3), size=(8, 8))
    os.utime(pictures / "003.png", ns=(1, 1))
    after = opened(pictures)
    assert after.fingerprint != before.fingerprint
    assert (after.batch([3]) == (1, 2, 3)).all()
    (pictures / "004.png").unlink()
    assert len(opened(pictures)) == N - 1


@pytest.mark.parametrize("row", [0, 3, 41, N - 1])
def test_other_content_of_the_same_size_and_time_is_seen(pictures, row):
    picture = pictures / f"{row:03}.png"
    before, seen = opened(pictures), picture.stat()
    data = bytearray(picture.read_bytes())
    other = picture.with_name("other.png")
    Image.fromarray(np.full((8, 8, 3), 1, np.uint8)).save(other)
    new = other.read_bytes().ljust(len(data), b"\0")[: len(data)]
    other.unlink()
    picture.write_bytes(new)
    os.utime(picture, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    after = opened(pictures, max_rejected=0.1)
    assert after.fingerprint != before.fingerprint


def test_a_file_put_in_the_place_of_another_is_seen(pictures, write):
    before, seen = opened(pictures), (pictures / "005.png").stat()
    other = write(pictures.parent / "new.png", (1, 1, 1), size=(8, 8))
    other.write_bytes(other.read_bytes().ljust(seen.st_size, b"\0")[: seen.st_size])
    os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    other.replace(pictures / "005.png")
    assert opened(pictures, max_rejected=0.1).fingerprint != before.fingerprint


def test_content_tells_where_a_file_system_keeps_no_times(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(pixels, "changes_of", lambda file: (0, 0, 0, 0))
    images = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    h5py = pytest.importorskip("h5py")
    for _ in range(2):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["images"] = images
            file["labels"] = np.ones(200, int)
        table = read(tmp_path / "a.h5", image_size=8, channel_order="rgb")
        np.testing.assert_array_equal(table.batch(np.arange(200)), images)
        images = 255 - images


def test_what_was_done_to_pictures_is_counted_and_said(pictures, write):
    write(pictures / "a.png", (1, 2, 3), mode="RGBA")
    Image.new("RGBA", (8, 8), (9, 9, 9, 100)).save(pictures / "b.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(pictures / "c.png")
    expected = {
        f"1 of {N + 3} pictures: transparent parts became white.",
        f"1 of {N + 3} pictures: 16 bits a channel were scaled to 8.",
    }
    for _ in range(2):  # decoded, and from the cache
        assert set(opened(pictures).notes) == expected


def test_copies_share_their_pixels(pictures, tmp_path, own_cache):
    shutil.copytree(pictures, tmp_path / "copy")
    assert opened(pictures).fingerprint == opened(tmp_path / "copy").fingerprint
    assert len(entries(own_cache)) == 1


HARMS = ["short", "zeroed", "no digests", "no rejected", "bad rejected", "bad npy", "other rows", "one pixel"]
HARMS += ["pickled", "a link", "one more file", "no seal", "bad seal", "remarks"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_cache_is_built_again(pictures, counted, own_cache, harm):
    first = opened(pictures)
    print_before = first.fingerprint
    del first
    entry = entries(own_cache)[0]
    images = entry / "images.u8"
    if harm == "short":
        os.truncate(images, images.stat().st_size // 2)
    elif harm == "zeroed":
        images.write_bytes(bytes(images.stat().st_size))
    elif harm == "no digests":
        (entry / "digests.npy").unlink()
    elif harm == "no rejected":
        (entry / "rejected.json").unlink()
    elif harm == "bad rejected":
        (entry / "rejected.json").write_text("[[1]]")
    elif harm == "bad npy":
        (entry / "kept.npy").write_bytes(b"\x93NUMPY")
    elif harm == "other rows":
        np.save(entry / "kept.npy", np.arange(N)[::-1])
    elif harm == "one pixel":  # of a picture that no sample looks at
        seen = images.stat()
        with open(images, "r+b") as file:
            file.seek(7 * 8 * 8 * 3)
            file.write(b"\x99")
        os.utime(images, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    elif harm == "pickled":
        with open(entry / "kept.npy", "wb") as file:
            np.lib.format.write_array(file, np.array([Unpickled()]), allow_pickle=True)
    elif harm == "a link":
        (entry / "kept.npy").rename(entry.parent.parent / "kept.npy")
        (entry / "kept.npy").symlink_to(entry.parent.parent / "kept.npy")
    elif harm == "one more file":
        (entry / "more").touch()
    elif harm == "no seal":
        (entry / "seal.json").unlink()
    elif harm == "bad seal":
        (entry / "seal.json").write_text('{"images.u8": 3}')
    else:
        (entry / "remarks.json").write_text('[["said", 3]]')
    again = opened(pictures)
    assert len(counted) == 2 * N
    assert again.fingerprint == print_before
    assert (again.batch([N - 1]) == (N - 1, 256 - N, 7)).all()
    assert [found.name for found in entries(own_cache)] == [entry.name]


class Unpickled:
    """Whoever unpickles it fails the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_a_seal_that_is_forged_does_not_help_rows_that_cannot_be(pictures, counted, own_cache):
    opened(pictures)
    entry = entries(own_cache)[0]
    for kept in (np.arange(N) + 1, np.zeros(N, int), np.arange(N)[::-1], np.array([0.5] * N)):
        np.save(entry / "kept.npy", kept)
        (entry / "seal.json").unlink()
        cache.seal(entry)
        before = len(counted)
        assert (opened(pictures).batch([N - 1]) == (N - 1, 256 - N, 7)).all()
        assert len(counted) == before + N


def test_another_sources_pixels_are_not_taken(pictures, tmp_path, own_cache, write, counted):
    for index in range(N):
        write(tmp_path / "others" / f"{index:03}.png", (9, 9, 9), size=(8, 8))
    opened(pictures)
    opened(tmp_path / "others")
    first, second = (own_cache / "index").iterdir()
    content = json.loads(first.read_text())
    first.write_text(json.dumps(content | {"pixels": json.loads(second.read_text())["pixels"]}))
    second.write_bytes(first.read_bytes())
    assert (opened(pictures).batch([3]) == (3, 252, 7)).all()
    assert (opened(tmp_path / "others").batch([3]) == 9).all()


def test_a_copied_cache_is_looked_through_once_and_believed(
    pictures, own_cache, tmp_path, counted, monkeypatch
):
    opened(pictures)
    shutil.copytree(own_cache, tmp_path / "copy")
    opened(pictures, cache=tmp_path / "copy")
    monkeypatch.setattr(cache, "_digest", lambda path: pytest.fail("looked through again"))
    opened(pictures, cache=tmp_path / "copy")
    assert len(counted) == N


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pixels": 3}', '{"pixels": "../.."}'])
def test_a_broken_index_is_written_again(pictures, own_cache, text):
    opened(pictures)
    index = next((own_cache / "index").iterdir())
    index.write_text(text)
    opened(pictures)
    assert json.loads(index.read_text())["pixels"] == entries(own_cache)[0].name


def test_nothing_is_left_when_a_build_is_stopped(pictures, own_cache):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(pictures, progress=stop)
    assert entries(own_cache) == []
    assert len(opened(pictures)) == N


def test_leftovers_of_killed_builds_go_after_a_day(pictures, own_cache):
    old, new = own_cache / "pixels" / ".part-old", own_cache / "pixels" / ".part-new"
    for left in (old, new):
        left.mkdir(parents=True)
    os.utime(old, (0, 0))
    opened(pictures)
    assert not old.exists()
    assert new.exists()


def test_progress_is_told(pictures):
    seen = []
    opened(pictures, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, N), (N, N)]


def test_large_pictures_make_small_tasks(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "BLOCK_BYTES", 25)
    images = [np.zeros((2, 2, 3), np.uint8)] * 4  # 12 bytes each
    contents = [*images, b"x" * 100, *[tmp_path] * 70]
    assert [len(task) for task in decoding._tasks(iter(contents))] == [3, 2, 64, 6]


@pytest.mark.slow
def test_two_processes_may_build_at_once(pictures, own_cache):
    code = "import sys; from equipoise.data import read; print(read(sys.argv[1], label=1, image_size=8).fingerprint)"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(pictures)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    prints = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert prints == {opened(pictures).fingerprint}
    assert len(entries(own_cache)) == 1


FULL = """
import resource, sys
from equipoise.data import read
from equipoise.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    read(sys.argv[1], label=1, image_size=8)
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_disk_that_is_full(pictures, own_cache):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(pictures)], capture_output=True, text=True, check=True
    )
    assert "Free some space" in done.stdout
    assert "EQUIPOISE_CACHE" in done.stdout
    assert entries(own_cache) == []


def test_a_cache_that_may_not_be_written_is_said(pictures, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    with pytest.raises(DataError, match=r"Permission denied\. Change its permissions.*the option cache"):
        opened(pictures)


def test_a_cache_that_cannot_be_written(pictures, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="another folder with the option cache"):
        opened(pictures, cache=tmp_path / "file")


def test_a_read_only_cache_is_still_read(pictures, own_cache, counted):
    opened(pictures)
    for place, folders, files in os.walk(own_cache):
        for name in [*folders, *files]:
            os.chmod(os.path.join(place, name), 0o555)
    try:
        opened(pictures)
    finally:
        for place, folders, _ in os.walk(own_cache):
            for name in folders:
                os.chmod(os.path.join(place, name), 0o755)
    assert len(counted) == N


@pytest.mark.parametrize("options", [{"image_size": 10**5}, {"channels": 4}, {"workers": 0}])
def test_settings_out_of_range(pictures, options):
    with pytest.raises(InputError, match="Change the setting"):
        read(pictures, label=1, **options)


def test_a_source_that_changes_meanwhile(pictures, own_cache):
    source = image_folder(pictures)
    cut = pixels.Source(source.format, source.paths, lambda: iter([]), source.attributes, source.files)
    with pytest.raises(DataError, match=rf"{N} pictures .* got 0"):
        pixels.pixels_of(cut, framing=Framing(8), channels=3)

    def broken():
        raise ValueError("a broken block")
        yield

    cut = pixels.Source(source.format, source.paths, broken, source.attributes, source.files)
    with pytest.raises(DataError, match="a broken block"):
        pixels.pixels_of(cut, framing=Framing(8), channels=3)
    assert entries(own_cache) == []


def test_a_set_that_is_dark_in_sixteen_bits_is_told_what_to_do(tmp_path):
    for i, most in enumerate((4095, 3000, 900)):
        Image.fromarray(np.full((8, 8), most, np.uint16)).save(tmp_path / f"{i}.png")
    (said,) = opened(tmp_path).notes
    assert said.startswith(
        "3 of 3 pictures: 16 bits a channel were scaled to 8, and none of their values is above"
    )
    assert "above 4,095 of 65,535: they are nearly black" in said
    assert "sBIT of PNG" in said
    Image.fromarray(np.full((8, 8), 60000, np.uint16)).save(tmp_path / "bright.png")
    assert opened(tmp_path).notes == ("4 of 4 pictures: 16 bits a channel were scaled to 8.",)


def test_what_was_kept_before_framings_had_a_name_is_found():
    assert pixels._key(decoding.Making(Framing(64), 3), "folder") == b"(3, 'folder', (64, 64, 3))"
    others = [Framing(64, resize=64), Framing(64, "squash"), Framing(64, interpolation="bilinear")]
    assert len({pixels._key(decoding.Making(framing, 3)) for framing in (Framing(64), *others)}) == 4
